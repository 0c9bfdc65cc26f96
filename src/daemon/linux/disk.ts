// How much of a disk is left for those who cannot do without: the database, the ends of logs.

import { mkdirSync, statfsSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';

/** A small disk is not to be all reserve. */
const MOST_SHARE = 1 / 20;

/** Bytes to be left free on the file system of a directory, which is made if it is missing. */
export function reserveOf(directory: string, wantedBytes: number): number {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { blocks, bsize } = statfsSync(directory);
  return Math.floor(Math.min(wantedBytes, blocks * bsize * MOST_SHARE));
}

export interface DiskUse {
  /** The same number for all directories of one file system. */
  readonly device: number;
  /** Of what may be used at all. */
  readonly usedPercent: number;
}

/** How full the file system of a directory is. */
export async function diskUseOf(directory: string): Promise<DiskUse> {
  const [{ dev }, { blocks, bfree, bavail }] = await Promise.all([
    stat(directory),
    statfs(directory),
  ]);
  const used = blocks - bfree;
  return { device: dev, usedPercent: (used / Math.max(1, used + bavail)) * 100 };
}
