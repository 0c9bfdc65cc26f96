// Who runs on a state directory: told by the daemon that holds it, to one that is refused.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const FILE = 'daemon';

/** Tells who holds a directory; `where` is what it listens on, once it does. */
export function tellOwner(directory: string, where: string): void {
  const listens = where === '' ? 'still starting' : `listening on ${where}`;
  try {
    writeFileSync(path.join(directory, FILE), `pid ${process.pid}, ${listens}\n`, { mode: 0o600 });
  } catch {
    // A full disk keeps nobody from starting.
  }
}

/** The daemon that holds a directory, for a message. */
export function readOwner(directory: string): string {
  try {
    return `another daemon (${readFileSync(path.join(directory, FILE), 'utf8').trim()})`;
  } catch {
    // It has the lock, and has not come to say more.
    return 'another daemon';
  }
}
