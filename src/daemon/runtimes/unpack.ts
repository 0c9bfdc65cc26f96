// Reads a pack that somebody else made into an empty directory: zip, or tar as it is or compressed by
// zstd or gzip. Bounded by what may be in a runtime, by how much bigger than the pack it may be, and,
// where the pack begins with a signed manifest, by what that says. See tree-writer.ts for the rest.

import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { openPromise, type Entry as ZipEntry, type ZipFile } from 'yauzl';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { TarEntry } from '../../shared/tar-writer.ts';
import { MAX_PATH_BYTES } from './manifest.ts';
import { ManifestGuard, type Trust, type Unpacked } from './manifest-guard.ts';
import type { TreeLimits, Witness } from './settle.ts';
import { TarReader } from './tar-reader.ts';
import { TreeWriter } from './tree-writer.ts';

export interface Unpacking {
  readonly pack: string;
  /** An empty directory. */
  readonly target: string;
  readonly limits: TreeLimits;
  readonly trust: Trust;
}

/** No program text and no data of a runtime is that empty. */
const MAX_RATIO = 200;
/** Below this a high ratio does no harm. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;

export async function unpack(order: Unpacking, witness: Witness): Promise<Unpacked> {
  const { pack, target, limits, trust } = order;
  const guard = new ManifestGuard(target, trust);
  const writer = new TreeWriter(target, limits, (entry) => guard.check(entry));
  const count = counter(statSync(pack).size, witness);
  try {
    if (formatOf(pack) === 'zip') await unpackZip(pack, writer, guard, limits, count);
    else await unpackTar(pack, writer, count);
    writer.end();
  } finally {
    writer.discard();
  }
  return guard.finish();
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
function counter(packBytes: number, witness: Witness): (bytes: number, read: number) => void {
  let total = 0;
  return (bytes, read) => {
    total += bytes;
    witness.goOn();
    witness.tell(Math.min(read, packBytes), packBytes);
    if (total > RATIO_FREE_BYTES && total > packBytes * MAX_RATIO) {
      const message = `the pack is refused: what is in it has more than ${MAX_RATIO} times its size`;
      throw new JobletError('exhausted', message);
    }
  };
}

async function unpackTar(
  pack: string,
  writer: TreeWriter,
  count: (bytes: number, read: number) => void,
): Promise<void> {
  const reader = new TarReader(writer);
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

async function unpackZip(
  pack: string,
  writer: TreeWriter,
  guard: ManifestGuard,
  limits: TreeLimits,
  count: (bytes: number, read: number) => void,
): Promise<void> {
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(pack, { autoClose: false });
    if (zip.entryCount > limits.maxFiles) {
      const message = `a runtime holds at most ${limits.maxFiles} files, folders and links (runtime.maxFiles), and the pack has ${zip.entryCount}`;
      throw new JobletError('exhausted', message);
    }
    const entries: ZipEntry[] = [];
    for await (const entry of zip.eachEntry()) entries.push(entry);
    let read = 0;
    // Wherever the manifest stands, it is read first.
    for (const entry of guard.manifestFirst(entries, (one) => one.fileName)) {
      read += entry.compressedSize;
      await unpackZipEntry(zip, entry, writer, (bytes) => count(bytes, read));
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

async function unpackZipEntry(
  zip: ZipFile,
  entry: ZipEntry,
  writer: TreeWriter,
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
    writer.begin({ ...common, size, target: '' });
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
      count(chunk.length);
      writer.write(chunk);
    }
    return;
  }
  const target = type === 'link' ? await readTarget(zip, entry) : '';
  writer.begin({ ...common, size: 0, target });
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
