// The files that a workflow brings along, kept from its request until it is deleted:
//
//   <directory>/<workflow id>/   by their names below the folder of its file

import { mkdirSync } from 'node:fs';
import { cp, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { nameInJob } from '../../shared/workflow-uploads.ts';
import type { Upload } from '../jobs/job.ts';
import type { KeptFile, Uploads } from '../jobs/uploads.ts';

export class WorkflowFiles {
  readonly #uploads: Pick<Uploads, 'keep' | 'adopt' | 'drop'>;
  readonly #directory: string;

  constructor(uploads: Pick<Uploads, 'keep' | 'adopt' | 'drop'>, directory: string) {
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

  /** What a job takes of them, as an upload of its owner's; empty when that is nothing. */
  async offer(
    id: string,
    files: readonly string[],
    directories: readonly string[],
    who: { readonly name: string },
  ): Promise<string> {
    const found = new Map<string, KeptFile>();
    const take = (name: string, isDirectory: boolean) => {
      found.set(name, { name, source: path.join(this.#directory, id, name), isDirectory });
    };
    for (const written of files) take(nameInJob(written), false);
    for (const written of directories) {
      const folder = nameInJob(written);
      const whole = path.join(this.#directory, id, folder);
      for (const entry of await readdir(whole, { recursive: true, withFileTypes: true })) {
        const below = path.relative(whole, path.join(entry.parentPath, entry.name));
        take(path.posix.join(folder, below), entry.isDirectory());
      }
    }
    return found.size === 0 ? '' : this.#uploads.adopt([...found.values()], who);
  }

  /** Drops what was offered and nobody has taken. */
  async takeBack(uploadId: string, who: { readonly name: string }): Promise<void> {
    await this.#uploads.drop(uploadId, who);
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
