// The segments of a log's directory, each a file of records as the keeper wrote it, or sealed, or for
// a moment both.

import { readdir } from 'node:fs/promises';
import { isSegment } from '../../shared/log-record.ts';

export interface Segment {
  /** Position of its first output byte. */
  readonly base: number;
  readonly isRaw: boolean;
  readonly isSealed: boolean;
}

const SEALED = '.zst';

/** Behind the name of a file that is being written. */
const UNFINISHED = '.new';

export function rawName(base: number): string {
  return `${String(base).padStart(20, '0')}.log`;
}

export function sealedName(base: number): string {
  return rawName(base) + SEALED;
}

export function unfinishedName(base: number): string {
  return sealedName(base) + UNFINISHED;
}

/** In the order of their bytes; none where there is no directory. */
export async function listSegments(directory: string): Promise<Segment[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return segmentsOf(names);
}

/** The segments among the names of files, in the order of their bytes. */
export function segmentsOf(names: readonly string[]): Segment[] {
  const segments = new Map<number, Segment>();
  for (const name of names) {
    const isRaw = isSegment(name);
    const isSealed = name.endsWith(SEALED) && isSegment(name.slice(0, -SEALED.length));
    if (!isRaw && !isSealed) continue;
    const base = Number(name.slice(0, 20));
    const other = segments.get(base);
    segments.set(base, {
      base,
      isRaw: isRaw || other?.isRaw === true,
      isSealed: isSealed || other?.isSealed === true,
    });
  }
  return [...segments.values()].sort((a, b) => a.base - b.base);
}
