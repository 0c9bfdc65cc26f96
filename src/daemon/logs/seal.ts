// Seals a segment: packs its records in frames, each compressed by itself, with an index behind them.
// A crash at any moment leaves the one or the other whole, or both; then sealing is done again.

import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { crc32, zstdCompress } from 'node:zlib';
import { carriesOutput } from '../../shared/log-record.ts';
import { Room, RUN_BYTES, type Run, RunReader } from './records.ts';
import { type Frame, formatIndex } from './sealed-index.ts';
import { rawName, sealedName, unfinishedName } from './segments.ts';
import { contentsOf, endOf } from './summary.ts';

/** Packs the bytes of a frame. */
export type Compress = (
  bytes: Buffer,
  options: { readonly pledgedSrcSize: number; readonly chunkSize: number },
) => Promise<Buffer>;

const inPool: Compress = promisify(zstdCompress);

/** Taken at a time for what a frame is packed into: mostly once, and nothing is put together. */
const PACKED_BYTES = RUN_BYTES + 1024;

/**
 * Puts a sealed segment into the place of one that nobody writes to any more. False, and all is left as
 * it was, when its records do not follow each other up to its end: a crash of the machine has torn it.
 */
export async function sealSegment(
  directory: string,
  base: number,
  signal: AbortSignal,
  compress: Compress = inPool,
): Promise<boolean> {
  const raw = path.join(directory, rawName(base));
  const unfinished = path.join(directory, unfinishedName(base));
  const from = await open(raw);
  try {
    const to = await open(unfinished, 'w', 0o600);
    const room = new Room();
    try {
      const reader = new RunReader(from, room);
      if (!(await pack(reader, to, base, signal, compress))) return false;
      if (reader.offset !== (await from.stat()).size) return false;
      await to.sync();
    } finally {
      room.leave();
      await to.close();
    }
    await rename(unfinished, path.join(directory, sealedName(base)));
  } finally {
    await from.close();
    await rm(unfinished, { force: true });
  }
  const names = await open(directory);
  await names.sync().finally(() => names.close());
  await rm(raw, { force: true });
  return true;
}

/** One frame after the other, so that sealing never takes more than one thread. */
async function pack(
  reader: RunReader,
  to: FileHandle,
  base: number,
  signal: AbortSignal,
  compress: Compress,
): Promise<boolean> {
  const frames: Frame[] = [];
  let offset = 0;
  let reached = base;
  for (let run = await reader.next(); run !== undefined; run = await reader.next()) {
    signal.throwIfAborted();
    if (!follows(run, reached)) return false;
    const contents = contentsOf(run);
    const bytes = await compress(run.bytes, {
      pledgedSrcSize: run.bytes.length,
      chunkSize: PACKED_BYTES,
    });
    await to.appendFile(bytes);
    frames.push({ offset, packedBytes: bytes.length, checksum: crc32(bytes), ...contents });
    offset += bytes.length;
    reached = endOf(contents);
  }
  if (frames.length === 0) return false;
  await to.appendFile(formatIndex(frames));
  return true;
}

/** Whether each record of a run stands where the one before it ends, the first at `position`. */
function follows({ records }: Run, position: number): boolean {
  let reached = position;
  return records.every(({ header }) => {
    const isNext = header.position === reached;
    if (carriesOutput(header.stream)) reached += header.length;
    return isNext;
  });
}
