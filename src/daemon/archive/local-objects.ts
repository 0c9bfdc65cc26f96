// Objects in a directory: a disk of another machine that is mounted here, or a second one. Keys are
// paths below it. It is never made: where it is not there, a disk is not mounted.

import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { syncDirectory } from '../store/sync-directory.ts';
import { type ObjectStore, piecesOf, type Source, type Stored } from './objects.ts';

/** Behind the name of an object that is not whole. */
const PART = '.part';

export class LocalObjects implements ObjectStore {
  readonly place: string;

  constructor(directory: string) {
    this.place = directory;
  }

  async put(key: string, source: Source, signal: AbortSignal): Promise<void> {
    const file = this.#fileOf(key);
    const directory = path.dirname(file);
    try {
      await this.#requirePlace();
      const made = await mkdir(directory, { recursive: true, mode: 0o700 });
      const part = await open(file + PART, 'w', 0o600);
      try {
        await copy(source, part, signal);
        await part.sync();
      } finally {
        await part.close();
      }
      await rename(file + PART, file);
      syncDirectory(directory);
      if (made !== undefined) syncDirectory(path.dirname(made));
    } catch (error) {
      throw this.#broken(error);
    }
  }

  async *get(
    key: string,
    from: number,
    to: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (to <= from) return;
    await this.#requirePlace();
    let left = to - from;
    try {
      const stream = createReadStream(this.#fileOf(key), { start: from, end: to - 1, signal });
      for await (const part of stream as AsyncIterable<Buffer>) {
        left -= part.length;
        yield part;
      }
    } catch (error) {
      throw this.#broken(error);
    }
    if (left > 0) throw this.#broken(new Error(`${key} has no bytes ${from} to ${to}`));
  }

  async *list(prefix: string): AsyncGenerator<Stored> {
    await this.#requirePlace();
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for (const entry of await this.#entries(folder)) {
      const key = folder + entry.name;
      if (!key.startsWith(prefix) || key.endsWith(PART)) continue;
      if (entry.isDirectory()) yield* this.list(`${key}/`);
      else yield { key, bytes: (await stat(this.#fileOf(key))).size };
    }
  }

  async delete(key: string): Promise<void> {
    const file = this.#fileOf(key);
    try {
      await rm(file, { force: true });
      await rm(file + PART, { force: true });
      await removeIfEmpty(path.dirname(file));
    } catch (error) {
      throw this.#broken(error);
    }
  }

  async discardUnfinished(prefix: string): Promise<void> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for (const { name } of await this.#entries(folder)) {
      const key = folder + name;
      if (key.startsWith(prefix) && key.endsWith(PART))
        await rm(this.#fileOf(key), { force: true });
    }
  }

  async #requirePlace(): Promise<void> {
    const found = await stat(this.place).catch(() => undefined);
    if (found?.isDirectory() === true) return;
    const message = `the archive cannot be used: there is no directory ${this.place}; make it, or mount what belongs there`;
    throw new JobletError('unavailable', message, { about: this.place });
  }

  async #entries(folder: string) {
    try {
      return await readdir(this.#fileOf(folder), { withFileTypes: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw this.#broken(error);
    }
  }

  /** Nothing above the directory has a key. */
  #fileOf(key: string): string {
    const file = path.join(this.place, key);
    if (path.relative(this.place, file).startsWith('..')) {
      throw new JobletError('invalid', `${key} is no key: it leads out of ${this.place}`);
    }
    return file;
  }

  #broken(error: unknown): JobletError {
    if (error instanceof JobletError) return error;
    const { code } = error as NodeJS.ErrnoException;
    return new JobletError(
      code === 'ENOENT' ? 'not-found' : 'unavailable',
      `the archive in ${this.place} cannot be used: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function copy(source: Source, file: FileHandle, signal: AbortSignal): Promise<void> {
  for await (const piece of piecesOf(source, 0, source.bytes)) {
    signal.throwIfAborted();
    await file.writeFile(piece);
  }
}

/** The directory of a job goes with its last object. */
async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code ?? '')) throw error;
  });
}
