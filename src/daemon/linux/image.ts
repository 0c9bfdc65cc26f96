// Images: ext4 file systems in sparse files, for what has to have a hard size on any disk of the host.

import { type FileHandle, open } from 'node:fs/promises';
import { JobletError } from '../../shared/errors.ts';
import { run, runWhileAlive } from './programs.ts';

const MB = 1024 ** 2;

/** Smaller file systems get small blocks, so that small files take little. */
const SMALL_BYTES = 512 * MB;
const SMALL_BLOCK_BYTES = 1024;
export const BLOCK_BYTES = 4096;
/** Files that the smallest volume holds, and what a bigger one has for each. */
export const LEAST_FILES = 16_384;
const BYTES_PER_FILE = 16_384;
const INODE_BYTES = 256;
/** ext4 holds back a fiftieth, and no more than so many blocks. */
const HELD_BACK_SHARE = 1 / 50;
const HELD_BACK_BLOCKS = 4096;

/** A volume holds what its size says, give or take this share. */
export const TOLERANCE = 0.01;
export const MAX_FITTINGS = 8;

/**
 * Makes an image that holds `bytes`, safe on the disk when this resolves. Without a journal it does not
 * outlive a crash of the machine, and takes less.
 */
export async function formatImage(
  image: string,
  bytes: number,
  { hasJournal }: { readonly hasJournal: boolean },
): Promise<void> {
  const isSmall = bytes < SMALL_BYTES;
  const blockBytes = isSmall ? SMALL_BLOCK_BYTES : BLOCK_BYTES;
  const files = Math.max(LEAST_FILES, Math.floor(bytes / BYTES_PER_FILE));
  const journalMb = Math.max(isSmall ? 2 : 4, Math.min(64, Math.floor(bytes / MB / 32)));
  const journal = hasJournal ? ['-J', `size=${journalMb}`] : ['-O', '^has_journal'];
  let imageBytes = bytes + files * INODE_BYTES + (hasJournal ? journalMb * MB : 0);
  // What else the file system needs for itself it says when it is there.
  for (let fittings = 0; fittings < MAX_FITTINGS; fittings += 1) {
    const wanted = wholeBlocks(imageBytes);
    await changeFile(image, 'w', (file) => file.truncate(wanted));
    await runWhileAlive(
      'mkfs.ext4',
      ...['-q', '-F', '-m', '0', '-e', 'remount-ro'],
      ...['-b', String(blockBytes), '-N', String(files), ...journal],
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
  await changeFile(image, 'r+', (file) => file.sync());
}

/** Plays back the journal and repairs what can be repaired without asking anybody. */
export async function checkImage(image: string): Promise<void> {
  await runWhileAlive('e2fsck', '-p', image).catch((error: { code?: number; stdout?: string }) => {
    const REPAIRED = 1;
    if (error.code === REPAIRED) return;
    const message = `its file system is damaged; look at it with: e2fsck -f ${image}`;
    throw new JobletError('unavailable', message, { about: image, cause: error });
  });
}

/** Whether a loop device has it open. */
export async function isInUse(image: string): Promise<boolean> {
  return (await run('losetup', '--noheadings', '--associated', image)).trim() !== '';
}

export function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

export async function changeFile(
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

/** What was made or renamed in a directory stays so over a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync();
  await handle.close();
}

/** What a new file system holds, as it says itself; see ext4_super_block. */
async function capacityOf(image: string): Promise<number> {
  const SUPERBLOCK_AT = 1024;
  const block = Buffer.alloc(1024);
  await changeFile(image, 'r+', async (file) => {
    await file.read(block, 0, block.length, SUPERBLOCK_AT);
  });
  const blocks = block.readUInt32LE(0x4) + block.readUInt32LE(0x150) * 2 ** 32;
  const blockBytes = 1024 << block.readUInt32LE(0x18);
  const ownBlocks = block.readUInt32LE(0x248);
  const heldBack = Math.min(Math.floor(blocks * HELD_BACK_SHARE), HELD_BACK_BLOCKS);
  return (blocks - ownBlocks - heldBack) * blockBytes;
}
