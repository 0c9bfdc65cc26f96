// Files and folders on their way to a job: what the flags name becomes a list of paths relative to
// the work directory, which travels inside the request when it is small and ahead of it otherwise.

import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Upload, UploadPart } from '../client/messages.ts';
import { JobletError } from '../shared/errors.ts';
import { pathProblem } from '../shared/upload-path.ts';
import { localReason } from './local-reason.ts';

/** A file or folder here, and what it is to be called there. */
export interface LocalFile {
  /** Relative to the work directory, with `/` between its parts. */
  readonly path: string;
  /** Where it lies here. */
  readonly source: string;
  /** Unix permission bits; 0 leaves them to the daemon. */
  readonly mode: number;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
}

/** Uploads up to this size travel inside the request. */
const INLINE_BYTES = 4 * 1024 * 1024;
/** What an entry takes besides its path and content, generously. */
const ENTRY_BYTES = 64;

const PART_BYTES = 256 * 1024;
const PERMISSIONS = 0o777;

/**
 * Everything the flags name. A file, and a folder given to `--upload`, arrives under its base name;
 * the content of a folder given to `--upload-dir` arrives in the work directory itself.
 * @throws JobletError naming the flag and the path
 */
export function collectUploads(
  uploads: readonly string[],
  folders: readonly string[],
  flag = '--upload',
): readonly LocalFile[] {
  const found = [
    ...uploads.flatMap((source) => collect(flag, source, baseName(source))),
    ...folders.flatMap((source) => collectFolder('--upload-dir', source)),
  ];
  const seen = new Map<string, LocalFile>();
  for (const file of found) {
    const problem = pathProblem(file.path);
    if (problem !== undefined) throw refuse(flag, file.source, `its name ${problem}`);
    const other = seen.get(file.path);
    if (other !== undefined && !(other.isDirectory && file.isDirectory)) {
      throw refuse(flag, file.source, `arrives as ${file.path}, and so does ${other.source}`);
    }
    if (other === undefined) seen.set(file.path, file);
  }
  return [...seen.values()];
}

/** A file, or a folder with all that is in it, under another name; empty is the work directory. */
export function collectAs(flag: string, source: string, name: string): readonly LocalFile[] {
  return name === '' ? collectFolder(flag, source) : collect(flag, source, name);
}

function baseName(source: string): string {
  // What `.` and `..` are called is known to the file system only.
  return path.basename(path.resolve(source));
}

function collectFolder(flag: string, source: string): LocalFile[] {
  if (!statOf(flag, source).isDirectory()) throw refuse(flag, source, 'is not a folder');
  return children(flag, source, '');
}

function collect(flag: string, source: string, name: string): LocalFile[] {
  const found = statOf(flag, source);
  // Windows has no permission bits worth sending.
  const mode = process.platform === 'win32' ? 0 : found.mode & PERMISSIONS;
  if (found.isFile()) {
    return [{ path: name, source, mode, isDirectory: false, sizeBytes: found.size }];
  }
  if (!found.isDirectory()) throw refuse(flag, source, 'is neither a file nor a folder');
  const folder = { path: name, source, mode, isDirectory: true, sizeBytes: 0 };
  return [folder, ...children(flag, source, `${name}/`)];
}

function children(flag: string, source: string, prefix: string): LocalFile[] {
  const entries = local(flag, () => readdirSync(source, { withFileTypes: true }));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const below = path.join(source, entry.name);
    // Followed, a link to a folder could lead in circles, or take half the disk along.
    if (entry.isSymbolicLink() && statOf(flag, below).isDirectory()) {
      throw refuse(flag, below, 'is a link to a folder; upload that folder itself');
    }
    return collect(flag, below, `${prefix}${entry.name}`);
  });
}

function statOf(flag: string, source: string) {
  return local(flag, () => statSync(source));
}

/** What the file system here refuses is a mistake of the line, or a right that is missing. */
function local<T>(flag: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw new JobletError('not-found', `${flag}: ${localReason(error)}`, { cause: error });
  }
}

function refuse(flag: string, source: string, what: string): JobletError {
  return new JobletError('invalid', `${flag}: ${source} ${what}`);
}

/** The bytes of all files together. */
export function totalBytes(files: readonly LocalFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** Whether the files fit into the request itself. */
export function fitsRequest(files: readonly LocalFile[]): boolean {
  const names = files.reduce((sum, file) => sum + Buffer.byteLength(file.path) + ENTRY_BYTES, 0);
  return totalBytes(files) + names <= INLINE_BYTES;
}

/** The files as they stand in a request. */
export function inlineUploads(files: readonly LocalFile[]): Upload[] {
  return files.map(({ path: name, source, mode, isDirectory }) => ({
    path: name,
    mode,
    isDirectory,
    content: isDirectory ? undefined : local('--upload', () => readFileSync(source)),
  }));
}

/** The files in parts; `sent` hears how many bytes have been handed over. */
export async function* uploadParts(
  files: readonly LocalFile[],
  sent: (bytes: number) => void,
): AsyncGenerator<UploadPart> {
  let total = 0;
  for (const file of files) {
    const { path: name, mode, isDirectory, sizeBytes } = file;
    yield { header: { path: name, mode, isDirectory, size: BigInt(sizeBytes) } };
    if (isDirectory) continue;
    for (const data of contentOf(file)) {
      yield { data };
      total += data.length;
      sent(total);
    }
  }
}

/** Exactly as many bytes as were announced, however the file changes meanwhile. */
function* contentOf({ source, sizeBytes }: LocalFile): Generator<Buffer> {
  const fd = local('--upload', () => openSync(source, 'r'));
  try {
    for (let left = sizeBytes; left > 0; ) {
      const part = Buffer.allocUnsafe(Math.min(PART_BYTES, left));
      const length = local('--upload', () => readSync(fd, part));
      if (length === 0) throw refuse('--upload', source, 'was cut short while it was being sent');
      left -= length;
      yield part.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}
