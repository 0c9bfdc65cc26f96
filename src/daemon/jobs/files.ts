// Files of jobs: of one that runs, within its sandbox; of one that has ended, what it left in its work
// directory, where that is kept.

import path from 'node:path/posix';
import { JobletError } from '../../shared/errors.ts';
import { isWithin } from '../../shared/volume-mount.ts';
import {
  type FilesBounds,
  type FilesPart,
  type FilesRoot,
  type FoundFile,
  listFiles,
  type Put,
  type PutPart,
  readFiles,
  writeFiles,
} from '../linux/job-files.ts';
import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import type { Clock } from './due.ts';
import type { Identity, Job } from './job.ts';
import type { KeptWork } from './kept-work.ts';
import type { JobStore } from './store.ts';

export interface JobFilesParts {
  readonly get: (idOrPrefix: string) => Job;
  readonly store: Pick<JobStore, 'sandboxOf' | 'act'>;
  readonly kept: KeptWork;
  readonly addressOf: (id: string) => KeeperAddress;
  /** Of what is fetched or put by one call. */
  readonly bounds: FilesBounds;
  readonly clock: Clock;
}

const WORK = '/work';

/** Entries of one list, and what their names and what links lead to may take: a list is one answer. */
const MAX_LISTED = 10_000;
const MAX_LISTED_BYTES = 2 * 1024 ** 2;

/** Where something is: a root, and a path in it. */
type Place = readonly [root: FilesRoot, path: string];

export class JobFiles {
  readonly #parts: JobFilesParts;

  constructor(parts: JobFilesParts) {
    this.#parts = parts;
  }

  /** What is in a folder of a job. */
  async list(idOrPrefix: string, asked: string): Promise<FoundFile[]> {
    const bounds = { maxFiles: MAX_LISTED, maxBytes: MAX_LISTED_BYTES };
    const found = this.#at(idOrPrefix, asked, async function* ([root, place]) {
      yield await listFiles(root, place, bounds);
    });
    for await (const files of found) return files;
    return [];
  }

  /** A file of a job, or a folder with all that is in it. */
  async *read(idOrPrefix: string, asked: string, who: Identity): AsyncGenerator<FilesPart> {
    const { store, bounds, clock } = this.#parts;
    const { id } = this.#parts.get(idOrPrefix);
    await store.act(id, 'job.get', asked, clock.now(), who);
    yield* this.#at(id, asked, ([root, place]) => readFiles(root, place, bounds));
  }

  /** Puts files into a job. */
  async write(
    idOrPrefix: string,
    asked: string,
    parts: AsyncIterable<PutPart>,
    who: Identity,
  ): Promise<Put> {
    const { store, bounds, clock } = this.#parts;
    const { id, spec } = this.#parts.get(idOrPrefix);
    const memory = { maxMemoryBytes: spec.limits.memoryBytes };
    await store.act(id, 'job.put', asked, clock.now(), who);
    const done = this.#at(id, asked, async function* ([root, place]) {
      yield await writeFiles(root, place, parts, { ...bounds, ...memory });
    });
    for await (const put of done) return put;
    throw new JobletError('unavailable', 'nothing was put');
  }

  async *#at<T>(
    idOrPrefix: string,
    asked: string,
    use: (place: Place) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    if (asked.includes('\0')) throw new JobletError('invalid', 'path: holds a NUL character');
    const job = this.#parts.get(idOrPrefix);
    const whole = path.resolve(WORK, asked);
    if (job.status === 'RUNNING') {
      yield* use([await this.#rootOf(job), whole]);
    } else if (this.#parts.kept.has(job.id)) {
      if (!isWithin(whole, WORK)) {
        const message = `of job ${job.id}, which has ended, only ${WORK} is kept`;
        throw new JobletError('not-found', message, { about: 'path' });
      }
      const inside = whole.slice(WORK.length) || '/';
      yield* this.#parts.kept.open(job.id, (directory) =>
        use([{ kind: 'directory', path: directory }, inside]),
      );
    } else {
      throw new JobletError('wrong-state', noFiles(job), { about: 'uuid' });
    }
  }

  async #rootOf(job: Job): Promise<FilesRoot> {
    const firstId = this.#parts.store.sandboxOf(job.id)?.firstId;
    const link = await KeeperLink.connect(this.#parts.addressOf(job.id));
    if (link === undefined || firstId === undefined) {
      throw new JobletError('wrong-state', `job ${job.id} has just ended`, { about: 'uuid' });
    }
    link.close();
    return { kind: 'job', initPid: link.state.initPid, firstId };
  }
}

function noFiles({ id, status, endedAtMs }: Job): string {
  return endedAtMs === 0
    ? `job ${id} is ${status} and has no files yet`
    : `the work directory of job ${id} is gone; start jobs with --keep-work=1h to have it kept when they have ended`;
}
