// Brings jobs into the archive, behind everything else: what of a running one's log is complete, and of
// an ended one all of it, its samples, and the record of its end. What is to be done follows from the
// rows, so a daemon that died goes on where it was; a store that does not answer is tried again, ever
// less often, and holds nobody up.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { formatDuration } from '../../shared/units.ts';
import type { Log } from '../log.ts';
import { ArchivedBytes } from './archived-bytes.ts';
import {
  isAll,
  isSealed,
  keyOf,
  removeJob,
  removeOthers,
  sealedIn,
  storeFile,
  storeJob,
  wholeOnes,
} from './job-files.ts';
import type { ObjectStore } from './objects.ts';
import type { ArchivedFile, ArchiveRows } from './rows.ts';

export interface ArchiveParts {
  readonly store: ObjectStore;
  readonly rows: ArchiveRows;
  /** Where the log and the samples of a job lie. */
  readonly directoryOf: (id: string) => string;
  /** What is to be known of an ended job for ever; undefined when there is no such job. */
  readonly recordOf: (id: string) => object | undefined;
  /** Brings the files of a job into the form in which they stay. */
  readonly settle: (id: string, signal: AbortSignal) => Promise<void>;
  readonly clock: {
    now(): number;
    at(atMs: number, callback: () => void): () => void;
  };
  readonly log: Pick<Log, 'debug' | 'info' | 'warn'>;
}

/** Jobs that are brought at once: most of the time is waiting for answers. */
const AT_ONCE = 4;
/** More than samples ever take. */
const MAX_TEXT_BYTES = 16 << 20;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 5 * 60_000;

export class Archive {
  readonly #parts: ArchiveParts;
  readonly #stopping = new AbortController();
  /** Jobs of which something is to be brought, those first that ended first. */
  readonly #waiting = new Set<string>();
  /** Jobs to remove. */
  readonly #doomed = new Set<string>();
  /** What is being done, by job. */
  readonly #busy = new Map<
    string,
    { readonly stop: AbortController; readonly done: Promise<void> }
  >();
  #pauseMs = 0;
  #resume: (() => void) | undefined;

  constructor(parts: ArchiveParts) {
    this.#parts = parts;
  }

  /** How many jobs have to be brought or removed still. */
  get backlog(): number {
    return new Set([...this.#waiting, ...this.#doomed, ...this.#busy.keys()]).size;
  }

  /** Whether the store is left alone because it did not answer. */
  get isPaused(): boolean {
    return this.#resume !== undefined;
  }

  /** Takes up what an earlier daemon left, and what ended without an archive. */
  start(): void {
    const { rows, store, log } = this.#parts;
    for (const id of rows.doomed()) this.#doomed.add(id);
    for (const id of rows.waiting()) this.#waiting.add(id);
    log.info('ended jobs are archived', { place: store.place, waiting: this.backlog });
    for (const id of rows.running()) this.#waiting.add(id);
    this.#go();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#resume?.();
    await Promise.all([...this.#busy.values()].map(({ done }) => done));
  }

  /** A job has ended, or is about to be recorded so. */
  ended(id: string): void {
    this.#waiting.add(id);
    this.#goSoon();
  }

  /** Something of the log of a job that runs is complete. */
  sealed(id: string): void {
    this.#waiting.add(id);
    this.#goSoon();
  }

  /** A job was deleted, or is about to be: what the archive has of it goes, too. */
  deleted(id: string): void {
    this.#waiting.delete(id);
    this.#busy.get(id)?.stop.abort();
    this.#doomed.add(id);
    this.#goSoon();
  }

  /** The files of a job that are in the archive, all of them or not yet. */
  filesOf(id: string): readonly ArchivedFile[] | undefined {
    return this.#parts.rows.filesOf(id);
  }

  /** A file of a job that is in the archive; whoever opens it closes it. */
  open(id: string, name: string): ArchivedBytes {
    const { store, rows } = this.#parts;
    const file = rows.filesOf(id)?.find((each) => each.name === name);
    if (file !== undefined) return new ArchivedBytes(store, keyOf(id, name), file);
    throw new JobletError('unavailable', `${name} of job ${id} is not in the archive any more`);
  }

  /** The text of a small file of a job; undefined when the archive has no such file. */
  async textOf(id: string, name: string): Promise<string | undefined> {
    const file = this.filesOf(id)?.find((each) => each.name === name);
    if (file === undefined || file.bytes > MAX_TEXT_BYTES) return undefined;
    const text = Buffer.alloc(file.bytes);
    const open = this.open(id, name);
    await open.read(text, 0, text.length, 0).finally(() => open.close());
    return text.toString('utf8');
  }

  /**
   * Whether the archive gives back all of a job, so that what is here may go: it is read to find out.
   * What it does not give back is brought again. False while it cannot be used.
   */
  async holds(id: string): Promise<boolean> {
    const { rows, store, directoryOf, log } = this.#parts;
    const files = rows.filesOf(id);
    const { signal } = this.#stopping;
    if (files === undefined || !rows.isWhole(id) || this.isPaused) return false;
    try {
      const whole = await wholeOnes(store, id, files, signal);
      if (whole.length === files.length && (await isAll(directoryOf(id), files))) return true;
      log.warn('the archive lacks something of a job; it is brought again', { jobId: id });
      await rows.reopen(id, whole.filter(isSealed));
      this.ended(id);
    } catch (error) {
      if (!signal.aborted) this.#pause(id, messageOf(error));
    }
    return false;
  }

  /** Behind what is going on: it may be a transaction that is to be committed first. */
  #goSoon(): void {
    setImmediate(() => this.#go());
  }

  #go(): void {
    if (this.isPaused || this.#stopping.signal.aborted) return;
    const next = [...take(this.#doomed), ...take(this.#waiting)];
    for (const id of next) {
      if (this.#busy.size >= AT_ONCE) return;
      if (this.#busy.has(id)) continue;
      const isDoomed = this.#doomed.delete(id);
      this.#waiting.delete(id);
      const stop = new AbortController();
      const signal = AbortSignal.any([stop.signal, this.#stopping.signal]);
      const work = isDoomed ? this.#remove(id, signal) : this.#bring(id, signal);
      const done = work
        .catch((error: unknown) => this.#failed(id, isDoomed, signal, error))
        .then(() => {
          this.#busy.delete(id);
          this.#go();
        });
      this.#busy.set(id, { stop, done });
    }
  }

  async #bring(id: string, signal: AbortSignal): Promise<void> {
    const { rows, recordOf } = this.#parts;
    if (rows.isWhole(id)) return;
    await (recordOf(id) === undefined ? this.#bringSealed(id, signal) : this.#bringAll(id, signal));
  }

  /** Of a job that runs, what of its log is complete; each file that has come is known to be there. */
  async #bringSealed(id: string, signal: AbortSignal): Promise<void> {
    const { store, rows, directoryOf, log } = this.#parts;
    for (const name of await sealedIn(directoryOf(id))) {
      if (rows.filesOf(id)?.some((file) => file.name === name) === true) continue;
      if ((await rows.begin(id)) === 'gone') return;
      const file = await storeFile(store, id, directoryOf(id), name, signal);
      await rows.add(id, file);
      this.#succeeded();
      const { bytes } = file;
      log.debug('a part of the log of a running job is in the archive', { jobId: id, name, bytes });
    }
  }

  async #bringAll(id: string, signal: AbortSignal): Promise<void> {
    const { store, rows, directoryOf, recordOf, settle, clock, log } = this.#parts;
    const begun = await rows.begin(id);
    if (begun === 'gone') return;
    await settle(id, signal);
    const record = recordOf(id);
    if (record === undefined) return;
    const stored = rows.filesOf(id) ?? [];
    const files = await storeJob(store, id, directoryOf(id), record, stored, signal);
    if (begun === 'again') await removeOthers(store, id, files, signal);
    await rows.finish(id, files, clock.now());
    this.#succeeded();
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const waiting = this.backlog - 1;
    log.debug('a job is in the archive', { jobId: id, files: files.length, bytes, waiting });
  }

  async #remove(id: string, signal: AbortSignal): Promise<void> {
    const { store, rows, recordOf, log } = this.#parts;
    if (!rows.isDoomed(id)) {
      // The deletion was taken back, or nothing of the job has ever come here.
      if (recordOf(id) !== undefined) this.ended(id);
      return;
    }
    await removeJob(store, id, signal);
    await rows.forget(id);
    this.#succeeded();
    const waiting = this.backlog - 1;
    log.debug('a deleted job is out of the archive', { jobId: id, waiting });
  }

  #failed(id: string, isDoomed: boolean, signal: AbortSignal, error: unknown): void {
    const { log } = this.#parts;
    // Deleted meanwhile, or stopped.
    if (signal.aborted) return;
    const why = messageOf(error);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      // It was put aside to be deleted. That may fail yet.
      this.ended(id);
      return;
    }
    if (!(error instanceof JobletError)) {
      log.warn('a job cannot be archived; it is tried again by the next daemon', {
        jobId: id,
        why,
      });
      return;
    }
    (isDoomed ? this.#doomed : this.#waiting).add(id);
    this.#pause(id, why);
  }

  /** Leaves the store alone for a while. */
  #pause(id: string, why: string): void {
    const { log, clock } = this.#parts;
    if (this.isPaused) return;
    this.#pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2), LONGEST_PAUSE_MS);
    const disarm = clock.at(clock.now() + this.#pauseMs, () => this.#resume?.());
    this.#resume = () => {
      disarm();
      this.#resume = undefined;
      this.#go();
    };
    log.warn('the archive cannot be used; jobs run on and wait for it', {
      jobId: id,
      why,
      waiting: this.backlog,
      tryAgainIn: formatDuration(this.#pauseMs),
    });
  }

  #succeeded(): void {
    if (this.#pauseMs === 0) return;
    this.#pauseMs = 0;
    this.#parts.log.info('the archive can be used again', { waiting: this.backlog });
  }
}

/** The first of a set, as many as are worked on at once. */
function take(all: ReadonlySet<string>): string[] {
  return [...all.values().take(AT_ONCE * 2)];
}
