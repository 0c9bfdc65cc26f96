// A work directory on disk with a hard size: an ext4 image, mounted by loop. It is for uploads that
// are too big to lie in memory; it costs about 15 ms, which only such jobs pay.

import { mkdir, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { runWhileAlive, unmount } from './programs.ts';

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
    // Nothing of it outlives a crash of the machine, so no journal has to be kept.
    const format = ['-q', '-F', '-m', '0', '-O', '^has_journal'];
    const layout = ['-E', 'lazy_itable_init=1,root_owner=0:0'];
    await runWhileAlive('mkfs.ext4', ...format, ...layout, image);
    await runWhileAlive('mount', '-o', 'loop,nosuid,nodev,discard', image, target);
    await rm(path.join(target, 'lost+found'), { recursive: true });
    await runWhileAlive('cp', '-a', '--no-preserve=ownership', `${copyFrom}/.`, target);
    // Only now, so that the copy was not slowed down.
    if (synchronous) await runWhileAlive('mount', '-o', 'remount,sync', target);
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
  await unmount(target, '-l');
  await rm(target, { recursive: true, force: true });
  await rm(image, { force: true });
}
