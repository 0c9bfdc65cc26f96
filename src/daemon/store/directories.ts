// The directories of a node at its start: there, writable, and belonging together.

import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { databaseFile } from './db.ts';
import { faultOf, tryWriting } from './faults.ts';

/** The database of a state directory, and files that are never there without one. */
const REMAINS = ['joblet.db', 'joblet.db-wal', 'keeper-secret'];

/** Makes a directory, or finds it, and sees that it can be written. A full disk is no reason not to start. */
export function makeWritable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    tryWriting(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
    throw faultOf(error, directory);
  }
}

/**
 * Refuses to start without a state where there was one, or without the logs of a state: a disk that is
 * not mounted looks like a new node. Call it before either directory is made.
 */
export function assertTogether(state: string, logs: string): void {
  const database = databaseFile(state);
  if (sizeOf(database) > 0) {
    if (existsSync(logs)) return;
    throw new JobletError(
      'unavailable',
      `the log directory ${logs} is missing, though ${database} is there;` +
        ` mount it, or make an empty one to go on without the old logs: mkdir ${logs}`,
      { about: logs },
    );
  }
  const what = existsSync(database) ? 'is empty' : 'is missing';
  const jobs = existsSync(logs) ? readdirSync(logs).filter(isJobId).length : 0;
  const remains = remainsOf(state);
  if (jobs === 0 && remains.length === 0) return;
  const found = [...remains, ...(jobs > 0 ? [`the logs of ${jobs} jobs in ${logs}`] : [])];
  throw new JobletError(
    'unavailable',
    `${database} ${what}, but this node had a state: there is ${found.join(' and ')}.` +
      ' Mount its disk, or put a backup back with `joblet restore FILE`;' +
      ' to start empty, move away what is there',
    { about: database },
  );
}

/** Files that say that there is, or was, a state in a directory. */
export function remainsOf(state: string): string[] {
  return REMAINS.map((name) => path.join(state, name)).filter((file) => sizeOf(file) > 0);
}

/** 0 for what is not there. */
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function isJobId(name: string): boolean {
  return /^[0-9a-f-]{36}$/.test(name);
}
