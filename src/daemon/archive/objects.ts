// The port to where the archive lies: objects of bytes under keys, whole or not there at all.

/** Bytes that are there to be read as often as needed, and do not change meanwhile. */
export interface Source {
  readonly bytes: number;
  /** All of `length` bytes from an offset. */
  read(offset: number, length: number): Promise<Buffer>;
}

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
    read: async (offset, length) => content.subarray(offset, offset + length),
  };
}
