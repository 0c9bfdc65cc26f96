// How much of a disk is left for those who cannot do without: the database, the ends of logs.

import { mkdirSync, statfsSync } from 'node:fs';

/** A small disk is not to be all reserve. */
const MOST_SHARE = 1 / 20;

/** Bytes to be left free on the file system of a directory, which is made if it is missing. */
export function reserveOf(directory: string, wantedBytes: number): number {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { blocks, bsize } = statfsSync(directory);
  return Math.floor(Math.min(wantedBytes, blocks * bsize * MOST_SHARE));
}
