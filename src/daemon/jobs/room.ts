// Whether there is room on the disks for one more job. It is asked before a job is accepted, so that
// what is left when they run full goes to the jobs that are there: to their ends and to their output.

import { type StatsFs, statfsSync } from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import { faultOf } from '../store/faults.ts';

export interface Place {
  readonly directory: string;
  readonly leastBytes: number;
}

/** Files that a disk must still be able to make: a job takes a directory and a segment of its log. */
const LEAST_FILES = 16;

export class Room {
  readonly #places: readonly Place[];

  constructor(places: readonly Place[]) {
    this.#places = places;
  }

  /** Throws `exhausted` when a disk is too full for another job. */
  check(): void {
    for (const { directory, leastBytes } of this.#places) {
      const { bfree, bsize, files, ffree } = look(directory);
      const freeBytes = bfree * bsize;
      if (freeBytes < leastBytes) refuse(directory, `has ${Math.floor(freeBytes / 1024)} kB left`);
      // Some file systems count no files and say 0 to both.
      if (files > 0 && ffree < LEAST_FILES) refuse(directory, `has ${ffree} files left`);
    }
  }
}

function look(directory: string): StatsFs {
  try {
    return statfsSync(directory);
  } catch (error) {
    throw faultOf(error, directory);
  }
}

function refuse(directory: string, what: string): never {
  throw new JobletError(
    'exhausted',
    `no new job is started: the disk of ${directory} ${what}; free some space on it`,
    { about: directory },
  );
}
