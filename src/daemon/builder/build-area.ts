// Where a build happens on the host: an image of a hard size, mounted for the sandbox and nobody else.
// It goes as a whole, whatever was left in it.

import { constants } from 'node:fs';
import { chmod, cp, mkdir, open, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  archivesFolder,
  type BuildOutcome,
  type BuildTask,
  debsFolder,
  outcomeFile,
  places,
  taskFile,
} from '../../shared/build-task.ts';
import { JobletError } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';
import { lastWords, runWhileAlive } from '../linux/programs.ts';
import { makeWorkImage, removeWorkImage } from '../linux/work-image.ts';
import { MAX_OUTCOME_BYTES, parseOutcome } from './outcome.ts';

/** Room that a build needs at least, and what it leaves of the disk. */
const LEAST_BYTES = 1024 ** 3;
/** Who has less has met the end of his disk. */
const FULL_BYTES = 1024 ** 2;

/** Folders of an image, which are mounted one by one: what is in one cannot stand in for another. */
const folders = ['files', 'input', 'out', 'tree', 'work'] as const;

const IMAGE = /^(.+)\.img$/;

export class BuildArea {
  readonly id: string;
  readonly bytes: number;
  readonly #directory: string;
  readonly #root: string;

  private constructor(directory: string, id: string, bytes: number) {
    this.#directory = directory;
    this.id = id;
    this.bytes = bytes;
    this.#root = path.join(directory, id);
  }

  /** Makes one, of at most `maxBytes`. */
  static async make(directory: string, id: string, maxBytes: number): Promise<BuildArea> {
    const { bavail, bsize } = await statfs(directory);
    const room = bavail * bsize - LEAST_BYTES;
    const bytes = Math.min(maxBytes, Math.floor(room / 4096) * 4096);
    const empty = path.join(directory, `${id}.empty`);
    await mkdir(empty, { mode: 0o755 });
    try {
      await makeWorkImage(directory, id, bytes, empty, false);
    } finally {
      await rm(empty, { recursive: true });
    }
    const area = new BuildArea(directory, id, bytes);
    try {
      // Nothing of it outlives a crash: what dpkg flushes, for each package many times, need not reach
      // the disk.
      await runWhileAlive('mount', '-o', 'remount,barrier=0,nodiscard,noatime', area.#root);
      const inTree = ['dev', 'proc', 'sys', archivesFolder].map((name) => path.join('tree', name));
      for (const name of [...folders, ...inTree, path.join('out', debsFolder)]) {
        await mkdir(path.join(area.#root, name), { recursive: true });
        // Whoever works in the tree has to come in, whatever this daemon's umask is.
        await chmod(path.join(area.#root, name), 0o755);
      }
    } catch (error) {
      await area.remove();
      throw error;
    }
    return area;
  }

  /** Removes what builds of an earlier daemon left. */
  static async sweep(directory: string): Promise<void> {
    for (const name of await readdir(directory)) {
      const id = IMAGE.exec(name)?.[1];
      if (id !== undefined) await removeWorkImage(directory, id);
    }
    for (const name of await readdir(directory)) {
      await removeWorkImage(directory, name);
      await rm(path.join(directory, name), { recursive: true, force: true });
    }
  }

  /** A folder of it on the host. */
  folder(name: (typeof folders)[number]): string {
    return path.join(this.#root, name);
  }

  async writeTask(task: BuildTask): Promise<void> {
    await writeFile(path.join(this.folder('input'), taskFile), JSON.stringify(task));
  }

  /** Lays files there that belong to the specification. */
  async addFiles(directory: string): Promise<void> {
    try {
      await cp(directory, this.folder('files'), { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      const message = `the files of the specification do not fit into the ${formatBytes(this.bytes)} of a build (runtime.buildBytes)`;
      throw new JobletError('exhausted', message);
    }
  }

  async isFull(): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#root);
    return bavail * bsize < FULL_BYTES;
  }

  /** The mounts of the sandbox, in their order. */
  mounts(cache: string): string[] {
    return [
      ...['bind-ro', this.folder('input'), places.input],
      ...['bind-ro', this.folder('files'), places.files],
      ...['bind-ro', cache, places.cache],
      ...['bind-rw', this.folder('work'), places.work],
      ...['bind-rw', this.folder('out'), places.out],
      ...['bind-rw', this.folder('tree'), places.tree],
      ...['bind-own', places.tree, places.root],
      ...['/dev', '/proc', '/sys'].flatMap((name) => ['bind-own', name, places.root + name]),
    ];
  }

  /** What the program left, or undefined when it left nothing. */
  async readOutcome(): Promise<BuildOutcome | undefined> {
    const file = path.join(this.folder('out'), outcomeFile);
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined);
    if (handle === undefined) return undefined;
    try {
      const found = await handle.stat();
      if (!found.isFile() || found.size > MAX_OUTCOME_BYTES) return undefined;
      return parseOutcome(await handle.readFile('utf8'));
    } finally {
      await handle.close();
    }
  }

  get debs(): string {
    return path.join(this.folder('out'), debsFolder);
  }

  /** Copies the tree to where it is to be installed from. */
  async copyTree(target: string): Promise<void> {
    try {
      await runWhileAlive('cp', '-a', '--no-target-directory', this.folder('tree'), target);
    } catch (error) {
      const message = `the tree cannot be copied to where it is installed from: ${lastWords(error)}`;
      throw new JobletError('exhausted', message, { cause: error });
    }
  }

  async remove(): Promise<void> {
    await removeWorkImage(this.#directory, this.id);
  }
}

/** Refuses a build for which the disk has no room. */
export async function requireRoom(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  const bytes = bavail * bsize;
  if (bytes >= 2 * LEAST_BYTES) return bytes;
  throw new JobletError(
    'exhausted',
    `a build needs ${formatBytes(LEAST_BYTES)} and leaves as much of the disk; ${directory} has ${formatBytes(bytes)} free`,
    { about: directory },
  );
}
