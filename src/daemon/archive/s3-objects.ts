// Objects in a bucket of an S3 store. Big ones are sent in parts, and what is sent of one when the daemon
// dies stays there: the next try asks the store for it, and goes on behind it.

import { createHash } from 'node:crypto';
import { JobletError } from '../../shared/errors.ts';
import { type ObjectStore, piecesOf, type Source, type Stored } from './objects.ts';
import {
  checkCompleted,
  formatParts,
  type Page,
  type Part,
  parseObjects,
  parseParts,
  parseUploadId,
  parseUploads,
} from './s3-answers.ts';
import { type Body, bodyOf, type S3Connection } from './s3-connection.ts';

/** Stores want at least 5 MiB, and take 10,000 parts. */
const PART_BYTES = 8 << 20;
/** Up to here an object is sent at once: a segment of the usual size, whatever is in it. */
const SINGLE_BYTES = 12 << 20;
const MAX_PARTS = 10_000;
/** Pages of a list that are believed: a hundred thousand objects below one prefix. */
const MAX_PAGES = 100;

export class S3Objects implements ObjectStore {
  readonly #connection: S3Connection;
  readonly #prefix: string;

  constructor(connection: S3Connection, prefix: string) {
    this.#connection = connection;
    this.#prefix = prefix;
  }

  get place(): string {
    return `${this.#connection.place}/${this.#prefix}`;
  }

  async put(key: string, source: Source, signal: AbortSignal): Promise<void> {
    const name = this.#prefix + key;
    if (source.bytes > SINGLE_BYTES) {
      await this.#putParts(name, source, signal);
      return;
    }
    const { bytes, sha256 } = source;
    const body = { bytes, sha256, pieces: piecesOf(source, 0, bytes) };
    await this.#connection.text({ method: 'PUT', key: name, body, signal });
  }

  async *get(
    key: string,
    from: number,
    to: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (to <= from) return;
    const name = this.#prefix + key;
    const range = `bytes=${from}-${to - 1}`;
    const { body } = await this.#connection.send({
      method: 'GET',
      key: name,
      headers: { range },
      signal,
    });
    let left = to - from;
    try {
      for await (const part of body as AsyncIterable<Buffer>) {
        left -= part.length;
        if (left < 0) break;
        yield part;
      }
    } catch (cause) {
      throw new JobletError('unavailable', `${this.#connection.place} broke off ${name}`, {
        cause,
      });
    } finally {
      body.destroy();
    }
    if (left !== 0) {
      const message = `${this.#connection.place} answers more or less of ${name} than bytes ${from} to ${to}`;
      throw new JobletError('unavailable', message);
    }
  }

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<Stored> {
    const query = { 'list-type': '2', prefix: this.#prefix + prefix };
    const pages = this.#pages('', query, 'continuation-token', parseObjects, signal);
    for await (const { key, bytes } of pages) {
      if (!key.startsWith(query.prefix)) throw this.#strange(`lists ${key} below ${query.prefix}`);
      yield { key: key.slice(this.#prefix.length), bytes };
    }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#connection.find({ method: 'DELETE', key: this.#prefix + key, signal });
  }

  async discardUnfinished(prefix: string, signal: AbortSignal): Promise<void> {
    for await (const { key, id } of this.#uploads(this.#prefix + prefix, signal)) {
      await this.#connection.find({ method: 'DELETE', key, query: { uploadId: id }, signal });
    }
  }

  async #putParts(name: string, source: Source, signal: AbortSignal): Promise<void> {
    const partBytes = Math.max(PART_BYTES, Math.ceil(source.bytes / MAX_PARTS));
    const { id, parts: there } = await this.#upload(name, signal);
    const parts: Pick<Part, 'number' | 'etag'>[] = [];
    for (let offset = 0; offset < source.bytes; offset += partBytes) {
      const number = parts.length + 1;
      const end = Math.min(offset + partBytes, source.bytes);
      const { md5, sha256 } = await hashesOf(source, offset, end, signal);
      const body = { bytes: end - offset, sha256, pieces: piecesOf(source, offset, end) };
      const known = there.get(number);
      const etag = isOf(known, body.bytes, md5)
        ? known.etag
        : await this.#putPart(name, id, number, body, signal);
      parts.push({ number, etag });
    }
    const body = bodyOf(formatParts(parts));
    const query = { uploadId: id };
    checkCompleted(await this.#connection.text({ method: 'POST', key: name, query, body, signal }));
    const stored = await this.#bytesOf(name, signal);
    if (stored === source.bytes) return;
    const found = stored === undefined ? 'nothing' : `${stored} bytes`;
    throw this.#strange(`holds ${found} as ${name}, and was sent ${source.bytes}`);
  }

  async #putPart(
    name: string,
    id: string,
    number: number,
    body: Body,
    signal: AbortSignal,
  ): Promise<string> {
    const query = { uploadId: id, partNumber: String(number) };
    const said = await this.#connection.find({ method: 'PUT', key: name, query, body, signal });
    if (said?.etag === undefined) throw this.#strange(`took no part ${number} of ${name}`);
    return said.etag;
  }

  /** The upload of a key that an earlier try has begun, or a new one. */
  async #upload(
    name: string,
    signal: AbortSignal,
  ): Promise<{ readonly id: string; readonly parts: ReadonlyMap<number, Part> }> {
    for await (const { key, id } of this.#uploads(name, signal)) {
      if (key !== name) continue;
      const query = { uploadId: id };
      const pages = this.#pages(name, query, 'part-number-marker', parseParts, signal);
      const parts = new Map<number, Part>();
      for await (const part of pages) parts.set(part.number, part);
      return { id, parts };
    }
    const query = { uploads: '' };
    const text = await this.#connection.text({ method: 'POST', key: name, query, signal });
    return { id: parseUploadId(text), parts: new Map() };
  }

  #uploads(prefix: string, signal: AbortSignal) {
    return this.#pages('', { uploads: '', prefix }, 'key-marker', parseUploads, signal);
  }

  /** The entries of all pages of a list. */
  async *#pages<T>(
    key: string,
    query: Readonly<Record<string, string>>,
    marker: string,
    parse: (text: string) => Page<T>,
    signal: AbortSignal,
  ): AsyncGenerator<T> {
    let next = '';
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const asked = next === '' ? query : { ...query, [marker]: next };
      const page = parse(await this.#connection.text({ method: 'GET', key, query: asked, signal }));
      yield* page.entries;
      if (page.next === '') return;
      next = page.next;
    }
    throw this.#strange(`lists more than ${MAX_PAGES} pages`);
  }

  async #bytesOf(name: string, signal: AbortSignal): Promise<number | undefined> {
    const said = await this.#connection.find({ method: 'HEAD', key: name, signal });
    return said === undefined ? undefined : Number(said['content-length']);
  }

  #strange(what: string): JobletError {
    return new JobletError('unavailable', `${this.#connection.place} ${what}`);
  }
}

/** Whether a part that is there is this one. A store that names parts otherwise gets it once more. */
function isOf(part: Part | undefined, bytes: number, md5: string): part is Part {
  return part?.bytes === bytes && part.etag.replaceAll('"', '') === md5;
}

async function hashesOf(source: Source, from: number, to: number, signal: AbortSignal) {
  const hashes = { md5: createHash('md5'), sha256: createHash('sha256') };
  for await (const piece of piecesOf(source, from, to)) {
    signal.throwIfAborted();
    for (const hash of Object.values(hashes)) hash.update(piece);
  }
  return { md5: hashes.md5.digest('hex'), sha256: hashes.sha256.digest('hex') };
}
