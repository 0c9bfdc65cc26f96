// The anchor: how far the chain is known to go, in a file of its own beside the database. Records that
// were cut off at the end leave no trace in the database; here they do.
//
// It is written behind the records, at most once in ANCHOR_MS (audit.ts) and at a clean stop, and never
// names a record that a power cut could still take.

import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { type Anchor, formatAnchor, parseAnchor, START } from './chain.ts';

/** Always the same length, so that writing it touches nothing but its own bytes. */
const LINE_BYTES = 96;

export function anchorFile(stateDirectory: string): string {
  return path.join(stateDirectory, 'audit.anchor');
}

/** The anchor of a state directory; undefined when there is none, or it says nothing that can be read. */
export function readAnchor(stateDirectory: string): Anchor | undefined {
  try {
    return parseAnchor(readFileSync(anchorFile(stateDirectory), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export class AnchorFile {
  readonly #fd: number;

  /** Opens the file; one that is new is on the disk, and names the beginning, before anything else is. */
  constructor(stateDirectory: string, isNew: boolean) {
    this.#fd = openSync(anchorFile(stateDirectory), constants.O_RDWR | constants.O_CREAT, 0o600);
    if (!isNew) return;
    this.write(START);
    fsyncSync(this.#fd);
    const directoryFd = openSync(stateDirectory, 'r');
    fsyncSync(directoryFd);
    closeSync(directoryFd);
  }

  /** A hundred bytes to the kernel; the disk has them when it comes to it. */
  write(anchor: Anchor): void {
    writeSync(this.#fd, `${formatAnchor(anchor).padEnd(LINE_BYTES - 1)}\n`, 0);
  }

  close(): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }
}
