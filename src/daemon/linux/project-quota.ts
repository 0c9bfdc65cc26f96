// A directory with a hard size by a quota of the host's file system, where that enforces quotas of
// projects and says ENOSPC of a full one (xfs with prjquota): no image, no mount, another size at once.
//
//   <directory>/files         what jobs see; it is a project from when it can be named

import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { LEAST_FILES, syncDirectory } from './image.ts';
import { parseMounts } from './job-process.ts';
import { LAUNCH_BINARY } from './launch-binary.ts';
import { run, runWhileAlive } from './programs.ts';

const BYTES_PER_FILE = 16_384;

/**
 * Whether volumes below a directory are to be projects: its file system enforces limits of them as of a disk
 * that is full, and begins there. Jobs read in mountinfo where in its file system a volume lies, and no path
 * of ours is to stand there.
 */
export async function hasRoomForProjects(directory: string): Promise<boolean> {
  const base = await realpath(directory);
  const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
  if (mounts.findLast(({ target }) => target === base)?.root !== '/') return false;
  return run(LAUNCH_BINARY, 'quota', 'probe', directory, '0', '0').then(
    () => true,
    () => false,
  );
}

/** Whether a volume is one of these. */
export function isProject(directory: string): boolean {
  return existsSync(projectFiles(directory));
}

/** What jobs are to see. */
export function projectFiles(directory: string): string {
  return path.join(directory, 'files');
}

/** Makes a project that holds `bytes`, safe on the disk when this resolves. */
export async function makeProject(directory: string, bytes: number): Promise<void> {
  const files = projectFiles(directory);
  await mkdir(files);
  // Whatever the umask of this daemon is.
  await chmod(files, 0o755);
  await limitProject(directory, bytes);
  await syncDirectory(directory);
}

/**
 * Has a project hold `bytes`, whatever it held before; it can be in use. Rejects when the file system
 * enforces no quotas: it may have been mounted without them since.
 */
export async function limitProject(directory: string, bytes: number): Promise<void> {
  const files = Math.max(LEAST_FILES, Math.floor(bytes / BYTES_PER_FILE));
  const bounds = [bytes, files].map(String);
  await runWhileAlive(LAUNCH_BINARY, 'quota', 'limit', projectFiles(directory), ...bounds);
}
