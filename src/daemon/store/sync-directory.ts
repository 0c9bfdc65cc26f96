// What makes names safe from a power cut, as fsync of a file makes its content.

import { closeSync, fsyncSync, openSync } from 'node:fs';

/** What was made, renamed or removed in a directory stays so over a power cut. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
