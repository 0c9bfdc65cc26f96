// The files that a workflow brings along, kept from its request until it is deleted:
//
//   <directory>/<workflow id>/   by their names below the folder of its file

import { mkdirSync } from 'node:fs';
import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { nameInJob } from '../../shared/workflow-uploads.ts';
import type { Upload } from '../jobs/job.ts';
import type { Uploads } from '../jobs/uploads.ts';

const PERMISSIONS = 0o777;

export class WorkflowFiles {
  readonly #uploads: Pick<Uploads, 'keep'>;
  readonly #directory: string;

  constructor(uploads: Pick<Uploads, 'keep'>, directory: string) {
    this.#uploads = uploads;
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Keeps files that came with a request or ahead of it. */
  async keep(
    id: string,
    files: readonly Upload[],
    uploadId: string,
    who: { readonly name: string },
  ): Promise<void> {
    await this.#uploads.keep(path.join(this.#directory, id), files, uploadId, who);
  }

  /** What a job takes of them, under the names that it finds them by. */
  async read(
    id: string,
    files: readonly string[],
    directories: readonly string[],
  ): Promise<Upload[]> {
    const found = new Map<string, Upload>();
    const take = async (name: string) => {
      const whole = path.join(this.#directory, id, name);
      const { mode, isDirectory } = await stat(whole).then((one) => ({
        mode: one.mode & PERMISSIONS,
        isDirectory: one.isDirectory(),
      }));
      const content = isDirectory ? new Uint8Array() : await readFile(whole);
      found.set(name, { path: name, mode, isDirectory, content });
    };
    for (const written of files) await take(nameInJob(written));
    for (const written of directories) {
      const folder = nameInJob(written);
      const below = await readdir(path.join(this.#directory, id, folder), { recursive: true });
      for (const name of below.toSorted()) await take(path.posix.join(folder, name));
    }
    return [...found.values()];
  }

  /** The same files for another workflow. */
  async copy(from: string, to: string): Promise<void> {
    const source = path.join(this.#directory, from);
    if ((await stat(source).catch(() => undefined)) === undefined) return;
    await cp(source, path.join(this.#directory, to), { recursive: true });
  }

  async drop(id: string): Promise<void> {
    await rm(path.join(this.#directory, id), { recursive: true, force: true });
  }

  /** Drops the files of workflows that are not in `ids`. */
  async sweep(ids: ReadonlySet<string>): Promise<void> {
    const kept = await readdir(this.#directory).catch(() => []);
    for (const id of kept) if (!ids.has(id)) await this.drop(id);
  }
}
