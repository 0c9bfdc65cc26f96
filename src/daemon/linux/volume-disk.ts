// What a volume is to the kernel: an ext4 file system in a sparse file, mounted by loop, or a tmpfs.
// A loop image works on every kernel and every file system of the host, and has a hard size.
//
//   <directory>/volume.img    the image, where there is one
//   <directory>/mount         where it is mounted
//   <directory>/mount/files   what jobs see; it is there only while the volume is mounted, so that a job
//                             never writes to the host's own disk instead

import { readFileSync } from 'node:fs';
import {
  chmod,
  type FileHandle,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { namesOf, parseMounts, statusField } from './job-process.ts';
import { lastWords, run, runWhileAlive, unmount } from './programs.ts';
import { deviceName } from './work-image.ts';

const MB = 1024 ** 2;

/** Smaller file systems get small blocks, so that small files take little. */
const SMALL_BYTES = 512 * MB;
const SMALL_BLOCK_BYTES = 1024;
const BLOCK_BYTES = 4096;
/** Files that the smallest volume holds, and what a bigger one has for each. */
const LEAST_FILES = 16_384;
const BYTES_PER_FILE = 16_384;
const INODE_BYTES = 256;
/** ext4 holds back a fiftieth, and no more than so many blocks. */
const HELD_BACK_SHARE = 1 / 50;
const HELD_BACK_BLOCKS = 4096;

/** A volume holds what its size says, give or take this share. */
const TOLERANCE = 0.01;
const MAX_FITTINGS = 8;

/** Errors are found by the kernel while it writes: from then on nothing is written any more. */
const MOUNT_OPTIONS = 'loop,nosuid,nodev,noatime,discard,errors=remount-ro';

/** How the kernel says that it found errors; newer ones have a word of its own for it. */
const READ_ONLY = ['ro', 'emergency_ro', 'shutdown'];

/** A volume that is mounted. */
export interface MountedVolume {
  /** What jobs are to see. */
  readonly directory: string;
  /** Its block device as `major:minor`; undefined when it lies in memory. */
  readonly device: string | undefined;
  /** The kernel found errors and lets nobody write any more. */
  readonly isBroken: boolean;
}

/** Makes an image that holds `bytes`, safe on the disk when this resolves. */
export async function makeImage(directory: string, bytes: number): Promise<void> {
  await mkdir(mountPoint(directory), { recursive: true, mode: 0o700 });
  const image = imageOf(directory);
  const isSmall = bytes < SMALL_BYTES;
  const blockBytes = isSmall ? SMALL_BLOCK_BYTES : BLOCK_BYTES;
  const files = Math.max(LEAST_FILES, Math.floor(bytes / BYTES_PER_FILE));
  const journalMb = Math.max(isSmall ? 2 : 4, Math.min(64, Math.floor(bytes / MB / 32)));
  let imageBytes = bytes + files * INODE_BYTES + journalMb * MB;
  // What else the file system needs for itself it says when it is there.
  for (let fittings = 0; fittings < MAX_FITTINGS; fittings += 1) {
    const wanted = wholeBlocks(imageBytes);
    await change(image, 'w', (file) => file.truncate(wanted));
    await runWhileAlive(
      'mkfs.ext4',
      ...['-q', '-F', '-m', '0', '-e', 'remount-ro'],
      ...['-b', String(blockBytes), '-N', String(files), '-J', `size=${journalMb}`],
      ...['-E', 'lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0'],
      image,
    );
    const missing = bytes - (await capacityOf(image));
    if (missing <= bytes * TOLERANCE) {
      // File systems have steps. What is over belongs to the host's root, who does not use it.
      const over = Math.floor(Math.max(0, -missing) / blockBytes);
      await runWhileAlive('tune2fs', '-r', String(over), image);
      break;
    }
    imageBytes += missing;
  }
  await change(image, 'r+', (file) => file.sync());
  await syncDirectory(directory);
}

/**
 * Mounts the image of a volume that is to hold `bytes`. What a power cut left is played back from its
 * journal, errors are repaired, and a growing that was cut short is finished.
 */
export async function mountImage(directory: string, bytes: number): Promise<MountedVolume> {
  const image = imageOf(directory);
  // One that a job still has open is not to be checked: it is mounted a second time from its own device.
  if (!(await isInUse(image))) await check(image);
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
  return (await mountOf(directory)) === undefined ? undefined : describe(directory);
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
    await change(image, 'r+', (file) => file.truncate(wholeBlocks(size + missing)));
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
      const message = `its files do not fit into ${bytes} bytes (${lastWords(error)}); delete some first`;
      throw new JobletError('wrong-state', message, { cause: error });
    });
    await unmount(mountPoint(anew));
    await change(imageOf(anew), 'r+', (file) => file.sync());
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
  await unmount(mountPoint(anew));
  await rm(anew, { recursive: true, force: true });
}

/** What a mounted volume can hold, and what it holds. */
export async function usageOf(
  directory: string,
): Promise<{ totalBytes: number; usedBytes: number }> {
  const { blocks, bfree, bavail, bsize } = await statfs(mountPoint(directory));
  return { totalBytes: (blocks - bfree + bavail) * bsize, usedBytes: (blocks - bfree) * bsize };
}

/** Has every write reach the disk before it returns, or not. */
export async function setSynchronous(directory: string, isSynchronous: boolean): Promise<void> {
  const how = isSynchronous ? 'sync' : 'async';
  await run('mount', '-o', `remount,${how}`, mountPoint(directory));
}

/** Writes everything and unmounts; does no harm when nothing is mounted. */
export async function unmountVolume(directory: string): Promise<void> {
  await unmount(mountPoint(directory));
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

function filesOf(directory: string): string {
  return path.join(mountPoint(directory), 'files');
}

async function describe(directory: string): Promise<MountedVolume> {
  const made = await mkdir(filesOf(directory), { recursive: true });
  // Whatever the umask of this daemon is, and only once: its mode is the users' own.
  if (made !== undefined) await chmod(made, 0o755);
  const [files, mount] = await Promise.all([stat(filesOf(directory)), mountOf(directory)]);
  return {
    directory: filesOf(directory),
    device: mount?.type === 'tmpfs' ? undefined : deviceName(files.dev),
    isBroken: mount?.fileSystemOptions.some((option) => READ_ONLY.includes(option)) ?? true,
  };
}

async function mountOf(directory: string) {
  const target = mountPoint(directory).replaceAll(/[\\ \t\n]/g, escaped);
  const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
  return mounts.findLast((mount) => mount.target === target);
}

/** As the kernel writes characters that would part the words of a line. */
function escaped(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
}

/** Plays back the journal and repairs what can be repaired without asking anybody. */
async function check(image: string): Promise<void> {
  await runWhileAlive('e2fsck', '-p', image).catch((error: { code?: number; stdout?: string }) => {
    const REPAIRED = 1;
    if (error.code === REPAIRED) return;
    const message = `its file system is damaged; look at it with: e2fsck -f ${image}`;
    throw new JobletError('unavailable', message, { about: image, cause: error });
  });
}

/** What a new file system holds, as it says itself; see ext4_super_block. */
async function capacityOf(image: string): Promise<number> {
  const SUPERBLOCK_AT = 1024;
  const block = Buffer.alloc(1024);
  await change(image, 'r+', async (file) => {
    await file.read(block, 0, block.length, SUPERBLOCK_AT);
  });
  const blocks = block.readUInt32LE(0x4) + block.readUInt32LE(0x150) * 2 ** 32;
  const blockBytes = 1024 << block.readUInt32LE(0x18);
  const ownBlocks = block.readUInt32LE(0x248);
  const heldBack = Math.min(Math.floor(blocks * HELD_BACK_SHARE), HELD_BACK_BLOCKS);
  return (blocks - ownBlocks - heldBack) * blockBytes;
}

/** The loop device that a volume is mounted from. */
async function loopOf(directory: string): Promise<string> {
  const { dev } = await stat(mountPoint(directory));
  return path.join('/dev', path.basename(await realpath(`/sys/dev/block/${deviceName(dev)}`)));
}

/** Whether a loop device has it open. */
async function isInUse(image: string): Promise<boolean> {
  return (await run('losetup', '--noheadings', '--associated', image)).trim() !== '';
}

function memorySize(bytes: number): string {
  const files = Math.max(LEAST_FILES, Math.ceil(bytes / BLOCK_BYTES));
  return `size=${bytes},nr_inodes=${files}`;
}

function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

async function change(
  file: string,
  flags: 'w' | 'r+',
  body: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const handle = await open(file, flags, 0o600);
  try {
    await body(handle);
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync();
  await handle.close();
}
