// Files on their way into a job's work directory. They are staged on disk before the job is
// acknowledged and copied into the sandbox by its keeper; paths have been checked at the edge, and
// are checked again here where they become real.
//
//   <directory>/received/<upload id>/   sent by the streaming call, not yet claimed by a job
//   <directory>/jobs/<job id>/          what a job brings along

import { randomUUID } from 'node:crypto';
import { constants, mkdirSync, rmSync } from 'node:fs';
import {
  chmod,
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';
import { pathProblem } from '../../shared/upload-path.ts';
import { faultOf } from '../store/faults.ts';
import type { StoredSpec, Upload } from './job.ts';

export interface UploadLimits {
  /** Bytes of one upload, all files together. */
  readonly maxBytes: number;
  readonly maxFiles: number;
  /** What uploads leave free of their disk. */
  readonly reserveBytes: number;
}

/** A part of a streamed upload: a header starts a file or folder, data goes to the last header. */
export interface UploadPart {
  readonly header?: {
    readonly path: string;
    readonly mode: number;
    readonly isDirectory: boolean;
    readonly size: number;
  };
  readonly data?: Uint8Array;
}

/** What a job brings along. */
export interface Staged {
  readonly directory: string;
  readonly bytes: number;
  /** Paths relative to the work directory. */
  readonly names: readonly string[];
}

/** Names of uploads that are kept with a job, all together. */
const KEPT_NAMES_BYTES = 64 * 1024;

/** What a job remembers of its uploads. */
export function keptNames(names: readonly string[]): Pick<StoredSpec, 'uploads' | 'uploadCount'> {
  let bytes = 0;
  const end = names.findIndex((name) => {
    bytes += Buffer.byteLength(name);
    return bytes > KEPT_NAMES_BYTES;
  });
  const uploads = end === -1 ? names : names.slice(0, end);
  return { uploads, uploadCount: names.length };
}

/** Streamed uploads that are under way or wait for their job: of all clients, and of one. */
const MAX_UPLOADS = 64;
const MAX_UPLOADS_OF_CLIENT = 16;

/** How long an upload waits for its job. */
const WAITING_MS = 3600 * 1000;

/** An upload of which nothing comes for so long is given up. */
const STALL_MS = 60_000;

/** Bytes received from one look at the free space to the next. */
const ROOM_CHECK_BYTES = 4 * 1024 * 1024;

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
const PERMISSIONS = 0o777;

interface Waiting {
  readonly bytes: number;
  readonly names: readonly string[];
  /** The client that may claim it. */
  readonly who: string;
  /** Copied here for a job that starts at once; it takes nobody's room. */
  readonly isAdopted?: true;
  readonly expiry: NodeJS.Timeout;
}

/** A file or folder on the disk of uploads, and its name in a work directory. */
export interface KeptFile {
  readonly name: string;
  readonly source: string;
  readonly isDirectory: boolean;
}

export class Uploads {
  readonly #received: string;
  readonly #jobs: string;
  readonly #limits: UploadLimits;
  /** Uploads that wait for their job. */
  readonly #waiting = new Map<string, Waiting>();
  /** Uploads that are under way, and whose. */
  readonly #underWay = new Map<string, string>();

  constructor(directory: string, limits: UploadLimits) {
    this.#received = path.join(directory, 'received');
    this.#jobs = path.join(directory, 'jobs');
    this.#limits = limits;
    // What nobody claimed before the daemon went down, nobody will.
    rmSync(this.#received, { recursive: true, force: true });
    mkdirSync(this.#received, { recursive: true, mode: 0o700 });
    mkdirSync(this.#jobs, { recursive: true, mode: 0o700 });
  }

  /** Receives a streamed upload. On any failure nothing of it stays. */
  async receive(
    parts: AsyncIterable<UploadPart>,
    who: { readonly name: string },
  ): Promise<{ id: string; files: number; bytes: number }> {
    this.#checkCount(who.name);
    const id = randomUUID();
    const writer = new TreeWriter(path.join(this.#received, id), this.#limits);
    this.#underWay.set(id, who.name);
    try {
      await writer.open();
      for await (const part of patiently(parts, STALL_MS)) {
        if (part.header !== undefined) await writer.begin(part.header);
        if (part.data !== undefined && part.data.length > 0) await writer.write(part.data);
      }
      await writer.close();
    } catch (error) {
      await writer.discard();
      throw faultOf(error, this.#received);
    } finally {
      this.#underWay.delete(id);
    }
    const { bytes, names } = writer;
    const expiry = setTimeout(() => void this.#expire(id), WAITING_MS);
    expiry.unref();
    this.#waiting.set(id, { bytes, names, who: who.name, expiry });
    return { id, files: names.length, bytes };
  }

  /** Stages what a job brings along: files of its request, and a streamed upload that it names. */
  async stage(
    jobId: string,
    files: readonly Upload[],
    uploadId: string,
    who: { readonly name: string },
  ): Promise<Staged | undefined> {
    return this.keep(path.join(this.#jobs, jobId), files, uploadId, who);
  }

  /** The same into any directory on the disk of uploads that does not exist yet. */
  async keep(
    directory: string,
    files: readonly Upload[],
    uploadId: string,
    who: { readonly name: string },
  ): Promise<Staged | undefined> {
    if (files.length === 0 && uploadId === '') return undefined;
    let bytes = 0;
    const names: string[] = [];
    if (uploadId !== '') {
      const waiting = this.#waiting.get(uploadId);
      if (waiting === undefined || waiting.who !== who.name) {
        throw new JobletError('not-found', `upload not found: ${uploadId}; send the files again`, {
          about: 'upload_id',
        });
      }
      this.#waiting.delete(uploadId);
      clearTimeout(waiting.expiry);
      await rename(path.join(this.#received, uploadId), directory);
      bytes += waiting.bytes;
      names.push(...waiting.names);
    }
    const writer = new TreeWriter(directory, this.#limits);
    try {
      await writer.open();
      for (const file of files) {
        await writer.begin({ ...file, size: file.content.length });
        if (file.content.length > 0) await writer.write(file.content);
      }
      await writer.close();
    } catch (error) {
      await writer.discard();
      throw faultOf(error, this.#jobs);
    }
    return { directory, bytes: bytes + writer.bytes, names: [...names, ...writer.names] };
  }

  /** Copies files that are kept here as an upload for a job of a client's; answers its id. */
  async adopt(files: readonly KeptFile[], who: { readonly name: string }): Promise<string> {
    const id = randomUUID();
    const root = path.join(this.#received, id);
    let bytes = 0;
    try {
      await mkdir(root, { mode: 0o700 });
      for (const { name, source, isDirectory } of files) {
        const target = path.join(root, name);
        const found = await stat(source);
        await makeDirectory(isDirectory ? target : path.dirname(target));
        if (!isDirectory) await copyFile(source, target, constants.COPYFILE_FICLONE);
        await chmod(target, found.mode & PERMISSIONS);
        bytes += isDirectory ? 0 : found.size;
      }
    } catch (error) {
      await rm(root, { recursive: true, force: true });
      throw faultOf(error, this.#received);
    }
    const expiry = setTimeout(() => void this.#expire(id), WAITING_MS);
    expiry.unref();
    const names = files.map(({ name }) => name);
    this.#waiting.set(id, { bytes, names, who: who.name, isAdopted: true, expiry });
    return id;
  }

  /** The paths in a streamed upload of a client's that waits. */
  namesOf(uploadId: string, who: { readonly name: string }): readonly string[] {
    const waiting = this.#waiting.get(uploadId);
    return waiting?.who === who.name ? waiting.names : [];
  }

  /** Drops a streamed upload of a client's that it will not use. */
  async drop(uploadId: string, who: { readonly name: string }): Promise<void> {
    if (this.#waiting.get(uploadId)?.who !== who.name) return;
    this.#waiting.delete(uploadId);
    await rm(path.join(this.#received, uploadId), { recursive: true, force: true });
  }

  /** What an earlier daemon staged for a job that still waits. */
  async restage(jobId: string, names: readonly string[]): Promise<Staged | undefined> {
    if (names.length === 0) return undefined;
    const directory = path.join(this.#jobs, jobId);
    let bytes = 0;
    for (const name of await readdir(directory, { recursive: true })) {
      const found = await stat(path.join(directory, name));
      if (found.isFile()) bytes += found.size;
    }
    return { directory, bytes, names };
  }

  /** Drops what was staged for a job. */
  async release(jobId: string): Promise<void> {
    await rm(path.join(this.#jobs, jobId), { recursive: true, force: true });
  }

  /** Drops everything staged for jobs that are not in `jobIds`. */
  async sweep(jobIds: ReadonlySet<string>): Promise<void> {
    for (const id of await readdir(this.#jobs)) if (!jobIds.has(id)) await this.release(id);
  }

  /** Refuses one more upload of a client when there are enough. */
  #checkCount(who: string): void {
    const waiting = [...this.#waiting.values()].filter((each) => each.isAdopted !== true);
    const owners = [...this.#underWay.values(), ...waiting.map((each) => each.who)];
    const own = owners.filter((owner) => owner === who).length;
    if (owners.length < MAX_UPLOADS && own < MAX_UPLOADS_OF_CLIENT) return;
    throw new JobletError(
      'exhausted',
      `${owners.length} uploads wait for their jobs or are under way, ${own} of them of ${who} ` +
        `(at most ${MAX_UPLOADS}, of one client ${MAX_UPLOADS_OF_CLIENT}); start those jobs first, or try again later`,
    );
  }

  /** Drops a streamed upload that nobody claimed in time. */
  async #expire(id: string): Promise<void> {
    this.#waiting.delete(id);
    await rm(path.join(this.#received, id), { recursive: true, force: true });
  }
}

/** The same parts; fails when one is not there within `ms`. */
export async function* patiently<T>(parts: AsyncIterable<T>, ms: number): AsyncGenerator<T> {
  const iterator = parts[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await within(iterator.next(), ms);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: what has stalled does not end by being asked to.
    void iterator.return?.()?.catch(() => {});
  }
}

async function within<T>(next: Promise<T>, ms: number): Promise<T> {
  const stalled = Promise.withResolvers<never>();
  const text = `nothing of the upload came for ${ms / 1000} seconds; send it again`;
  const timer = setTimeout(() => stalled.reject(new JobletError('exhausted', text)), ms);
  try {
    return await Promise.race([next, stalled.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Writes checked files below one directory, and counts. */
class TreeWriter {
  bytes = 0;
  readonly names: string[] = [];
  readonly #root: string;
  readonly #limits: UploadLimits;
  #file: FileHandle | undefined;
  #left = 0;
  #name = '';
  /** Bytes that may come before the next look at the disk. */
  #roomBytes = 0;

  constructor(root: string, limits: UploadLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  async open(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
  }

  async begin(header: NonNullable<UploadPart['header']>): Promise<void> {
    await this.#finish();
    const problem = pathProblem(header.path);
    if (problem !== undefined) {
      throw new JobletError('invalid', `upload ${header.path}: ${problem}`, { about: 'path' });
    }
    if (this.names.length >= this.#limits.maxFiles) {
      throw new JobletError('exhausted', `an upload holds at most ${this.#limits.maxFiles} files`);
    }
    if (header.size < 0) {
      throw new JobletError('invalid', `upload ${header.path}: has a negative size`, {
        about: 'size',
      });
    }
    const target = path.join(this.#root, header.path);
    const mode = header.mode & PERMISSIONS;
    this.names.push(header.path);
    this.#name = header.path;
    if (header.isDirectory) {
      await this.#makeDirectory(target);
      await chmod(target, mode === 0 ? DIRECTORY_MODE : mode);
      return;
    }
    await this.#makeDirectory(path.dirname(target));
    // Exclusive: two files of one name are a mistake, and nothing that exists is followed.
    this.#file = await open(target, 'wx', mode === 0 ? FILE_MODE : mode).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
        throw new JobletError('invalid', `upload ${header.path}: stands there twice`, {
          about: 'path',
        });
      },
    );
    // The process's umask must not take away what was asked for.
    await this.#file.chmod(mode === 0 ? FILE_MODE : mode);
    this.#left = header.size;
  }

  async write(data: Uint8Array): Promise<void> {
    if (this.#file === undefined || data.length > this.#left) {
      throw new JobletError('invalid', `upload ${this.#name}: more data than its header said`);
    }
    this.bytes += data.length;
    this.#left -= data.length;
    this.#roomBytes -= data.length;
    if (this.#roomBytes < 0) await this.#checkRoom();
    if (this.bytes > this.#limits.maxBytes) {
      throw new JobletError(
        'exhausted',
        `an upload holds at most ${this.#limits.maxBytes} bytes (uploads.maxBytes)`,
      );
    }
    await this.#file.writeFile(data);
  }

  async close(): Promise<void> {
    await this.#finish();
  }

  async discard(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#root, { recursive: true, force: true });
  }

  /** A folder of the upload, unless a file of it stands in the way. */
  async #makeDirectory(target: string): Promise<void> {
    await makeDirectory(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error;
      throw new JobletError(
        'invalid',
        `upload ${this.#name}: a file stands where a folder has to`,
        {
          about: 'path',
        },
      );
    });
  }

  async #checkRoom(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#root);
    if (bavail * bsize < this.#limits.reserveBytes + ROOM_CHECK_BYTES) {
      throw new JobletError(
        'exhausted',
        `the disk of uploads has ${formatBytes(bavail * bsize)} left, and ${formatBytes(this.#limits.reserveBytes)} stay free (filesystem.minFreeBytes); delete jobs, or make room`,
      );
    }
    this.#roomBytes = ROOM_CHECK_BYTES;
  }

  async #finish(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    if (this.#left > 0) {
      throw new JobletError('invalid', `upload ${this.#name}: less data than its header said`);
    }
    // A job that waits, even over a power cut, starts with its files whole.
    await file.datasync();
    this.#file = undefined;
    await file.close();
  }
}

/** Makes a folder and those above it; the process's umask must not take away from their mode. */
async function makeDirectory(target: string): Promise<void> {
  const first = await mkdir(target, { recursive: true });
  if (first === undefined) return;
  for (let at = target; at.length >= first.length; at = path.dirname(at)) {
    await chmod(at, DIRECTORY_MODE);
  }
}
