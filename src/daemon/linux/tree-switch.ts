// What Node has no call for, and whole trees of files need: to change places, and to reach the disk.
// Both hold up their thread until they are done.

import { spawnSync } from 'node:child_process';
import { JobletError } from '../../shared/errors.ts';
import { LAUNCH_BINARY } from './launch-binary.ts';

/** Two directories of one file system change places, in one step. */
export function exchangeDirectories(one: string, other: string): void {
  run(`${one} cannot be replaced`, LAUNCH_BINARY, ['exchange', one, other]);
}

/** All that was written to the file system of a directory is on the disk when this returns. */
export function syncFileSystem(directory: string): void {
  run(`the disk of ${directory} cannot be written`, 'sync', ['--file-system', directory]);
}

function run(failure: string, program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim();
  throw new JobletError('unavailable', `${failure}: ${why}`, { cause: error });
}
