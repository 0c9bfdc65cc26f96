// Entries of a job's log on their way to a client.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { DataChunkSchema } from '../../gen/joblet/common_pb.ts';
import type { LogEntry } from '../jobs/logs.ts';
import { Encoded } from './handlers.ts';

type Chunk = MessageInitShape<typeof DataChunkSchema>;

/** Output bytes in one message: what is under way to many readers is to be little. */
const CHUNK_BYTES = 64 * 1024;

/** In a message, what says that its bytes of output follow: field 1, by its length. */
const PAYLOAD_TAG = 0x0a;

/** Messages as they travel. Output is most of what a daemon sends, so it is copied once on the way. */
export async function* encodeChunks(chunks: AsyncIterable<Chunk>): AsyncGenerator<Encoded> {
  for await (const chunk of chunks) {
    const { payload = nothing } = chunk;
    const other = toBinary(
      DataChunkSchema,
      create(DataChunkSchema, { ...chunk, payload: nothing }),
    );
    const head = [PAYLOAD_TAG, ...varint(payload.length)];
    yield new Encoded(Buffer.concat([other, Buffer.from(head), payload]));
  }
}

const nothing = new Uint8Array();

/** A length as protobuf writes it. */
function varint(length: number): number[] {
  return length < 0x80 ? [length] : [(length & 0x7f) | 0x80, ...varint(length >>> 7)];
}

/** One entry, one message, unless it is long: for clients that look at times and streams. */
export async function* eachEntry(entries: AsyncIterable<LogEntry>): AsyncGenerator<Chunk> {
  for await (const entry of entries) yield* toChunks([entry]);
}

/**
 * Joins entries of one stream that are there already: a job that writes byte by byte costs its
 * readers a message for many writes. Nothing is held back to wait for more.
 */
export async function* joinEntries(entries: AsyncIterable<LogEntry>): AsyncGenerator<Chunk> {
  const iterator = entries[Symbol.asyncIterator]();
  let waiting: LogEntry[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const next = iterator.next();
      if (waiting.length > 0 && !(await isReady(next))) {
        yield* toChunks(waiting);
        waiting = [];
      }
      const { done, value: entry } = await next;
      if (done === true) break;
      if (waiting.length > 0 && !joins(waiting[0], bytes, entry)) {
        yield* toChunks(waiting);
        waiting = [];
      }
      if (waiting.length === 0) bytes = 0;
      waiting.push(entry);
      bytes += entry.data.length;
    }
  } catch (error) {
    // What came before the failure is the reader's.
    yield* toChunks(waiting);
    throw error;
  } finally {
    await iterator.return?.();
  }
  yield* toChunks(waiting);
}

/** Whether an entry goes into one message with those that wait. */
function joins(first: LogEntry | undefined, bytes: number, entry: LogEntry): boolean {
  if (first?.stream !== entry.stream || entry.stream === 'gap') return false;
  return bytes + entry.data.length <= CHUNK_BYTES;
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

/** Entries of one stream that follow each other, as one message, or as several of what is longer. */
function* toChunks(entries: readonly LogEntry[]): Generator<Chunk> {
  const [first] = entries;
  if (first === undefined) return;
  if (entries.length > 1) yield toChunk(first, Buffer.concat(entries.map(({ data }) => data)));
  else if (first.data.length <= CHUNK_BYTES) yield toChunk(first, first.data);
  else {
    for (let at = 0; at < first.data.length; at += CHUNK_BYTES) {
      const position = first.position + at;
      yield toChunk({ ...first, position }, first.data.subarray(at, at + CHUNK_BYTES));
    }
  }
}

/** A message with what is said of its first entry. */
function toChunk(first: LogEntry, payload: Uint8Array): Chunk {
  return {
    payload: payload as Uint8Array<ArrayBuffer>,
    position: BigInt(first.position),
    stream: first.stream,
    timeNs: first.timeNs,
    droppedBytes: BigInt(first.droppedBytes),
    gapReason: first.reason,
    apart: first.isApart === true,
  };
}
