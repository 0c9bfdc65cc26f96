// A file in the archive, to be read as one on this disk. It is fetched by blocks, so that a reader who
// wants the last lines of a big one does not fetch the rest.

import { createHash } from 'node:crypto';
import { JobletError } from '../../shared/errors.ts';
import type { ObjectStore } from './objects.ts';
import type { ArchivedFile } from './rows.ts';

/** Every reader holds so much, also one that does not read. */
const BLOCK_BYTES = 512 * 1024;
const MAX_BLOCKS = 2;

export class ArchivedBytes {
  readonly #store: ObjectStore;
  readonly #key: string;
  readonly #file: ArchivedFile;
  /** Those that were wanted last, the last one at the end. */
  readonly #blocks = new Map<number, Promise<Buffer>>();
  readonly #closing = new AbortController();

  constructor(store: ObjectStore, key: string, file: ArchivedFile) {
    this.#store = store;
    this.#key = key;
    this.#file = file;
  }

  /** Fills a part of a buffer from a place of the file; with less at its end only. */
  async read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }> {
    const wanted = Math.max(0, Math.min(length, this.#file.bytes - position));
    let bytesRead = 0;
    while (bytesRead < wanted) {
      const at = position + bytesRead;
      const block = await this.#block(Math.floor(at / BLOCK_BYTES));
      const begin = at % BLOCK_BYTES;
      bytesRead += block.copy(buffer, offset + bytesRead, begin, begin + wanted - bytesRead);
    }
    return { bytesRead };
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #block(number: number): Promise<Buffer> {
    const block = this.#blocks.get(number) ?? this.#fetch(number);
    this.#blocks.delete(number);
    this.#blocks.set(number, block);
    const [oldest] = this.#blocks.keys();
    if (this.#blocks.size > MAX_BLOCKS && oldest !== undefined) this.#blocks.delete(oldest);
    // What could not be fetched now is asked for again the next time.
    block.catch(() => this.#blocks.delete(number));
    return block;
  }

  async #fetch(number: number): Promise<Buffer> {
    const { bytes, sha256 } = this.#file;
    const from = number * BLOCK_BYTES;
    const to = Math.min(from + BLOCK_BYTES, bytes);
    const parts: Uint8Array[] = [];
    try {
      const stored = this.#store.get(this.#key, from, to, this.#closing.signal);
      for await (const part of stored) parts.push(part);
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
      throw this.#wrong('has it no more', error);
    }
    const block = Buffer.concat(parts);
    const isAll = to - from === bytes;
    // Of a part nobody knows what it has to be; those of logs have checksums of their own.
    if (isAll && createHash('sha256').update(block).digest('hex') !== sha256) {
      throw this.#wrong('gives back something else than it was given');
    }
    return block;
  }

  #wrong(what: string, cause?: unknown): JobletError {
    const message = `${this.#key} cannot be read: the archive ${this.#store.place} ${what}`;
    return new JobletError('unavailable', message, { cause });
  }
}
