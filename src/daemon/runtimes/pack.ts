// Packs an installed tree into one file. What unpacks it, here or anywhere, with a program of the
// system or with ours, has the tree again; it begins with its manifest and signature. The same tree
// gives the same file.
//
//   NAME/VERSION/manifest.json, manifest.sig, runtime.yml, isolated/...

import { createHash } from 'node:crypto';
import {
  closeSync,
  createWriteStream,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { ZipFile } from 'yazl';
import { JobletError } from '../../shared/errors.ts';
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../../shared/tar-writer.ts';
import { TREE_TIME_S } from '../../shared/tree-time.ts';
import { RUNTIME_FILE } from './layout.ts';
import {
  type Entry,
  type FileEntry,
  MANIFEST_FILE,
  type Manifest,
  parseManifest,
  SIGNATURE_FILE,
} from './manifest.ts';
import type { Witness } from './settle.ts';

export const packFormats = ['tar.zst', 'zip'] as const;
export type PackFormat = (typeof packFormats)[number];

export interface Packing {
  readonly tree: string;
  readonly format: PackFormat;
  /** A file that does not exist yet. */
  readonly target: string;
}

export interface Packed {
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly sha256: string;
}

const PART_BYTES = 1 << 20;
const ZSTD_LEVEL = 9;
/** Names of one file in an archive: no file system that it may be unpacked on allows endless ones. */
const MAX_COPIES = 10_000;

export async function packTree(order: Packing, witness: Witness): Promise<Packed> {
  const { tree, format, target } = order;
  const manifest = readManifest(tree);
  const source = new PackSource(tree, manifest, witness);
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(undefined, chunk);
    },
  });
  const file = createWriteStream(target, { flags: 'wx', flush: true });
  if (format === 'zip') await pipeline(zipOf(source), counted, file);
  else await pipeline(Readable.from(tarOf(source)), zstd(), counted, file);
  const { name, version } = manifest;
  return { name, version, bytes, sha256: hash.digest('hex') };
}

/** What a pack is called. */
export function packName(name: string, version: string, format: PackFormat): string {
  return `${name}-${version}.${format}`;
}

function readManifest(tree: string): Manifest {
  try {
    return parseManifest(readFileSync(path.join(tree, MANIFEST_FILE)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const message = `${tree} has no manifest, as whatever was unpacked by hand; install its folder with \`rnx runtime install FOLDER\`, and pack that`;
    throw new JobletError('wrong-state', message);
  }
}

function zstd() {
  return createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

/** The entries of a pack with their bytes, which are what the manifest says or are not packed. */
class PackSource {
  readonly prefix: string;
  readonly #tree: string;
  readonly #manifest: Manifest;
  readonly #witness: Witness;
  readonly #total: number;
  #done = 0;

  constructor(tree: string, manifest: Manifest, witness: Witness) {
    this.prefix = `${manifest.name}/${manifest.version}`;
    this.#tree = tree;
    this.#manifest = manifest;
    this.#witness = witness;
    const sizes = manifest.entries.map((entry) => (entry.type === 'file' ? entry.size : 0));
    this.#total = sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Entries as they stand in an archive, the folders above the tree among them. */
  *entries(): Generator<{ readonly entry: TarEntry; readonly of?: FileEntry }> {
    const { name } = this.#manifest;
    for (const folder of [name, this.prefix]) yield { entry: toTar(folder, aboveTree) };
    for (const file of [MANIFEST_FILE, SIGNATURE_FILE]) {
      const { size } = lstatSync(this.#placeOf(file));
      const plain = {
        type: 'file',
        path: file,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        sha256: '',
      } as const;
      yield { entry: toTar(`${this.prefix}/${file}`, plain), of: plain };
    }
    const isAbout = ({ path: name }: Entry) => name === RUNTIME_FILE;
    const { entries } = this.#manifest;
    // First what says what it is, so that nobody has to read all of it to know.
    const ordered = [...entries.filter(isAbout), ...entries.filter((one) => !isAbout(one))];
    for (const entry of ordered) {
      this.#require(entry);
      const inPack = toTar(`${this.prefix}/${entry.path}`, entry);
      yield entry.type === 'file' ? { entry: inPack, of: entry } : { entry: inPack };
    }
  }

  /** The bytes of a file. */
  *bytesOf(entry: FileEntry): Generator<Buffer> {
    const fd = openSync(this.#placeOf(entry.path), 'r');
    const hash = createHash('sha256');
    try {
      for (let left = entry.size; left > 0; ) {
        this.#witness.goOn();
        const part = Buffer.allocUnsafe(Math.min(PART_BYTES, left));
        const length = readSync(fd, part);
        if (length === 0) throw this.#changed(entry);
        left -= length;
        hash.update(part.subarray(0, length));
        yield part.subarray(0, length);
        this.#done += length;
        this.#witness.tell(this.#done, this.#total);
      }
    } finally {
      closeSync(fd);
    }
    if (entry.sha256 !== '' && hash.digest('hex') !== entry.sha256) throw this.#changed(entry);
  }

  #placeOf(name: string): string {
    return path.join(this.#tree, name);
  }

  /** Whether something is there as the manifest has it; the bytes of files are seen to later. */
  #require(entry: Entry): void {
    const found = lstatSync(this.#placeOf(entry.path), { throwIfNoEntry: false });
    const isThere =
      entry.type === 'file'
        ? found?.isFile() === true && found.size === entry.size
        : entry.type === 'folder'
          ? found?.isDirectory() === true
          : found?.isSymbolicLink() === true &&
            readlinkSync(this.#placeOf(entry.path)) === entry.target;
    if (!isThere) throw this.#changed(entry);
  }

  #changed({ path: name }: Entry): JobletError {
    const { name: runtime, version } = this.#manifest;
    const message = `/${name} is not what was installed; \`rnx runtime verify ${runtime}@${version}\` says what else is not`;
    return new JobletError('wrong-state', message);
  }
}

const aboveTree = { type: 'folder', path: '', mode: 0o755, uid: 0, gid: 0 } as const;

function toTar(name: string, entry: Entry): TarEntry {
  const { type, uid, gid } = entry;
  return {
    path: name,
    type,
    mode: entry.type === 'link' ? 0o777 : entry.mode,
    uid,
    gid,
    size: entry.type === 'file' ? entry.size : 0,
    time: TREE_TIME_S,
    target: entry.type === 'link' ? entry.target : '',
  };
}

/** Each content once: further files of the same content and owner are further names of the first. */
async function* tarOf(source: PackSource): AsyncGenerator<Buffer> {
  const firsts = new Map<string, { readonly path: string; copies: number }>();
  for (const { entry, of } of source.entries()) {
    if (of === undefined) {
      yield tarHeader(entry);
      continue;
    }
    const key = `${of.sha256} ${of.mode} ${of.uid} ${of.gid}`;
    const first = firsts.get(key);
    if (of.sha256 !== '' && of.size > 0 && first !== undefined && first.copies < MAX_COPIES) {
      first.copies += 1;
      yield tarHeader({ ...entry, type: 'copy', size: 0, target: first.path });
      continue;
    }
    firsts.set(key, { path: entry.path, copies: 1 });
    yield tarHeader(entry);
    yield* source.bytesOf(of);
    yield tarPadding(of.size);
  }
  yield tarEnd();
}

const LINK_MODE = 0o120777;
const FILE_MODE = 0o100000;
const FOLDER_MODE = 0o040000;

/** A zip file keeps no owners, and no two names of one file. */
function zipOf(source: PackSource): Readable {
  const zip = new ZipFile();
  const mtime = new Date(TREE_TIME_S * 1000);
  for (const { entry, of } of source.entries()) {
    if (entry.type === 'folder') {
      zip.addEmptyDirectory(entry.path, { mtime, mode: FOLDER_MODE | entry.mode });
    } else if (of === undefined) {
      const options = { mtime, mode: LINK_MODE, compress: false };
      zip.addBuffer(Buffer.from(entry.target), entry.path, options);
    } else {
      const options = { mtime, mode: FILE_MODE | entry.mode, size: of.size };
      zip.addReadStreamLazy(entry.path, options, (give) => {
        give(null, Readable.from(source.bytesOf(of)));
      });
    }
  }
  zip.end();
  // The types of yazl know the stream by its oldest interface.
  const output = zip.outputStream as unknown as Readable;
  zip.on('error', (error: Error) => output.destroy(error));
  return output;
}
