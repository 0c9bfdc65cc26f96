// A work directory on disk with a hard size: an ext4 image, mounted by loop. It is for uploads that
// are too big to lie in memory, and for what is to be kept when the job has ended; it costs about 15 ms,
// which only such jobs pay.

import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { checkImage, formatImage, isInUse } from './image.ts';
import { runWhileAlive, unmount } from './programs.ts';

export interface WorkImage {
  readonly directory: string;
  /** The block device it is mounted from, as `major:minor`. */
  readonly device: string;
}

/**
 * Makes `<directory>/<id>`, which holds `bytes`, with what `copyFrom` holds; empty is nothing. With `synchronous`
 * every write reaches the disk before it returns.
 */
export async function makeWorkImage(
  directory: string,
  id: string,
  bytes: number,
  copyFrom: string,
  synchronous: boolean,
): Promise<WorkImage> {
  const image = imageOf(directory, id);
  const target = path.join(directory, id);
  try {
    await mkdir(target, { recursive: true, mode: 0o700 });
    // A job does not outlive a crash of the machine, so no journal has to be kept for it.
    await formatImage(image, bytes, { hasJournal: false });
    await runWhileAlive('mount', '-o', 'loop,nosuid,nodev,discard', image, target);
    await rm(path.join(target, 'lost+found'), { recursive: true });
    if (copyFrom !== '') {
      await runWhileAlive('cp', '-a', '--no-preserve=ownership', `${copyFrom}/.`, target);
    }
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
  await leaveWorkImage(directory, id);
  await rm(imageOf(directory, id), { force: true });
}

/** Unmounts a work image and keeps it. */
export async function leaveWorkImage(directory: string, id: string): Promise<void> {
  const target = path.join(directory, id);
  // Lazily: what still has a file open there, or a mount namespace that is on its way out, keeps nobody
  // waiting, and loses the image when it goes.
  await unmount(target, '-l');
  // Not what is in it: that would be lost, were it mounted after all.
  await rmdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Unmounts a kept image that a killed daemon was reading. */
export async function unmountLeft(directory: string, id: string): Promise<void> {
  if (existsSync(path.join(directory, id))) await leaveWorkImage(directory, id);
}

/** Mounts a work image that was kept; answers where. */
export async function mountWorkImage(directory: string, id: string): Promise<string> {
  const image = imageOf(directory, id);
  const target = path.join(directory, id);
  await mkdir(target, { recursive: true, mode: 0o700 });
  if (!(await isInUse(image))) await checkImage(image);
  await runWhileAlive('mount', '-o', 'loop,nosuid,nodev,noexec,discard', image, target);
  return target;
}

/** What a work image takes of its disk; 0 when it is not there. */
export async function bytesOfWorkImage(directory: string, id: string): Promise<number> {
  const BLOCK_BYTES = 512;
  const found = await stat(imageOf(directory, id)).catch(() => undefined);
  return (found?.blocks ?? 0) * BLOCK_BYTES;
}

/** The jobs whose work images are there. */
export async function listWorkImages(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
}

const SUFFIX = '.img';

function imageOf(directory: string, id: string): string {
  return path.join(directory, `${id}${SUFFIX}`);
}
