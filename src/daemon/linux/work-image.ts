// A work directory on disk with a hard size: an ext4 image, mounted by loop. It is for uploads that
// are too big to lie in memory; it costs about 15 ms, which only such jobs pay.

import { execFile } from 'node:child_process';
import { mkdir, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { JobletError, messageOf } from '../../shared/errors.ts';

const run = promisify(execFile);

/** Runs a program that dies with this daemon: its successor clears up, and nobody may still be at it. */
const runWhileAlive = (program: string, args: readonly string[]) =>
  run('setpriv', ['--pdeathsig=KILL', program, ...args]);

export interface WorkImage {
  readonly directory: string;
  /** The block device it is mounted from, as `major:minor`. */
  readonly device: string;
}

/**
 * Makes `<directory>/<id>`, at most `bytes` big, holding what `copyFrom` holds. With `synchronous`
 * every write reaches the disk before it returns.
 */
export async function makeWorkImage(
  directory: string,
  id: string,
  bytes: number,
  copyFrom: string,
  synchronous: boolean,
): Promise<WorkImage> {
  const image = path.join(directory, `${id}.img`);
  const target = path.join(directory, id);
  try {
    await mkdir(target, { recursive: true, mode: 0o700 });
    const file = await open(image, 'wx', 0o600);
    await file.truncate(bytes);
    await file.close();
    await runWhileAlive('mkfs.ext4', [
      '-q',
      '-F',
      '-m',
      '0',
      // Nothing of it outlives a crash of the machine, so no journal has to be kept.
      '-O',
      '^has_journal',
      '-E',
      'lazy_itable_init=1,root_owner=0:0',
      image,
    ]);
    await runWhileAlive('mount', ['-o', 'loop,nosuid,nodev,discard', image, target]);
    await rm(path.join(target, 'lost+found'), { recursive: true });
    await runWhileAlive('cp', ['-a', '--no-preserve=ownership', `${copyFrom}/.`, target]);
    // Only now, so that the copy was not slowed down.
    if (synchronous) await runWhileAlive('mount', ['-o', 'remount,sync', target]);
    return { directory: target, device: deviceName((await stat(target)).dev) };
  } catch (error) {
    await removeWorkImage(directory, id);
    throw new JobletError('unavailable', `no work directory on disk: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A device number as stat(2) has it, in the kernel's notation. */
export function deviceName(dev: number): string {
  // Minor numbers outgrew their eight bits; the rest of them stands above the major number.
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  return `${major}:${minor}`;
}

/** Unmounts and removes a work image; does no harm when there is none. */
export async function removeWorkImage(directory: string, id: string): Promise<void> {
  const target = path.join(directory, id);
  const image = path.join(directory, `${id}.img`);
  // Lazily: what still has a file open there, or a mount namespace that is on its way out, keeps nobody
  // waiting, and loses the image when it goes.
  const english = { env: { ...process.env, LC_ALL: 'C' } };
  await run('umount', ['-l', target], english).catch((error: { stderr?: string }) => {
    if (!/not mounted|no mount point|not found/.test(error.stderr ?? '')) throw error;
  });
  await rm(target, { recursive: true, force: true });
  await rm(image, { force: true });
}
