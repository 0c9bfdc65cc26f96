// Files of a job, by way of the C program that enters the job for them (native/files.c).

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type ErrorKind, JobletError } from '../../shared/errors.ts';
import { LAUNCH_BINARY } from './launch-binary.ts';

/** Where a job's files are: in a running job, or in a directory with what it has left. */
export type FilesRoot =
  | { readonly kind: 'job'; readonly initPid: number; readonly firstId: number }
  | { readonly kind: 'directory'; readonly path: string };

export interface FilesBounds {
  readonly maxFiles: number;
  readonly maxBytes: number;
  /** What a memory file system of the job may hold when something is put there; 0 is any. */
  readonly maxMemoryBytes?: number;
}

/** Something in a job. Names are bytes, whatever a job calls its files. */
export interface FoundFile {
  readonly path: Buffer;
  readonly type: 'file' | 'folder' | 'link' | 'other';
  readonly mode: number;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly link: Buffer;
}

export type FilesPart =
  | { readonly entry: FoundFile }
  | { readonly data: Buffer }
  | { readonly hole: bigint }
  | { readonly skipped: Buffer; readonly reason: string };

/** What is to be put into a job: headers, each followed by its content. */
export type PutPart =
  | { readonly path: string; readonly mode: number; readonly isFolder: boolean }
  | { readonly data: Uint8Array };

export interface Put {
  readonly files: number;
  readonly bytes: number;
}

/** So long the files of a job can be fetched or put on when it has ended: they hold what it had mounted. */
const LINGER_MS = 30_000;

/** The largest number that the C program reads. */
const ANY_BYTES = 2 ** 53;

const HEAD_BYTES = 5;
const FRAME_BYTES = 128 * 1024;
const DEFAULT_MODE = 0o644;
const DEFAULT_FOLDER_MODE = 0o755;

const types = { f: 'file', d: 'folder', l: 'link', o: 'other' } as const;

/** What a failure of the kernel means to who asked; any other is ours. */
const failures: Readonly<Record<string, readonly [ErrorKind, string]>> = {
  ENOENT: ['not-found', 'there is no such file or folder in the job'],
  ENOTDIR: ['invalid', 'a part of the path is no folder'],
  ELOOP: ['invalid', 'there are too many links on the way, or folders too deep'],
  EXDEV: ['invalid', 'it leads out of the folder'],
  EISDIR: ['invalid', 'it is a folder'],
  EEXIST: ['invalid', 'it is there already, and is no folder'],
  EINVAL: ['invalid', 'it is neither a file nor a folder'],
  ENXIO: ['invalid', 'it is neither a file nor a folder'],
  ENAMETOOLONG: ['invalid', 'the path is too long'],
  EACCES: ['wrong-state', 'the job itself may not do that, or it is none of its files'],
  EPERM: ['wrong-state', 'the job itself may not do that'],
  EROFS: ['wrong-state', 'it can only be read'],
  ETXTBSY: ['wrong-state', 'it is a program that runs'],
  EIO: ['unavailable', 'the kernel found an error while it read or wrote it'],
  ENOSPC: ['exhausted', 'there is no room for it'],
  EDQUOT: ['exhausted', 'there is no room for it'],
  E2BIG: ['exhausted', 'these are more files than one call may have; name a folder within'],
  EFBIG: ['exhausted', 'these are more bytes than one call may have (uploads.maxBytes)'],
  ESRCH: ['wrong-state', 'the job has just ended'],
};

/** What is in a folder, one level deep. */
export async function listFiles(
  root: FilesRoot,
  path: string,
  bounds: FilesBounds,
): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const helper = start('list', root, path, bounds);
  for await (const part of partsOf(helper)) if ('entry' in part) found.push(part.entry);
  return found.sort((a, b) => Buffer.compare(a.path, b.path));
}

/** A file, or a folder with all that is in it. */
export async function* readFiles(
  root: FilesRoot,
  path: string,
  bounds: FilesBounds,
): AsyncGenerator<FilesPart> {
  yield* partsOf(start('read', root, path, bounds));
}

/** Puts files to `path`, which is a folder or what the first of them is to be called. */
export async function writeFiles(
  root: FilesRoot,
  path: string,
  parts: AsyncIterable<PutPart>,
  bounds: FilesBounds,
): Promise<Put> {
  const helper = start('write', root, path, bounds);
  // It may end before it has taken all, and then says why.
  const feeding = feed(helper, parts);
  const answered = answerOf(helper);
  answered.catch(() => {});
  return Promise.race([answered, feeding.then(() => answered)]);
}

function start(verb: string, root: FilesRoot, path: string, bounds: FilesBounds): ChildProcess {
  const where = root.kind === 'job' ? `job:${root.initPid}:${root.firstId}` : `dir:${root.path}`;
  const { maxFiles, maxBytes, maxMemoryBytes } = bounds;
  const most = [maxFiles, maxBytes, maxMemoryBytes || ANY_BYTES, LINGER_MS].map(String);
  return spawn(LAUNCH_BINARY, ['files', verb, where, path, ...most], {
    stdio: [verb === 'write' ? 'pipe' : 'ignore', 'pipe', 'inherit'],
    env: {},
  });
}

async function* partsOf(helper: ChildProcess): AsyncGenerator<FilesPart> {
  try {
    yield* readParts(helper.stdout as AsyncIterable<Buffer>);
  } finally {
    helper.kill('SIGKILL');
  }
}

/**
 * What a helper tells of files, in whatever pieces it comes. It has been within a job, so it is not
 * believed more than it has to be.
 * @throws JobletError what failed in the job; unavailable when it does not come to an end
 */
export async function* readParts(pieces: AsyncIterable<Buffer>): AsyncGenerator<FilesPart> {
  for await (const [kind, body] of framesIn(pieces)) {
    if (kind === 'E') yield { entry: parseEntry(body) };
    else if (kind === 'D') yield { data: body };
    else if (kind === 'H') yield { hole: parseCount(stringsOf(body)[0]) };
    else if (kind === 'S') {
      const [skipped = Buffer.alloc(0), reason = ''] = stringsOf(body);
      yield { skipped, reason: reason.toString() };
    }
  }
}

async function answerOf(helper: ChildProcess): Promise<Put> {
  try {
    for await (const [kind, body] of framesIn(helper.stdout as AsyncIterable<Buffer>)) {
      const [files, bytes] = stringsOf(body).map(Number);
      if (kind === 'Z') return { files: files ?? 0, bytes: bytes ?? 0 };
    }
    throw unfinished();
  } finally {
    helper.kill('SIGKILL');
  }
}

/** Frames, up to and with the last. */
async function* framesIn(
  pieces: AsyncIterable<Buffer>,
): AsyncGenerator<[kind: string, body: Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    while (rest.length - at >= HEAD_BYTES) {
      const length = rest.readUInt32LE(at);
      if (length > FRAME_BYTES) throw unfinished();
      if (rest.length - at < HEAD_BYTES + length) break;
      const kind = String.fromCharCode(rest[at + 4] ?? 0);
      const body = rest.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
      if (kind === 'X') throw failureOf(body);
      yield [kind, body];
      if (kind === 'Z') return;
      at += HEAD_BYTES + length;
    }
    rest = rest.subarray(at);
  }
  throw unfinished();
}

async function feed(helper: ChildProcess, parts: AsyncIterable<PutPart>): Promise<void> {
  const { stdin } = helper;
  if (stdin === null) throw unfinished();
  // Whoever reads no more has said why.
  stdin.on('error', () => {});
  const send = async (kind: string, body: Uint8Array) => {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(body.length);
    head.write(kind, HEAD_BYTES - 1);
    stdin.write(head);
    if (!stdin.write(body) && !stdin.destroyed) {
      // Should it break, the helper has said why.
      await Promise.race([once(stdin, 'drain'), once(stdin, 'close')]).catch(() => {});
    }
  };
  try {
    for await (const part of parts) {
      if (stdin.destroyed) return;
      if ('data' in part) {
        for (let at = 0; at < part.data.length; at += FRAME_BYTES) {
          await send('D', part.data.subarray(at, at + FRAME_BYTES));
        }
      } else {
        const { path, isFolder } = part;
        const mode = part.mode || (isFolder ? DEFAULT_FOLDER_MODE : DEFAULT_MODE);
        const text = `${isFolder ? 'd' : 'f'}\0${mode.toString(8)}\0${path}\0`;
        await send('E', Buffer.from(text));
      }
    }
    await send('Z', Buffer.alloc(0));
  } finally {
    // Without the last frame nothing more is taken.
    stdin.end();
  }
}

function parseEntry(body: Buffer): FoundFile {
  const [type, mode, size, mtimeNs, path, link] = stringsOf(body);
  const bits = String(mode);
  if (path === undefined || link === undefined || !/^[0-7]{1,4}$/.test(bits)) throw unfinished();
  return {
    path,
    type: typeOf(String(type)),
    mode: Number.parseInt(bits, 8),
    size: parseCount(size),
    mtimeNs: parseCount(mtimeNs),
    link,
  };
}

function typeOf(letter: string): FoundFile['type'] {
  return Object.hasOwn(types, letter) ? types[letter as keyof typeof types] : 'other';
}

/** A decimal number of 64 bits with its sign. */
function parseCount(text: Buffer | undefined): bigint {
  if (text === undefined || !/^-?\d{1,20}$/.test(text.toString())) throw unfinished();
  return BigInt.asIntN(64, BigInt(text.toString()));
}

/** Strings that each end with a NUL. */
function stringsOf(body: Buffer): Buffer[] {
  const strings: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf(0, at);
    if (end < 0) break;
    strings.push(Buffer.from(body.subarray(at, end)));
    at = end + 1;
  }
  return strings;
}

function failureOf(body: Buffer): Error {
  const [object = '', errno = ''] = stringsOf(body).map(String);
  const [kind, words] = Object.hasOwn(failures, errno) ? (failures[errno] ?? []) : [];
  if (kind === undefined) return new Error(`files of a job: ${object}: ${errno}`);
  return new JobletError(kind, `${object}: ${words}`, { about: 'path' });
}

function unfinished(): JobletError {
  return new JobletError(
    'unavailable',
    'the job’s files could not be reached to the end; try again',
  );
}
