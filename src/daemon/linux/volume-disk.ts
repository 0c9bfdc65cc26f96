// What a volume is to the kernel: an ext4 file system in a sparse file, mounted by loop, or a tmpfs.
// A loop image works on every kernel and every file system of the host, and has a hard size.
//
//   <directory>/volume.img    the image, where there is one
//   <directory>/mount         where it is mounted
//   <directory>/mount/files   what jobs see; it is there only while the volume is mounted, so that a job
//                             never writes to the host's own disk instead

import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';
import {
  BLOCK_BYTES,
  changeFile,
  checkImage,
  formatImage,
  isInUse,
  LEAST_FILES,
  MAX_FITTINGS,
  syncDirectory,
  TOLERANCE,
  wholeBlocks,
} from './image.ts';
import { type JobMount, namesOf, parseMounts, statusField } from './job-process.ts';
import { run, runWhileAlive, unmount } from './programs.ts';
import { isProject, projectFiles } from './project-quota.ts';
import { deviceName } from './work-image.ts';

/** Errors are found by the kernel while it writes: from then on nothing is written any more. */
const MOUNT_OPTIONS = 'loop,nosuid,nodev,noatime,discard,errors=remount-ro';

/** How the kernel says that it found errors; newer ones have a word of its own for it. */
const READ_ONLY = ['ro', 'emergency_ro', 'shutdown'];

/** A volume that is mounted. */
export interface MountedVolume {
  /** What jobs are to see. */
  readonly directory: string;
  /** A block device of its own as `major:minor`, or undefined. */
  readonly device: string | undefined;
  /** The kernel found errors and lets nobody write any more. */
  readonly isBroken: boolean;
}

/** Makes an image that holds `bytes`, safe on the disk when this resolves. */
export async function makeImage(directory: string, bytes: number): Promise<void> {
  await mkdir(mountPoint(directory), { recursive: true, mode: 0o700 });
  await formatImage(imageOf(directory), bytes, { hasJournal: true });
  await syncDirectory(directory);
}

/**
 * Mounts the image of a volume that is to hold `bytes`. What a power cut left is played back from its
 * journal, errors are repaired, and a growing that was cut short is finished.
 */
export async function mountImage(directory: string, bytes: number): Promise<MountedVolume> {
  const image = imageOf(directory);
  // One that a job still has open is not to be checked: it is mounted a second time from its own device.
  if (!(await isInUse(image))) await checkImage(image);
  await runWhileAlive('mount', '-t', 'ext4', '-o', MOUNT_OPTIONS, image, mountPoint(directory));
  if (canGrowMounted()) await growImage(directory, bytes);
  return describe(directory);
}

/** Makes a memory file system that holds `bytes`. */
export async function mountMemory(directory: string, bytes: number): Promise<MountedVolume> {
  const target = mountPoint(directory);
  await mkdir(target, { recursive: true, mode: 0o700 });
  const options = `${memorySize(bytes)},mode=0755,nosuid,nodev`;
  await run('mount', '-t', 'tmpfs', '-o', options, 'joblet-volume', target);
  return describe(directory);
}

/** What is mounted of a volume, or undefined. */
export async function findMounted(directory: string): Promise<MountedVolume | undefined> {
  if (mountOf(directory) === undefined) return undefined;
  return find(directory) ?? describe(directory);
}

/** Gives a mounted memory file system another size. */
export async function resizeMemory(directory: string, bytes: number): Promise<void> {
  await run('mount', '-o', `remount,${memorySize(bytes)}`, mountPoint(directory));
}

/** Whether this host lets us give a file system more room while it is mounted. */
export function canGrowMounted(): boolean {
  const effective = BigInt(`0x${statusField(readFileSync('/proc/self/status', 'utf8'), 'CapEff')}`);
  return namesOf(effective).includes('CAP_SYS_RESOURCE');
}

/** Lets a mounted image hold `bytes`, while jobs write to it. One that holds as much already stays. */
export async function growImage(directory: string, bytes: number): Promise<void> {
  const image = imageOf(directory);
  for (let fittings = 0; fittings < MAX_FITTINGS; fittings += 1) {
    const missing = bytes - (await usageOf(directory)).totalBytes;
    if (missing <= bytes * TOLERANCE) return;
    const device = await loopOf(directory);
    const { size } = await stat(image);
    await changeFile(image, 'r+', (file) => file.truncate(wholeBlocks(size + missing)));
    await runWhileAlive('losetup', '--set-capacity', device);
    await runWhileAlive('resize2fs', device);
  }
}

/**
 * Gives a mounted image that no job uses another size, by copying its files into a new one: a crash
 * leaves the one or the other. It is unmounted then.
 * @throws JobletError wrong-state when the files need more
 */
export async function remakeImage(directory: string, bytes: number): Promise<void> {
  const anew = path.join(directory, ANEW);
  try {
    await makeImage(anew, bytes);
    await mountImage(anew, bytes);
    const [from, to] = [filesOf(directory), filesOf(anew)];
    await runWhileAlive('cp', '-a', '--sparse=always', `${from}/.`, to).catch((error) => {
      if (!/: No space left on device$/m.test(error.stderr)) throw error;
      const message = `its files do not fit into ${formatBytes(bytes)}; delete some first`;
      throw new JobletError('wrong-state', message, { about: 'size', cause: error });
    });
    await unmount(mountPoint(anew));
    await changeFile(imageOf(anew), 'r+', (file) => file.sync());
    await unmount(mountPoint(directory));
    await rename(imageOf(anew), imageOf(directory));
    await syncDirectory(directory);
  } finally {
    await sweepVolume(directory);
  }
}

/** Removes what a change that was cut short has left beside a volume. */
export async function sweepVolume(directory: string): Promise<void> {
  const anew = path.join(directory, ANEW);
  // Looked at for each volume at the daemon's start, and hardly ever there.
  if (!existsSync(anew)) return;
  await unmount(mountPoint(anew));
  await rm(anew, { recursive: true, force: true });
}

/** What a volume can hold that is mounted or a project, and what it holds. */
export async function usageOf(
  directory: string,
): Promise<{ totalBytes: number; usedBytes: number }> {
  const place = isProject(directory) ? projectFiles(directory) : mountPoint(directory);
  const { blocks, bfree, bavail, bsize } = await statfs(place);
  return { totalBytes: (blocks - bfree + bavail) * bsize, usedBytes: (blocks - bfree) * bsize };
}

/** Has every write reach the disk before it returns, or not. */
export async function setSynchronous(directory: string, isSynchronous: boolean): Promise<void> {
  const how = isSynchronous ? 'sync' : 'async';
  await run('mount', '-o', `remount,${how}`, mountPoint(directory));
}

/** Writes everything and unmounts; does no harm when nothing is mounted. */
export async function unmountVolume(directory: string): Promise<void> {
  if (mountOf(directory) !== undefined) await unmount(mountPoint(directory));
}

/** Removes a volume that no job uses, with all that is in it. */
export async function removeVolume(directory: string): Promise<void> {
  await sweepVolume(directory);
  await unmountVolume(directory);
  // The mount point first: were it mounted after all, this would fail before the image is lost.
  await rm(mountPoint(directory), { recursive: true, force: true });
  await rm(directory, { recursive: true, force: true });
  await syncDirectory(path.dirname(directory));
}

/** Where a volume that is resized is made anew. */
const ANEW = 'anew';

function imageOf(directory: string): string {
  return path.join(directory, 'volume.img');
}

function mountPoint(directory: string): string {
  return path.join(directory, 'mount');
}

/** What jobs see of a mounted volume. */
export function filesOf(directory: string): string {
  return path.join(mountPoint(directory), 'files');
}

async function describe(directory: string): Promise<MountedVolume> {
  const made = await mkdir(filesOf(directory), { recursive: true });
  // Whatever the umask of this daemon is, and only once: its mode is the users' own.
  if (made !== undefined) await chmod(made, 0o755);
  return find(directory) ?? { directory: filesOf(directory), device: undefined, isBroken: true };
}

/** In two system calls, since every start of a job that uses it asks. */
function find(directory: string): MountedVolume | undefined {
  const mount = mountOf(directory);
  const files = statSync(filesOf(directory), { throwIfNoEntry: false });
  if (mount === undefined || files === undefined) return undefined;
  return {
    directory: filesOf(directory),
    device: mount.type === 'tmpfs' ? undefined : deviceName(files.dev),
    isBroken: mount.fileSystemOptions.some((option) => READ_ONLY.includes(option)),
  };
}

function mountOf(directory: string): JobMount | undefined {
  const target = mountPoint(directory).replaceAll(/[\\ \t\n]/g, escaped);
  return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8')).findLast(
    (mount) => mount.target === target,
  );
}

/** As the kernel writes characters that would part the words of a line. */
function escaped(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
}

/** The loop device that a volume is mounted from. */
async function loopOf(directory: string): Promise<string> {
  const { dev } = await stat(mountPoint(directory));
  return path.join('/dev', path.basename(await realpath(`/sys/dev/block/${deviceName(dev)}`)));
}

function memorySize(bytes: number): string {
  const files = Math.max(LEAST_FILES, Math.ceil(bytes / BLOCK_BYTES));
  return `size=${bytes},nr_inodes=${files}`;
}
