// The files of all runtimes, each content once: one inode for each (digest, permissions, owner), to
// which every tree that holds it has a hard link. So a program of ten runtimes lies on the disk once,
// and in memory once when ten jobs run it. An inode that nothing but this store links to is garbage.
//
//   <directory>/AB/DIGEST-MODE-UID-GID        the first inode of a content
//   <directory>/AB/DIGEST-MODE-UID-GID.1      the next one, when the first has all links it can have
//
// Not safe for two threads at once: whoever changes it does so in its turn.

import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
} from 'node:fs';
import path from 'node:path';
import { TREE_TIME_S } from '../../shared/tree-time.ts';
import { digestOf } from './digest.ts';
import type { FileEntry } from './manifest.ts';

/** What makes an inode what it is. */
type Content = Pick<FileEntry, 'sha256' | 'mode' | 'uid' | 'gid' | 'size'>;

export class Contents {
  readonly #directory: string;
  readonly #spare: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#spare = path.join(directory, 'spare');
  }

  /**
   * Makes a file of a tree one with the content that is kept, or keeps it. It has been read, and has
   * this content. Answers the bytes that it adds to the disk: none when they were there already.
   */
  keep(file: string, content: Content): number {
    for (let copy = 0; ; copy += 1) {
      const kept = this.#pathOf(content, copy);
      if (!this.#isSound(kept, file, content)) {
        // What is damaged stays with the trees that have it; the next ones get this one.
        this.#put(file, kept, content);
        return content.size;
      }
      if (this.#join(kept, file)) return 0;
    }
  }

  /**
   * Forgets a content when no tree has it any more. Answers the bytes that are free again. A copy
   * behind one that went earlier is left to `sweep`.
   */
  drop(content: Content): number {
    let freed = 0;
    for (let copy = 0; ; copy += 1) {
      const kept = this.#pathOf(content, copy);
      const found = lstatSync(kept, { throwIfNoEntry: false });
      if (found === undefined) return freed;
      if (found.nlink > 1) continue;
      rmSync(kept);
      freed += found.size;
    }
  }

  /** Forgets every content that no tree has: what a crash left. Answers the bytes that are free again. */
  sweep(): number {
    rmSync(this.#spare, { force: true });
    let freed = 0;
    for (const folder of readdirSync(this.#directory)) {
      const names = readdirSync(path.join(this.#directory, folder)).map((name) => {
        const found = lstatSync(path.join(this.#directory, folder, name));
        return { name, size: found.size, isUsed: found.nlink > 1 };
      });
      for (const { name, size } of names.filter(({ isUsed }) => !isUsed)) {
        rmSync(path.join(this.#directory, folder, name), { force: true });
        freed += size;
      }
    }
    return freed;
  }

  #pathOf({ sha256, mode, uid, gid }: Content, copy: number): string {
    const name = `${sha256}-${mode.toString(8)}-${uid}-${gid}${copy === 0 ? '' : `.${copy}`}`;
    return path.join(this.#directory, sha256.slice(0, 2), name);
  }

  /** Whether what is kept is what it should be, to the last bit. */
  #isSound(kept: string, file: string, { sha256, mode, uid, gid, size }: Content): boolean {
    const found = lstatSync(kept, { throwIfNoEntry: false });
    if (found?.isFile() !== true || found.size !== size) return false;
    if ((found.mode & 0o7777) !== mode || found.uid !== uid || found.gid !== gid) return false;
    return found.ino === lstatSync(file).ino || digestOf(kept) === sha256;
  }

  /** Keeps a file as a content, with nothing on it but what its entry says. */
  #put(file: string, kept: string, { mode, uid, gid }: Content): void {
    // Also takes away capabilities of the file; so before the permissions, of which it takes away some.
    chownSync(file, uid, gid);
    chmodSync(file, mode);
    utimesSync(file, TREE_TIME_S, TREE_TIME_S);
    mkdirSync(path.dirname(kept), { recursive: true, mode: 0o700 });
    rmSync(this.#spare, { force: true });
    linkSync(file, this.#spare);
    renameSync(this.#spare, kept);
  }

  /** Puts a link to what is kept in the place of a file; false when it can have no more links. */
  #join(kept: string, file: string): boolean {
    if (lstatSync(kept).ino === lstatSync(file).ino) return true;
    rmSync(this.#spare, { force: true });
    try {
      linkSync(kept, this.#spare);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EMLINK') throw error;
      return false;
    }
    renameSync(this.#spare, file);
    return true;
  }
}
