// Reads what is in a pack that somebody else made, entry by entry: zip, or tar as it is or compressed by
// zstd or gzip. It is bounded by how much bigger than the pack it may be.

import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { openPromise, type Entry as ZipEntry, type ZipFile } from 'yauzl';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { TarEntry } from '../../shared/tar-writer.ts';
import { MAX_PATH_BYTES } from './manifest.ts';
import { type EntrySink, TarReader } from './tar-reader.ts';

export interface Reading {
  /** Of a zip file, which says how many it has. */
  readonly maxEntries: number;
  /** A zip file can be read in any order; tar is read as it comes. */
  readonly inOrder: <T extends { readonly fileName: string }>(entries: readonly T[]) => T[];
  /** Hears how much of the pack has been read; what it throws ends that. */
  readonly tell: (read: number, packBytes: number) => void;
}

/** No program text and no data of a runtime is that empty. */
const MAX_RATIO = 200;
/** Below this a high ratio does no harm. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;

/** Gives all that is in a pack to `sink`. @throws JobletError invalid, exhausted; and what `sink` throws */
export async function readArchive(pack: string, sink: EntrySink, reading: Reading): Promise<void> {
  const count = counter(statSync(pack).size, reading.tell);
  if (formatOf(pack) === 'zip') await readZip(pack, sink, reading, count);
  else await readTar(pack, sink, count);
}

type Format = 'zip' | 'zstd' | 'gzip' | 'tar';

/** By its first bytes, whatever it is called. */
function formatOf(pack: string): Format {
  const head = Buffer.alloc(265);
  const fd = openSync(pack, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const first = head.readUInt32BE(0);
  if (first === 0x504b0304 || first === 0x504b0506) return 'zip';
  if (first === 0x28b52ffd) return 'zstd';
  if (first >>> 16 === 0x1f8b) return 'gzip';
  if (head.toString('latin1', 257, 262) === 'ustar') return 'tar';
  throw new JobletError(
    'invalid',
    'the pack is neither a zip nor a tar archive, nor one by zstd or gzip',
  );
}

/** Counts what comes out of a pack, and stops what grows without end. */
function counter(
  packBytes: number,
  tell: (read: number, packBytes: number) => void,
): (bytes: number, read: number) => void {
  let total = 0;
  return (bytes, read) => {
    total += bytes;
    tell(Math.min(read, packBytes), packBytes);
    if (total > RATIO_FREE_BYTES && total > packBytes * MAX_RATIO) {
      const message = `the pack is refused: what is in it has more than ${MAX_RATIO} times its size`;
      throw new JobletError('exhausted', message);
    }
  };
}

async function readTar(
  pack: string,
  sink: EntrySink,
  count: (bytes: number, read: number) => void,
): Promise<void> {
  const reader = new TarReader(sink);
  const file = createReadStream(pack, { highWaterMark: 1 << 20 });
  const format = formatOf(pack);
  const stream: Readable =
    format === 'tar'
      ? file
      : file.pipe(format === 'zstd' ? createZstdDecompress() : createGunzip());
  file.once('error', (error) => stream.destroy(error));
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      count(chunk.length, file.bytesRead);
      reader.push(chunk);
    }
  } catch (error) {
    throw readable(error);
  } finally {
    file.destroy();
    stream.destroy();
  }
  reader.end();
}

/** What yauzl and decompressors throw is about the bytes; what the disk says stays as it is. */
function readable(error: unknown): unknown {
  const isDisk = (error as NodeJS.ErrnoException).syscall !== undefined;
  if (error instanceof JobletError || isDisk) return error;
  return new JobletError('invalid', `the pack is damaged: ${messageOf(error)}`, { cause: error });
}

async function readZip(
  pack: string,
  sink: EntrySink,
  { maxEntries, inOrder }: Reading,
  count: (bytes: number, read: number) => void,
): Promise<void> {
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(pack, { autoClose: false });
    if (zip.entryCount > maxEntries) {
      const message = `a runtime holds at most ${maxEntries} files, folders and links (runtime.maxFiles), and the pack has ${zip.entryCount}`;
      throw new JobletError('exhausted', message);
    }
    const entries: ZipEntry[] = [];
    for await (const entry of zip.eachEntry()) entries.push(entry);
    let read = 0;
    for (const entry of inOrder(entries)) {
      read += entry.compressedSize;
      // Empty files and folders have nothing to be counted, and are work all the same.
      count(0, read);
      await readZipEntry(zip, entry, sink, (bytes) => count(bytes, read));
    }
  } catch (error) {
    throw readable(error);
  } finally {
    zip?.close();
  }
}

const FILE_TYPE = 0o170000;
const zipTypes: ReadonlyMap<number, TarEntry['type']> = new Map([
  [0o100000, 'file'],
  [0o040000, 'folder'],
  [0o120000, 'link'],
]);
/** The system that zip says has made an entry, where permissions mean something. */
const MADE_BY_UNIX = 3;

async function readZipEntry(
  zip: ZipFile,
  entry: ZipEntry,
  sink: EntrySink,
  count: (bytes: number) => void,
): Promise<void> {
  const { fileName, uncompressedSize: size } = entry;
  const isFolder = fileName.endsWith('/');
  const unix = entry.versionMadeBy >>> 8 === MADE_BY_UNIX ? entry.externalFileAttributes >>> 16 : 0;
  const mode = unix === 0 ? (isFolder ? 0o755 : 0o644) : unix;
  const type =
    (mode & FILE_TYPE) === 0 ? (isFolder ? 'folder' : 'file') : zipTypes.get(mode & FILE_TYPE);
  if (type === undefined || (type === 'folder') !== isFolder) {
    const shown = JSON.stringify(fileName.slice(0, 200));
    throw new JobletError(
      'invalid',
      `the pack is refused: ${shown} is neither a file nor a folder nor a link`,
    );
  }
  if (entry.isEncrypted()) throw new JobletError('invalid', 'the pack is encrypted');
  const common = { path: fileName, type, mode: mode & 0o7777, uid: 0, gid: 0, time: 0 };
  if (type === 'file') {
    sink.begin({ ...common, size, target: '' });
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
      count(chunk.length);
      sink.write(chunk);
    }
    return;
  }
  const target = type === 'link' ? await readTarget(zip, entry) : '';
  sink.begin({ ...common, size: 0, target });
}

async function readTarget(zip: ZipFile, entry: ZipEntry): Promise<string> {
  if (entry.uncompressedSize > MAX_PATH_BYTES) {
    throw new JobletError(
      'invalid',
      `the pack is refused: ${entry.fileName} links to too long a name`,
    );
  }
  const parts: Buffer[] = [];
  for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString();
}
