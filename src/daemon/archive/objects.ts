// The port to where the archive lies: objects of bytes under keys, whole or not there at all.

import { createHash } from 'node:crypto';

/** Bytes that are there to be read as often as needed, and do not change meanwhile. */
export interface Source {
  readonly bytes: number;
  /** Of all of them, as hex digits. */
  readonly sha256: string;
  /** Fills all of a buffer from an offset on. */
  read(into: Buffer, offset: number): Promise<void>;
}

/** What of a source is in memory at a time. */
const PIECE_BYTES = 256 * 1024;

export interface Stored {
  readonly key: string;
  readonly bytes: number;
}

/** Every call fails with JobletError `unavailable` when the store does not do its part. */
export interface ObjectStore {
  /** Where it is, for people; holds no secret. */
  readonly place: string;
  /**
   * Stores an object whole, in the place of one that has the key. What an earlier try of the same
   * bytes has brought there is used.
   */
  put(key: string, source: Source, signal: AbortSignal): Promise<void>;
  /** The bytes from `from` up to, not including, `to`. @throws JobletError not-found */
  get(key: string, from: number, to: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** All whose keys begin so. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<Stored>;
  /** One that is not there is deleted. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** What of unfinished tries is left under keys that begin so. */
  discardUnfinished(prefix: string, signal: AbortSignal): Promise<void>;
}

/** Bytes that are in memory already. */
export function sourceOf(content: Buffer): Source {
  return {
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    read: async (into, offset) => {
      content.copy(into, 0, offset);
    },
  };
}

/**
 * The bytes of a source from `from` up to, not including, `to`, in pieces that all have the same place in
 * memory: each is there until the next one is asked for.
 */
export async function* piecesOf(
  source: Pick<Source, 'read'>,
  from: number,
  to: number,
): AsyncGenerator<Buffer> {
  const room = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, to - from));
  for (let at = from; at < to; at += room.length) {
    const piece = room.subarray(0, Math.min(room.length, to - at));
    await source.read(piece, at);
    yield piece;
  }
}
