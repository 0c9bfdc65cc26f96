// The certificates that the daemon stands on, and what has been revoked; both are files, and both
// may change while it runs.

import { X509Certificate } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';

export interface Credentials {
  /** PEM text. */
  readonly serverCert: string;
  readonly serverKey: string;
  readonly caCert: string;
  /** Serial numbers in capital hexadecimal digits. */
  readonly revoked: ReadonlySet<string>;
}

/** The serial numbers of a file: one a line, then what it was; `#` begins a comment. */
export function parseRevoked(text: string): Set<string> {
  const serials = new Set<string>();
  for (const line of text.split('\n')) {
    const [word = ''] = line.trim().split(/\s/, 1);
    if (word !== '' && !word.startsWith('#')) serials.add(word.toUpperCase());
  }
  return serials;
}

/** What is revoked according to a file; nothing when there is none. */
export function readRevoked(file: string): Set<string> {
  try {
    return parseRevoked(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw error;
  }
}

/** What is another than before, for people; empty when nothing is. */
export function describeChange(before: Credentials, now: Credentials): string {
  const changes = (['serverCert', 'caCert'] as const)
    .filter((part) => now[part] !== before[part])
    .map((part) => `${part} ${new X509Certificate(now[part]).serialNumber}`);
  for (const serial of now.revoked.difference(before.revoked)) changes.push(`revoked ${serial}`);
  for (const serial of before.revoked.difference(now.revoked)) changes.push(`restored ${serial}`);
  return changes.join(', ');
}

/**
 * Calls `onChange` whenever one of `names` in `directory` was written or replaced. The directory is
 * watched, not the files: a file that is replaced is another file.
 */
export function watchFiles(
  directory: string,
  names: readonly string[],
  onChange: () => void,
): FSWatcher {
  const watcher = watch(directory, { persistent: false }, (_event, name) => {
    // Some systems do not say which file it was.
    if (name === null || names.includes(name)) onChange();
  });
  return watcher;
}
