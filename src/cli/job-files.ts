// rnx job ls, get and put: the files of a job that runs, or that has left its work directory.

import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import type { FilesPart, FoundFile, PutPart } from '../client/messages.ts';
import { getJobFiles, listJobFiles, putJobFiles } from '../client/methods.ts';
import { JobletError, messageOf } from '../shared/errors.ts';
import { command } from './command.ts';
import { jsonText, localTime, roughSize, table, visible } from './print.ts';
import { showProgress } from './progress.ts';
import type { Session } from './session.ts';
import { collectUploads, totalBytes, uploadParts } from './uploads.ts';

const LIST_DEADLINE_MS = 30_000;
const PERMISSIONS = 0o777;

const notes = [
  'JOB is the id, or its beginning, of a job that runs, or that was started with',
  '--keep-work and has ended. A relative PATH begins in /work of the job.',
];

export const jobLs = command({
  usage: 'rnx job ls JOB [PATH]',
  summary: 'Lists what is in a folder of a job.',
  notes,
  examples: ['rnx job ls f47ac10b', 'rnx job ls f47ac10b results'],
  flags: {},
  words: [1, 2],
  missing: 'of which job? rnx job ls JOB (rnx job list shows them)',
  run: async (_values, [uuid = '', asked = ''], session) => {
    const connection = await session.connect();
    const { files } = await connection.unary(
      listJobFiles,
      { uuid, path: asked },
      { deadlineMs: session.deadlineMs(LIST_DEADLINE_MS) },
    );
    await session.out.write(session.json ? jsonText(files.map(fileJson)) : fileTable(files));
    return 0;
  },
});

export const jobGet = command({
  usage: 'rnx job get JOB PATH [LOCAL]',
  summary: 'Fetches a file of a job, or a folder with all that is in it.',
  notes: [
    ...notes,
    'LOCAL is what it is to be called here, a folder to put it into, or - for',
    'standard output. Links are not followed and not made.',
  ],
  examples: ['rnx job get f47ac10b result.csv', 'rnx job get f47ac10b /work/out ./out'],
  flags: {},
  words: [2, 3],
  missing: 'what, and of which job? rnx job get JOB PATH',
  run: async (_values, [uuid = '', asked = '', local = ''], session) => {
    const connection = await session.connect();
    const parts = connection.serverStream(getJobFiles, { uuid, path: asked });
    if (local === '-') return printFile(parts, session);
    return saveFiles(parts, targetOf(asked, local), session);
  },
});

export const jobPut = command({
  usage: 'rnx job put JOB LOCAL [PATH]',
  summary: 'Puts a file, or a folder with all that is in it, into a job.',
  notes: [
    ...notes,
    'PATH is a folder of the job, or what the file or folder is to be called there.',
  ],
  examples: ['rnx job put f47ac10b data.csv', 'rnx job put f47ac10b ./config /work/conf'],
  flags: {},
  words: [2, 3],
  missing: 'what, and into which job? rnx job put JOB LOCAL',
  run: async (_values, [uuid = '', local = '', asked = ''], session) => {
    const files = collectUploads([local], [], 'LOCAL');
    const connection = await session.connect();
    const progress = showProgress(session.err, totalBytes(files));
    const { files: count, bytes } = await connection.clientStream(
      putJobFiles,
      putParts(uuid, asked, uploadParts(files, progress)),
    );
    await session.out.write(
      session.json
        ? jsonText({ files: count, bytes: Number(bytes) })
        : `Put ${count} files (${roughSize(Number(bytes))})\n`,
    );
    return 0;
  },
});

async function* putParts(
  uuid: string,
  asked: string,
  files: ReturnType<typeof uploadParts>,
): AsyncGenerator<PutPart> {
  yield { target: { uuid, path: asked } };
  for await (const { header, data } of files) yield header === undefined ? { data } : { header };
}

/** Where what is fetched goes: into a folder that is there, else under the name that was given. */
function targetOf(asked: string, local: string): string {
  const name = path.posix.basename(path.posix.resolve('/work', asked)) || 'root';
  if (local === '') return name;
  const isFolder = statSync(local, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? path.join(local, name) : local;
}

/** One file goes to standard output. */
async function printFile(parts: AsyncIterable<FilesPart>, { out }: Session): Promise<number> {
  for await (const { entry, data, hole, skipped } of parts) {
    if (skipped !== undefined) throw skippedError(skipped);
    if (entry !== undefined && entry.type !== 'file') {
      throw new JobletError('invalid', 'it is a folder; name a place for it instead of -');
    }
    if (data.length > 0) await out.write(data);
    for (let left = Number(hole); left > 0; left -= ZEROS.length) {
      await out.write(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
    }
  }
  return 0;
}

const ZEROS = Buffer.alloc(64 * 1024);

/** A file that is being written; holes in it stay holes. */
class Incoming {
  readonly #fd: number;
  #at = 0;
  #isOpen = true;

  constructor(target: string, mode: number) {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    this.#fd = openSync(target, O_WRONLY | O_CREAT | O_TRUNC | (O_NOFOLLOW ?? 0), mode);
  }

  write(data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      done += writeSync(this.#fd, data, done, data.length - done, this.#at + done);
    }
    this.#at += data.length;
  }

  skip(bytes: number): void {
    const at = this.#at + bytes;
    if (bytes < 0 || !Number.isSafeInteger(at)) throw new Error(`a hole of ${bytes} bytes`);
    this.#at = at;
  }

  /** It is whole; what ends in a hole has its size by that. */
  finish(): void {
    ftruncateSync(this.#fd, this.#at);
    this.close();
  }

  /** Does no harm when it is closed. */
  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

async function saveFiles(
  parts: AsyncIterable<FilesPart>,
  target: string,
  { out, err, json }: Session,
): Promise<number> {
  let file: Incoming | undefined;
  let [files, bytes, left] = [0, 0, 0];
  try {
    for await (const { entry, data, hole, skipped } of parts) {
      if (skipped !== undefined || (entry !== undefined && !isContent(entry))) {
        left += 1;
        const name = visible(textOf(skipped?.path ?? entry?.path ?? new Uint8Array()));
        await err.write(`left out: ${name} (${visible(skipped?.reason ?? `a ${entry?.type}`)})\n`);
      } else if (entry !== undefined) {
        file?.finish();
        const place = placeOf(target, entry);
        const isFolder = entry.type === 'folder';
        file = isFolder ? undefined : new Incoming(place, entry.mode & PERMISSIONS);
        if (isFolder) mkdirSync(place, { recursive: true });
        files += 1;
      }
      file?.write(data);
      file?.skip(Number(hole));
      bytes += data.length;
    }
    file?.finish();
  } catch (error) {
    if (error instanceof JobletError) throw error;
    throw new JobletError('unavailable', `it cannot be saved here: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    file?.close();
  }
  await out.write(
    json
      ? jsonText({ path: target, files, bytes, left_out: left })
      : `Fetched ${files} files (${roughSize(bytes)}) to ${visible(target)}\n`,
  );
  return left === 0 ? 0 : 1;
}

function isContent({ type }: FoundFile): boolean {
  return type === 'file' || type === 'folder';
}

/** Where an entry goes: a folder that was asked for is the target itself, and so is a file. */
function placeOf(target: string, { path: name, type }: FoundFile): string {
  const text = textOf(name);
  const isAsked = text === '' || (type === 'file' && !text.includes('/') && isNothing(target));
  if (isAsked) return target;
  const parts = text.split('/');
  // A job may call its files what it likes, and we are not to write elsewhere.
  if (parts.some((part) => part === '' || part === '.' || part === '..' || isForeign(part))) {
    throw new JobletError('invalid', `${visible(text)} is no name for a file here`);
  }
  return path.join(target, ...parts);
}

function isNothing(target: string): boolean {
  return statSync(target, { throwIfNoEntry: false })?.isDirectory() !== true;
}

/** What Windows would take for something else. */
function isForeign(part: string): boolean {
  return process.platform === 'win32' && /[\\:*?"<>|]/.test(part);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function skippedError({ path: name, reason }: { path: Uint8Array; reason: string }): JobletError {
  return new JobletError('wrong-state', `${visible(textOf(name))} cannot be read: ${reason}`);
}

const letters: Readonly<Record<string, string>> = { folder: 'd', link: 'l', file: '-', other: '?' };

function fileTable(files: readonly FoundFile[]): string {
  if (files.length === 0) return 'No files\n';
  const columns = [
    { title: 'MODE', width: 10 },
    { title: 'SIZE', width: 9 },
    { title: 'CHANGED', width: 19 },
    { title: 'NAME', width: 4 },
  ];
  const rows = files.map(({ path: name, type, mode, size, mtimeNs, link }) => [
    `${letters[type] ?? '?'}${modeWord(mode)}`,
    type === 'file' ? roughSize(Number(size)) : '-',
    localTime(new Date(Number(mtimeNs / 1_000_000n)).toISOString()),
    `${visible(textOf(name))}${type === 'link' ? ` -> ${visible(textOf(link))}` : ''}`,
  ]);
  return table(columns, rows, 0, 1000);
}

function modeWord(mode: number): string {
  return [...'rwxrwxrwx'].map((letter, at) => ((mode >> (8 - at)) & 1 ? letter : '-')).join('');
}

function fileJson({ path: name, type, mode, size, mtimeNs, link }: FoundFile): object {
  return {
    name: textOf(name),
    type,
    mode: mode.toString(8).padStart(4, '0'),
    size: Number(size),
    changed_time: new Date(Number(mtimeNs / 1_000_000n)).toISOString(),
    ...(type === 'link' ? { link: textOf(link) } : {}),
  };
}
