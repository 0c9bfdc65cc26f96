// Entries of a job's log on their way to a client. What is read of a log is gone when more of it is asked
// for, so output is copied here: once, to where it lies in the message that travels.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { DataChunkSchema } from '../../gen/joblet/common_pb.ts';
import type { LogEntry } from '../jobs/logs.ts';
import { Stock } from '../logs/stock.ts';
import { FRAME_BYTES, Framed, putFrame } from './framed.ts';

/** What is said of output, and the output; where that lies in a room of ours, there is some before it. */
export type Chunk = MessageInitShape<typeof DataChunkSchema> & {
  readonly room?: Buffer<ArrayBuffer>;
};

/** Output bytes in one message: what is under way to many readers is to be little. */
const CHUNK_BYTES = 64 * 1024;

/** Before the output, for what else is in its message. */
const HEAD_BYTES = 128;

/** In a message, what says that its bytes of output follow: field 1, by its length. */
const PAYLOAD_TAG = 0x0a;

const nothing = new Uint8Array();

/** Less of it is copied once more: a room that waits for its reader is to hold what it takes. */
const ROOM_LEAST_BYTES = CHUNK_BYTES / 2;

const rooms = new Stock(HEAD_BYTES + CHUNK_BYTES, 32);

/** Messages as they travel; their rooms serve again when they have left. */
export async function* encodeChunks(chunks: AsyncIterable<Chunk>): AsyncGenerator<Framed> {
  for await (const { room, ...chunk } of chunks) {
    const { payload = nothing } = chunk;
    const other = toBinary(
      DataChunkSchema,
      create(DataChunkSchema, { ...chunk, payload: nothing }),
    );
    const tag = [PAYLOAD_TAG, ...varint(payload.length)];
    const headBytes = other.length + tag.length;
    const isLong = payload.length >= ROOM_LEAST_BYTES && FRAME_BYTES + headBytes <= HEAD_BYTES;
    const place = isLong ? room : undefined;
    const begin = place === undefined ? FRAME_BYTES : HEAD_BYTES - headBytes;
    const bytes = place ?? Buffer.allocUnsafe(FRAME_BYTES + headBytes + payload.length);
    putFrame(bytes, begin, headBytes + payload.length);
    bytes.set(other, begin);
    bytes.set(tag, begin + other.length);
    if (place === undefined) {
      bytes.set(payload, begin + headBytes);
      if (room !== undefined) rooms.give(room);
    }
    const end = begin + headBytes + payload.length;
    yield new Framed(bytes.subarray(begin - FRAME_BYTES, end), () => {
      if (place !== undefined) rooms.give(place);
    });
  }
}

/** Pieces for who does not send them on as they are; each is gone when the next one is asked for. */
export async function* passing(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
  for await (const chunk of chunks) {
    yield chunk;
    if (chunk.room !== undefined) rooms.give(chunk.room);
  }
}

/** A length as protobuf writes it. */
function varint(length: number): number[] {
  return length < 0x80 ? [length] : [(length & 0x7f) | 0x80, ...varint(length >>> 7)];
}

/** One entry, one message, unless it is long: for clients that look at times and streams. */
export async function* eachEntry(entries: AsyncIterable<LogEntry>): AsyncGenerator<Chunk> {
  for await (const entry of entries) {
    for (let at = 0; ; ) {
      const parcel = new Parcel(entry, at);
      at += parcel.add(entry.data.subarray(at));
      yield parcel.toChunk();
      if (at >= entry.data.length) break;
    }
  }
}

/**
 * Joins entries of one stream that are there already: a job that writes byte by byte costs its
 * readers a message for many writes. Nothing is held back to wait for more.
 */
export async function* joinEntries(entries: AsyncIterable<LogEntry>): AsyncGenerator<Chunk> {
  const iterator = entries[Symbol.asyncIterator]();
  let waiting: Parcel | undefined;
  try {
    for (;;) {
      const next = iterator.next();
      if (waiting !== undefined && !(await isReady(next))) {
        yield waiting.toChunk();
        waiting = undefined;
      }
      const { done, value: entry } = await next;
      if (done === true) break;
      if (waiting !== undefined && !waiting.takes(entry)) {
        yield waiting.toChunk();
        waiting = undefined;
      }
      waiting ??= new Parcel(entry, 0);
      for (let at = waiting.add(entry.data); at < entry.data.length; ) {
        yield waiting.toChunk();
        waiting = new Parcel(entry, at);
        at += waiting.add(entry.data.subarray(at));
      }
    }
  } catch (error) {
    // What came before the failure is the reader's.
    if (waiting !== undefined) yield waiting.toChunk();
    throw error;
  } finally {
    await iterator.return?.();
  }
  if (waiting !== undefined) yield waiting.toChunk();
}

/** Whether the next entry comes within this turn of the event loop. */
async function isReady(next: Promise<unknown>): Promise<boolean> {
  const turn = Promise.withResolvers<false>();
  setImmediate(() => turn.resolve(false));
  return Promise.race([next.then(isThere, isThere), turn.promise]);
}

function isThere(): true {
  return true;
}

/** A message that is being put together, with what is said of its first entry. */
class Parcel {
  readonly #first: LogEntry;
  readonly #position: number;
  readonly #room: Buffer<ArrayBuffer>;
  #length = 0;

  /** Begins with what stands in an entry behind `at` bytes. */
  constructor(first: LogEntry, at: number) {
    this.#first = first;
    this.#position = first.position + at;
    this.#room = rooms.take();
  }

  /** Whether an entry goes into one message with what is there. */
  takes({ stream, data }: LogEntry): boolean {
    if (stream !== this.#first.stream || stream === 'gap') return false;
    return this.#length + data.length <= CHUNK_BYTES;
  }

  /** Copies as much as there is room for; answers how much that is. */
  add(data: Uint8Array): number {
    const part = data.subarray(0, CHUNK_BYTES - this.#length);
    this.#room.set(part, HEAD_BYTES + this.#length);
    this.#length += part.length;
    return part.length;
  }

  toChunk(): Chunk {
    const { stream, timeNs, droppedBytes, reason, isApart } = this.#first;
    return {
      payload: this.#room.subarray(HEAD_BYTES, HEAD_BYTES + this.#length),
      room: this.#room,
      position: BigInt(this.#position),
      stream,
      timeNs,
      droppedBytes: BigInt(droppedBytes),
      gapReason: reason,
      apart: isApart === true,
    };
  }
}
