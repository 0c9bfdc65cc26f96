// Writes what an archive holds into an empty directory, and refuses what would lead out of it, what
// has no place in a runtime, and what is more than was said or allowed. It never follows a link: an
// entry goes only into folders that were made here.

import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  statfsSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import type { TarEntry } from '../../shared/tar-writer.ts';
import { formatBytes } from '../../shared/units.ts';
import { folderOf, linkProblem, MAX_ID, ROOT_FOLDER, treePathProblem } from './manifest.ts';
import type { TreeLimits } from './settle.ts';
import type { EntrySink } from './tar-reader.ts';

const PERMISSIONS = 0o777;
const SET_ID = 0o6000;
const FOLDER_MODE = 0o755;
/** Bytes written from one look at the free space to the next. */
const ROOM_CHECK_BYTES = 64 * 1024 * 1024;

/** Looks at an entry before it is written; throws what is wrong with it. */
export type EntryCheck = (entry: TarEntry) => void;

export class TreeWriter implements EntrySink {
  readonly #root: string;
  readonly #limits: TreeLimits;
  readonly #check: EntryCheck;
  readonly #kinds = new Map<string, TarEntry['type']>();
  #fd: number | undefined;
  #path = '';
  #left = 0;
  #announced = 0;
  #roomBytes = 0;

  constructor(root: string, limits: TreeLimits, check: EntryCheck = () => {}) {
    this.#root = root;
    this.#limits = limits;
    this.#check = check;
  }

  begin(given: TarEntry): void {
    this.#finish();
    const entry = { ...given, path: plainPath(given.path) };
    // The folder that the archive was made of, as `tar -C FOLDER .` puts it down.
    if (entry.path === '' && entry.type === 'folder') return;
    this.#requireAllowed(entry);
    this.#check(entry);
    this.#makeFolders(folderOf(entry.path));
    if (entry.type === 'folder' && this.#kinds.get(entry.path) === 'folder') {
      this.#setOwner(entry);
      return;
    }
    if (this.#kinds.has(entry.path)) throw refused(entry, 'stands there twice');
    this.#make(entry);
    this.#kinds.set(entry.path, entry.type);
  }

  write(bytes: Uint8Array): void {
    if (this.#fd === undefined || bytes.length > this.#left) {
      throw new JobletError('invalid', `${this.#path} has more bytes than its entry said`);
    }
    this.#left -= bytes.length;
    this.#roomBytes -= bytes.length;
    if (this.#roomBytes < 0) this.#checkRoom();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** Says that nothing comes any more. */
  end(): void {
    this.#finish();
  }

  /** Gives up in the middle. */
  discard(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #requireAllowed(entry: TarEntry): void {
    const { path, mode, uid, gid, size } = entry;
    const problem = treePathProblem(path);
    if (problem !== undefined) throw refused(entry, problem);
    if ((mode & SET_ID) !== 0 && entry.type !== 'link') throw refused(entry, 'has a set-id bit');
    if (uid > MAX_ID || gid > MAX_ID) {
      throw refused(entry, `belongs to ${uid}:${gid}; owners are 0 to ${MAX_ID}`);
    }
    if (this.#kinds.size >= this.#limits.maxFiles) {
      const message = `a runtime holds at most ${this.#limits.maxFiles} files, folders and links (runtime.maxFiles)`;
      throw new JobletError('exhausted', message);
    }
    this.#announced += size;
    if (this.#announced > this.#limits.maxBytes) {
      const message = `a runtime holds at most ${formatBytes(this.#limits.maxBytes)} (runtime.maxBytes)`;
      throw new JobletError('exhausted', message);
    }
  }

  #make(entry: TarEntry): void {
    const place = `${this.#root}/${entry.path}`;
    switch (entry.type) {
      case 'folder':
        mkdirSync(place);
        this.#setOwner(entry);
        break;
      case 'file':
        this.#open(entry, place);
        break;
      case 'copy':
        this.#copy(entry, place);
        break;
      case 'link': {
        const problem = linkProblem(pathInRoot(entry.path), entry.target);
        if (problem !== undefined) throw refused(entry, `${problem}: it points to ${entry.target}`);
        symlinkSync(entry.target, place);
        lchownSync(place, entry.uid, entry.gid);
        break;
      }
    }
  }

  #open({ path, mode, uid, gid, size }: TarEntry, place: string): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.#fd = openSync(place, flags, 0o600);
    fchownSync(this.#fd, uid, gid);
    fchmodSync(this.#fd, mode & PERMISSIONS);
    this.#path = path;
    this.#left = size;
  }

  /** Another name for a file of this archive, and for nothing else. */
  #copy(entry: TarEntry, place: string): void {
    const target = plainPath(entry.target);
    if (treePathProblem(target) !== undefined || this.#kinds.get(target) !== 'file') {
      throw refused(entry, `is another name for ${entry.target}, which is no file of the pack`);
    }
    linkSync(`${this.#root}/${target}`, place);
  }

  #setOwner({ path, mode, uid, gid }: TarEntry): void {
    const place = `${this.#root}/${path}`;
    chownSync(place, uid, gid);
    chmodSync(place, mode & PERMISSIONS);
  }

  /** Folders that the archive names later, or not at all. */
  #makeFolders(path: string): void {
    if (path === '') return;
    const kind = this.#kinds.get(path);
    if (kind === 'folder') return;
    if (kind !== undefined) {
      throw new JobletError('invalid', `${path} is a ${kind}, and cannot hold what follows it`);
    }
    this.#makeFolders(folderOf(path));
    mkdirSync(`${this.#root}/${path}`, { mode: FOLDER_MODE });
    chmodSync(`${this.#root}/${path}`, FOLDER_MODE);
    this.#kinds.set(path, 'folder');
  }

  #finish(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    if (this.#left === 0) return;
    throw new JobletError('invalid', `${this.#path} has fewer bytes than its entry said`);
  }

  #checkRoom(): void {
    const { bavail, bsize } = statfsSync(this.#root);
    const { reserveBytes } = this.#limits;
    if (bavail * bsize < reserveBytes + ROOM_CHECK_BYTES) {
      const message = `the disk of runtimes has ${formatBytes(bavail * bsize)} left, and ${formatBytes(reserveBytes)} stay free (filesystem.minFreeBytes); remove runtimes, or make room`;
      throw new JobletError('exhausted', message);
    }
    this.#roomBytes = ROOM_CHECK_BYTES;
  }
}

/** Without `./` in front and `/` behind, as folders are put down. */
function plainPath(path: string): string {
  return path
    .replace(/^(\.\/+)+/, '')
    .replace(/\/+$/, '')
    .replace(/^\.$/, '');
}

/** The path from the root of the job on, where links are read. */
function pathInRoot(path: string): string {
  const parts = path.split('/');
  const root = parts.indexOf(ROOT_FOLDER);
  return root < 0 ? path : parts.slice(root).join('/');
}

function refused({ path }: TarEntry, what: string): JobletError {
  const shown = JSON.stringify(path.slice(0, 200));
  return new JobletError('invalid', `the pack is refused: ${shown} ${what}`);
}
