// A folder on its way to become a runtime: what is in it as a tar archive, with its links and
// permissions.

import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import path from 'node:path';
import type { UploadPart } from '../client/messages.ts';
import { JobletError } from '../shared/errors.ts';
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../shared/tar-writer.ts';

/** Something in the folder as it stands in the archive. */
interface Source extends TarEntry {
  /** Where it lies here. */
  readonly place: string;
}

export interface Archive {
  readonly sizeBytes: number;
  readonly files: number;
  /** The archive in parts; `sent` hears how many bytes have been handed over. */
  parts(sent: (bytes: number) => void): AsyncGenerator<UploadPart>;
}

const PART_BYTES = 256 * 1024;
const PERMISSIONS = 0o777;
const MAX_ID = 65_535;

/** The archive of a folder; nothing of it is read yet. @throws JobletError for devices and the like */
export function archiveOf(folder: string): Archive {
  const sources = [...sourcesIn(folder, '')];
  const sizes = sources.map(
    (source) => tarHeader(source).length + source.size + tarPadding(source.size).length,
  );
  const sizeBytes = sizes.reduce((sum, size) => sum + size, tarEnd().length);
  return {
    sizeBytes,
    files: sources.filter(({ type }) => type === 'file').length,
    async *parts(sent) {
      let total = 0;
      yield { header: { path: 'runtime.tar', mode: 0o600, size: BigInt(sizeBytes) } };
      for (const data of bytesOf(sources)) {
        yield { data };
        total += data.length;
        sent(total);
      }
    },
  };
}

function* sourcesIn(folder: string, prefix: string): Generator<Source> {
  for (const name of readdirSync(folder).toSorted()) {
    const place = path.join(folder, name);
    const stats = lstatSync(place);
    const source = toSource(place, `${prefix}${name}`, stats);
    yield source;
    if (source.type === 'folder') yield* sourcesIn(place, `${source.path}/`);
  }
}

function toSource(place: string, name: string, stats: Stats): Source {
  const isLink = stats.isSymbolicLink();
  const type = isLink ? 'link' : stats.isDirectory() ? 'folder' : 'file';
  if (type === 'file' && !stats.isFile()) {
    const message = `${place} is neither a file nor a folder nor a link; a runtime holds nothing else`;
    throw new JobletError('invalid', message);
  }
  return {
    place,
    path: name,
    type,
    // Windows has no permission bits worth sending.
    mode: process.platform === 'win32' ? 0o755 : stats.mode & PERMISSIONS,
    uid: ownerOf(stats.uid, process.getuid?.()),
    gid: ownerOf(stats.gid, process.getgid?.()),
    size: type === 'file' ? stats.size : 0,
    time: 0,
    target: isLink ? readlinkSync(place) : '',
  };
}

/** What belongs to whoever sends it is root's in the runtime. */
function ownerOf(id: number, own: number | undefined): number {
  return id === own || id > MAX_ID ? 0 : id;
}

function* bytesOf(sources: readonly Source[]): Generator<Buffer> {
  for (const source of sources) {
    yield tarHeader(source);
    if (source.type !== 'file' || source.size === 0) continue;
    yield* contentOf(source);
    const padding = tarPadding(source.size);
    if (padding.length > 0) yield padding;
  }
  yield tarEnd();
}

/** Exactly as many bytes as were announced, however the file changes meanwhile. */
function* contentOf({ place, size }: Source): Generator<Buffer> {
  const fd = openSync(place, 'r');
  try {
    for (let left = size; left > 0; ) {
      const part = Buffer.allocUnsafe(Math.min(PART_BYTES, left));
      const length = readSync(fd, part);
      if (length === 0) {
        throw new JobletError('invalid', `${place} was cut short while it was being sent`);
      }
      left -= length;
      yield part.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}
