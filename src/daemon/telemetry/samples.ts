// What jobs use, sampled while they run. A job that is over before its first sample is due costs
// nothing: its beginning is known without looking, and its end from its keeper.

import { JobletError, messageOf } from '../../shared/errors.ts';
import type { CgroupLayout } from '../linux/cgroup.ts';
import {
  type BriefUsage,
  type JobUsage,
  readBriefUsage,
  readJobUsage,
  readPids,
  readResting,
  type UsedUp,
} from '../linux/job-usage.ts';
import type { Traffic } from '../linux/launcher.ts';
import type { GpuUsage } from '../linux/nvidia-smi.ts';
import type { Log } from '../log.ts';
import { type Base, baseAt, nothingBefore, without } from './base.ts';
import { appendLines, type Line, readLines } from './sample-file.ts';

/** A job that begins to be sampled. */
export interface Metered {
  readonly id: string;
  /** The name of its cgroups. */
  readonly cgroup: string;
  /** What their counters stood at before it: `nothing` where it is their first job. */
  readonly before: UsedUp | 'nothing' | 'unknown';
  readonly hasGpus?: boolean;
}

export interface SamplesParts {
  readonly layout: CgroupLayout;
  /** Where the log of a job is; its samples lie beside it. */
  readonly directoryOf: (id: string) => string;
  /** The text of a file that lay there and is gone; undefined when nobody has it. */
  readonly textElsewhere: (id: string, name: string) => Promise<string | undefined>;
  /** How the GPUs of a job do, which takes a while; undefined where that is not known. */
  readonly gpusOf: (
    id: string,
    pidsOf: () => readonly string[],
  ) => Promise<readonly GpuUsage[] | undefined>;
  readonly intervalMs: number;
  readonly clock: {
    now(): number;
    at(atMs: number, callback: () => void): () => void;
  };
  readonly log: Pick<Log, 'warn'>;
}

export interface SampleQuery {
  /** Go on with what comes. */
  readonly follow: boolean;
  /** The job had ended when it was asked about. */
  readonly isOver: boolean;
  readonly signal: AbortSignal;
}

interface Sampled extends Metered {
  /** Known from its first sample on. */
  base: Base | undefined;
  /** As it was counted, and what of that is its own. */
  counted: JobUsage | undefined;
  last: JobUsage | undefined;
  /** When all of it was read. */
  readAtMs: number;
  hasMissed: boolean;
  /** It was kept from having more processes, which was said. */
  hasHitLimit: boolean;
  /** A look at its GPUs that is under way. */
  looking: Promise<void> | undefined;
  readonly readers: Set<Reader>;
}

/** Samples that wait for one reader; one that lets more come together is cut off. */
const QUEUE_LIMIT = 1000;

/** A job that rests is looked at as a whole again after so long. */
const READ_ALL_MS = 60_000;

/** Jobs that are looked at before the event loop gets its turn. */
const LOOKS_AT_ONCE = 8;
const BRIEF_LOOKS_AT_ONCE = 64;

interface Reader {
  readonly queue: JobUsage[];
  isOver: boolean;
  isSlow: boolean;
  wake: () => void;
}

export class Samples {
  readonly #parts: SamplesParts;
  readonly #jobs = new Map<string, Sampled>();
  /** Who follows a job that has not started yet. */
  readonly #early = new Map<string, Set<Reader>>();
  /** When each is looked at next. All wait equally long, so the first one is always the next. */
  readonly #due = new Map<string, number>();
  #disarm: () => void = () => {};
  #isArmed = false;

  constructor(parts: SamplesParts) {
    this.#parts = parts;
  }

  /** A job's command runs. */
  begin(job: Metered): void {
    const readers = this.#early.get(job.id) ?? new Set();
    this.#early.delete(job.id);
    const nothing = { base: undefined, counted: undefined, last: undefined, readAtMs: 0 };
    const sampled: Sampled = {
      ...job,
      ...nothing,
      hasMissed: false,
      hasHitLimit: false,
      looking: undefined,
      readers,
    };
    this.#jobs.set(job.id, sampled);
    this.#due.set(job.id, this.#parts.clock.now() + this.#parts.intervalMs);
    this.#arm();
    // Nothing is known of GPUs without looking, not even at the beginning.
    if (job.hasGpus === true) void afterOthers().then(() => this.#tryToLook(sampled));
  }

  /** A job has ended, and whoever follows it hears of that. */
  end(id: string): void {
    const readers = this.#jobs.get(id)?.readers ?? this.#early.get(id) ?? [];
    this.#jobs.delete(id);
    this.#early.delete(id);
    this.#due.delete(id);
    for (const reader of readers) {
      reader.isOver = true;
      reader.wake();
    }
  }

  stop(): void {
    this.#disarm();
    for (const id of [...this.#jobs.keys()]) this.end(id);
  }

  /**
   * The samples of a job: those that are kept, then, when a job that is not over is followed, each new
   * one until it ends.
   */
  async *read(id: string, { follow, isOver, signal }: SampleQuery): AsyncGenerator<JobUsage> {
    const job = this.#jobs.get(id);
    const reader: Reader = { queue: [], isOver, isSlow: false, wake: () => {} };
    const readers = isOver ? new Set<Reader>() : (job?.readers ?? this.#earlyReaders(id));
    readers.add(reader);
    const wake = () => reader.wake();
    signal.addEventListener('abort', wake);
    try {
      // Somebody looks: there is to be something to see.
      if (job !== undefined && job.last === undefined) await this.#look(job);
      let lastMs = 0;
      for await (const line of isOver ? this.#all(id) : readLines(this.#parts.directoryOf(id))) {
        if (signal.aborted) return;
        if (!('sample' in line)) continue;
        lastMs = line.sample.atMs;
        yield line.sample;
      }
      if (!follow) return;
      for (;;) {
        for (let next = reader.queue.shift(); next !== undefined; next = reader.queue.shift()) {
          if (next.atMs > lastMs) yield next;
        }
        if (reader.isSlow) throw tooSlow(id);
        if (reader.isOver || signal.aborted) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        reader.wake = resolve;
        // What came while nobody waited rings no more.
        if (reader.queue.length === 0 && !signal.aborted) await promise;
      }
    } finally {
      signal.removeEventListener('abort', wake);
      readers.delete(reader);
      if (readers.size === 0 && this.#early.get(id) === readers) this.#early.delete(id);
    }
  }

  /** What a job had sent and received at its end is known. */
  sent(id: string, traffic: Traffic): void {
    try {
      appendLines(this.#parts.directoryOf(id), [{ traffic }]);
    } catch (error) {
      // A job that is deleted takes its samples along.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      const why = messageOf(error);
      this.#parts.log.warn('what a job sent is not kept', { jobId: id, why });
    }
  }

  /** The same, once it is known; undefined when it never was. */
  async sentBy(id: string): Promise<Traffic | undefined> {
    for await (const line of this.#all(id)) {
      if ('traffic' in line) return line.traffic;
    }
    return undefined;
  }

  /** What is kept of a job that is over, wherever that is. */
  #all(id: string): AsyncGenerator<Line> {
    const { directoryOf, textElsewhere } = this.#parts;
    return readLines(directoryOf(id), (name) => textElsewhere(id, name));
  }

  #earlyReaders(id: string): Set<Reader> {
    const readers = this.#early.get(id) ?? new Set();
    this.#early.set(id, readers);
    return readers;
  }

  /** The jobs that run, in short and as the kernel counts them: rates are made of two of these. */
  async brief(): Promise<Map<string, BriefUsage>> {
    const all = new Map<string, BriefUsage>();
    for (const [id, { cgroup }] of [...this.#jobs]) {
      all.set(id, readBriefUsage(this.#parts.layout, cgroup));
      if (all.size % BRIEF_LOOKS_AT_ONCE === 0) await afterOthers();
    }
    return all;
  }

  #arm(): void {
    if (this.#isArmed) return;
    const [next] = this.#due.values();
    if (next === undefined) return;
    this.#isArmed = true;
    this.#disarm = this.#parts.clock.at(next, () => void this.#ring());
  }

  async #ring(): Promise<void> {
    const now = this.#parts.clock.now();
    let looks = 0;
    for (const [id, atMs] of this.#due) {
      if (atMs > now) break;
      const job = this.#jobs.get(id);
      this.#due.delete(id);
      if (job === undefined) continue;
      this.#due.set(id, now + this.#parts.intervalMs);
      const looked = this.#tryToLook(job);
      // Nobody else waits for GPUs, which may take long to answer.
      if (job.hasGpus !== true) await looked;
      if (++looks % LOOKS_AT_ONCE === 0) await afterOthers();
    }
    this.#isArmed = false;
    this.#arm();
  }

  #tryToLook(job: Sampled): Promise<void> {
    return this.#look(job).catch((error: unknown) => this.#missed(job, error));
  }

  #look(job: Sampled): Promise<void> {
    if (job.hasGpus !== true) return this.#sample(job, undefined);
    job.looking ??= this.#lookAtGpus(job).finally(() => {
      job.looking = undefined;
    });
    return job.looking;
  }

  async #lookAtGpus(job: Sampled): Promise<void> {
    const { layout, gpusOf } = this.#parts;
    await this.#sample(job, await gpusOf(job.id, () => readPids(layout, job.cgroup)));
  }

  async #sample(job: Sampled, gpus: JobUsage['gpus']): Promise<void> {
    const { directoryOf, clock } = this.#parts;
    const found = job.base ?? (await this.#storedBase(job));
    const now = clock.now();
    // Two in the same moment would be one and a rate of nothing.
    if (job.last?.atMs === now || !this.#jobs.has(job.id)) return;
    const counted = this.#count(job, now);
    if (counted === undefined) return;
    job.counted = counted;
    const base = found ?? firstBase(job, counted);
    job.base = base;
    const used = without(counted, base);
    job.last = gpus === undefined ? used : { ...used, gpus };
    this.#warnOfLimit(job, used.processes.limitHits);
    try {
      appendLines(directoryOf(job.id), [{ sample: job.last }], [{ base }]);
    } catch (error) {
      this.#missed(job, error);
    }
    for (const reader of job.readers) tell(reader, job.last);
  }

  /** Of a job that rests little is read, but all once in a while: the kernel's sums may come late. */
  #count(job: Sampled, now: number): JobUsage | undefined {
    const { layout } = this.#parts;
    const { counted, readAtMs } = job;
    const resting =
      counted !== undefined && now - readAtMs < READ_ALL_MS
        ? readResting(layout, job.cgroup, now, counted)
        : undefined;
    if (resting !== undefined) return resting;
    job.readAtMs = now;
    return readJobUsage(layout, job.cgroup, now);
  }

  /** What goes against a limit is said, of each job once. */
  #warnOfLimit(job: Sampled, hits: number): void {
    if (hits === 0 || job.hasHitLimit) return;
    job.hasHitLimit = true;
    this.#parts.log.warn('a job was kept from having more processes', { jobId: job.id, hits });
  }

  /** A job's sample is missing; said once for each job, as a full disk would say it every time. */
  #missed(job: Sampled, error: unknown): void {
    if (job.hasMissed) return;
    job.hasMissed = true;
    const why = messageOf(error);
    this.#parts.log.warn('samples of a job are missing', { jobId: job.id, why });
  }

  /** What an earlier daemon has written down with the job's first sample. */
  async #storedBase({ id, before }: Sampled): Promise<Base | undefined> {
    if (before !== 'unknown') return undefined;
    for await (const line of readLines(this.#parts.directoryOf(id))) {
      if ('base' in line) return line.base;
    }
    return undefined;
  }
}

/** The event loop gets its turn. */
function afterOthers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function firstBase({ before }: Sampled, counted: JobUsage): Base {
  if (before === 'nothing') return nothingBefore;
  return baseAt(counted, before === 'unknown' ? undefined : before);
}

function tell(reader: Reader, sample: JobUsage): void {
  if (reader.queue.length < QUEUE_LIMIT) reader.queue.push(sample);
  else reader.isSlow = true;
  reader.wake();
}

function tooSlow(id: string): JobletError {
  return new JobletError(
    'exhausted',
    `this reader of the samples of job ${id} is ${QUEUE_LIMIT} of them behind; read them anew`,
  );
}
