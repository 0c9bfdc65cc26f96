// A segment that is open for reading, raw or sealed: both give their records in the same pieces.

import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { constants, crc32, zstdDecompress } from 'node:zlib';
import { type OpenFile, parseRun, type Room, RUN_BYTES, type Run, RunReader } from './records.ts';
import { type Frame, indexBytesOf, parseIndex } from './sealed-index.ts';
import { listSegments, rawName, type Segment, sealedName } from './segments.ts';
import { Stock } from './stock.ts';
import { type Contents, contentsOf } from './summary.ts';

/** Records that were not opened: nobody wants them, or they are damaged. */
export interface Passed {
  readonly passed: Contents;
  readonly isDamaged: boolean;
}

/** A run that can be opened. */
export interface Part {
  readonly contents: Contents;
  /** Undefined when it is damaged. */
  load(): Promise<Run | undefined>;
}

/** Whether a reader wants anything of a run. */
export type Wants = (contents: Contents) => boolean;

export interface SegmentFile {
  readonly base: number;
  /**
   * What comes next, to the end of what is there; of a raw segment that grows there may be more later, and
   * what has just been written is near.
   */
  pieces(wants: Wants, isNear?: boolean): AsyncGenerator<Run | Passed>;
  /** All that is in it now, in the order of arrival. */
  parts(): Promise<readonly Part[]>;
  close(): Promise<void>;
}

/** Where the bytes of a sealed segment are. */
export interface Source {
  readonly bytes: number;
  /** So many bytes from a place on, or fewer at the end; they lie in `room` if they are not too many for it. */
  read(offset: number, bytes: number, room?: Buffer): Promise<Buffer>;
  close(): Promise<void>;
}

/** An index is mostly shorter, and then read at once. */
const TAIL_BYTES = 8 * 1024;

/** Where the segments of a log are. */
export interface SegmentPlace {
  /** In the order of their bytes. */
  list(): Promise<readonly Pick<Segment, 'base'>[]>;
  /** Undefined when it is not there any more. */
  open(base: number): Promise<SegmentFile | undefined>;
}

/** Those in a directory of this node; with a room, each piece is gone when the next one is asked for. */
export function segmentsIn(directory: string, room?: Room): SegmentPlace {
  return {
    list: () => listSegments(directory),
    open: (base) => openSegment(directory, base, room),
  };
}

/** Opens a segment of a log; undefined when it is not there any more. */
export async function openSegment(
  directory: string,
  base: number,
  room?: Room,
): Promise<SegmentFile | undefined> {
  const raw = await openIfThere(path.join(directory, rawName(base)));
  if (raw !== undefined) return new RawSegment(base, fileOf(raw), room);
  const sealed = await openIfThere(path.join(directory, sealedName(base)));
  return sealed && openSealed(base, await sourceOf(sealed), room !== undefined);
}

/** Opens a segment that lies elsewhere, in a file of so many bytes. */
export async function openElsewhere(
  { base, isSealed }: Pick<Segment, 'base' | 'isSealed'>,
  file: OpenFile,
  bytes: number,
  room?: Room,
): Promise<SegmentFile> {
  if (!isSealed) return new RawSegment(base, file, room);
  return openSealed(base, sourceIn(file, bytes), room !== undefined);
}

/**
 * Opens a sealed segment; one whose index is damaged gives nothing. The pieces of one that is passing are
 * gone when the next one is asked for.
 */
export async function openSealed(
  base: number,
  source: Source,
  isPassing = false,
): Promise<SegmentFile> {
  try {
    return new SealedSegment(base, source, await readFrames(source), isPassing);
  } catch (error) {
    await source.close();
    throw error;
  }
}

class RawSegment implements SegmentFile {
  readonly base: number;
  readonly #file: OpenFile;
  readonly #reader: RunReader;

  constructor(base: number, file: OpenFile, room?: Room) {
    this.base = base;
    this.#file = file;
    this.#reader = new RunReader(file, room);
  }

  async *pieces(_: Wants, isNear = false): AsyncGenerator<Run> {
    for (;;) {
      const run = await this.#reader.next(isNear);
      if (run === undefined) return;
      yield run;
    }
  }

  async parts(): Promise<readonly Part[]> {
    const reader = new RunReader(this.#file);
    const parts: Part[] = [];
    for (;;) {
      const { offset } = reader;
      const run = await reader.next();
      if (run === undefined) return parts;
      const contents = contentsOf(run);
      const load = async () => parseRun(await readAt(this.#file, offset, contents.rawBytes));
      parts.push({ contents, load });
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

class SealedSegment implements SegmentFile {
  readonly base: number;
  readonly #source: Source;
  readonly #frames: readonly Frame[];
  readonly #isPassing: boolean;
  #isRead = false;

  constructor(base: number, source: Source, frames: readonly Frame[], isPassing: boolean) {
    this.base = base;
    this.#source = source;
    this.#frames = frames;
    this.#isPassing = isPassing;
  }

  /** The next frame that is wanted is unpacked while the one before it is looked at. */
  async *pieces(wants: Wants): AsyncGenerator<Run | Passed> {
    if (this.#isRead) return;
    this.#isRead = true;
    const wanted = this.#frames.map(wants);
    let ahead: Promise<Run | undefined> | undefined;
    for (const [number, frame] of this.#frames.entries()) {
      if (wanted[number] !== true) {
        yield { passed: frame, isDamaged: false };
        continue;
      }
      const run = await (ahead ?? this.#load(frame));
      const next = wanted.indexOf(true, number + 1);
      const nextFrame = this.#frames[next];
      ahead = nextFrame && this.#load(nextFrame);
      // Whoever leaves meanwhile does not ask what became of it.
      ahead?.catch(() => {});
      yield run ?? { passed: frame, isDamaged: true };
      // Smaller ones lie in a pool together with others.
      const isOwn = frame.rawBytes > Buffer.poolSize;
      if (run !== undefined && isOwn && this.#isPassing) giveBack(run.bytes);
    }
  }

  async parts(): Promise<readonly Part[]> {
    return this.#frames.map((frame) => ({ contents: frame, load: () => this.#load(frame) }));
  }

  async #load(frame: Frame): Promise<Run | undefined> {
    const room = packedRooms.take();
    try {
      return await unpack(frame, await this.#source.read(frame.offset, frame.packedBytes, room));
    } finally {
      packedRooms.give(room);
    }
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/** Where frames lie until they are unpacked. */
const packedRooms = new Stock(RUN_BYTES, 16);

/** A frame is unpacked at once rather than in many chunks; a chunk is never smaller. */
const LEAST_CHUNK_BYTES = 64;

const decompress = promisify(zstdDecompress);

/** Memory that a frame may have taken: 2 MiB, which is more than any of ours has. */
const WINDOW = { [constants.ZSTD_d_windowLogMax]: 21 };

/** The records of a frame; undefined when they are not those that were sealed. */
async function unpack({ packedBytes, rawBytes, checksum }: Frame, packed: Buffer) {
  if (packed.length !== packedBytes || crc32(packed) !== checksum) return undefined;
  const sizes = { maxOutputLength: rawBytes, chunkSize: rawBytes + LEAST_CHUNK_BYTES };
  const bytes = await decompress(packed, { ...sizes, params: WINDOW }).catch(() => undefined);
  const run = bytes && parseRun(bytes);
  return run?.bytes.length === rawBytes ? run : undefined;
}

/**
 * Gives back the memory of a buffer at once. What lies outside of V8's heap counts where it decides to look
 * for garbage, in all of the heap: a GB of logs that is searched had it do so for two thirds of the time.
 */
function giveBack({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

async function readFrames(source: Source): Promise<readonly Frame[]> {
  const tailBytes = Math.min(TAIL_BYTES, source.bytes);
  const tail = await source.read(source.bytes - tailBytes, tailBytes);
  const indexBytes = indexBytesOf(tail);
  if (indexBytes === undefined || indexBytes > source.bytes) return [];
  const index =
    indexBytes <= tail.length
      ? tail.subarray(tail.length - indexBytes)
      : await source.read(source.bytes - indexBytes, indexBytes);
  return parseIndex(index, source.bytes) ?? [];
}

async function sourceOf(file: FileHandle): Promise<Source> {
  return sourceIn(file, (await file.stat()).size);
}

function sourceIn(file: OpenFile, bytes: number): Source {
  return {
    bytes,
    read: (offset, length, room) => readAt(file, offset, length, room),
    close: () => file.close(),
  };
}

/** A file of this node. */
function fileOf(handle: FileHandle): OpenFile {
  return {
    read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position),
    readNow: (buffer, offset, length, position) =>
      readSync(handle.fd, buffer, offset, length, position),
    close: () => handle.close(),
  };
}

async function readAt(
  file: OpenFile,
  offset: number,
  bytes: number,
  room?: Buffer,
): Promise<Buffer> {
  const buffer = room !== undefined && bytes <= room.length ? room : Buffer.allocUnsafe(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, offset);
  return buffer.subarray(0, bytesRead);
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  return open(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
