// The jobs that have not ended, with what only this daemon knows of them.

import { type JobStatus, type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { Action } from '../audit/record.ts';
import type { End } from '../linux/end-record.ts';
import type { KeeperLink } from '../linux/keeper.ts';
import type { Log } from '../log.ts';
import type { HeldRoot, Runtimes } from '../runtimes/runtimes.ts';
import type { JobCounts } from '../telemetry/job-counts.ts';
import type { Clock } from './due.ts';
import type { Identity, Job } from './job.ts';
import type { JobRow, JobStore } from './store.ts';
import type { Staged } from './uploads.ts';

/** A job that has not ended. */
export interface Active {
  job: Job;
  idRange: number | undefined;
  bootId: string;
  staged: Staged | undefined;
  /** What it sees as its root, once it is to start. */
  root: HeldRoot | undefined;
  /** Set when a stop came before the command ran. */
  stopGraceMs: number | undefined;
  /** The connection to its keeper that stops and the like go by, while there is one. */
  link: Promise<KeeperLink | undefined> | undefined;
  /** The calls that feed its standard input. */
  readonly inputs: Set<AbortSignal>;
  /** An end that overtook the news of its start. */
  earlyEnd: End | undefined;
  /** Resolves when its row has been written. */
  recorded: Promise<void>;
  /** How often this daemon has handed it to the launcher. */
  launches: number;
  /** The start has been answered. */
  launched: boolean;
  /** Its keeper is heard by a connection of its own, not through the launcher. */
  followed: boolean;
  /** Its end is known and being recorded: no second one counts. */
  settled: boolean;
  readonly over: PromiseWithResolvers<Job>;
}

/** The jobs that have not ended, as numbers. */
export interface Census {
  readonly byStatus: ReadonlyMap<JobStatus, number>;
  /** 0 when none waits. */
  readonly waitingSinceMs: number;
}

export interface ActiveParts {
  readonly store: JobStore;
  readonly runtimes: Runtimes;
  readonly counts: Pick<JobCounts, 'saw'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class ActiveJobs {
  readonly #parts: ActiveParts;
  readonly #byId = new Map<string, Active>();
  #isWatched = true;

  constructor(parts: ActiveParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Ends are recorded; false once the daemon stops, when the next one has to learn of them. */
  get isWatched(): boolean {
    return this.#isWatched;
  }

  stopWatching(): void {
    this.#isWatched = false;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  find(id: string): Active | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<Active> {
    return this.#byId.values();
  }

  enter(row: JobRow, staged: Staged | undefined): Active {
    const active: Active = {
      job: row.job,
      idRange: row.idRange,
      bootId: row.bootId,
      staged,
      root: undefined,
      stopGraceMs: undefined,
      link: undefined,
      inputs: new Set(),
      earlyEnd: undefined,
      recorded: Promise.resolve(),
      launches: 0,
      launched: row.job.status === 'RUNNING',
      followed: false,
      settled: false,
      over: Promise.withResolvers<Job>(),
    };
    this.#byId.set(row.job.id, active);
    // From now on nobody removes it, however long the job waits.
    this.#parts.runtimes.hold(row.job.id, row.job.spec.runtime);
    return active;
  }

  leave(id: string): void {
    this.#byId.delete(id);
    this.#parts.runtimes.release(id);
  }

  /** A change that the next daemon would find out by itself, so that nothing waits for its row. */
  change(active: Active, change: Partial<Job>): void {
    const { store, clock } = this.#parts;
    active.job = { ...active.job, ...change };
    store.changeSoon(rowOf(active), clock.now());
    this.say(active.job);
  }

  /** Records an act that changed the row. */
  mark(active: Active, action: Action, detail: string, who: Identity): Promise<void> {
    const { store, clock } = this.#parts;
    return store.mark(rowOf(active), action, detail, clock.now(), who);
  }

  /** Records that a stop was asked for. Resolves when it is committed. */
  markStop(active: Active, graceMs: number, who: Identity): Promise<void> {
    const { store, clock } = this.#parts;
    return store.stop(rowOf(active), graceMs, clock.now(), who);
  }

  /** How many are in each state, and since when the first of those that wait for their turn has. */
  census(): Census {
    const byStatus = new Map<JobStatus, number>();
    let waitingSinceMs = 0;
    for (const { job } of this.#byId.values()) {
      byStatus.set(job.status, (byStatus.get(job.status) ?? 0) + 1);
      if (job.status !== 'PENDING') continue;
      waitingSinceMs = Math.min(waitingSinceMs || job.queuedAtMs, job.queuedAtMs);
    }
    return { byStatus, waitingSinceMs };
  }

  /** One line in the daemon's log for each state that a job takes; loud where it went against a limit. */
  say(job: Job): void {
    const { counts, log } = this.#parts;
    counts.saw(job);
    const fields: Record<string, string | number> = { jobId: job.id };
    if (job.status === 'RUNNING') fields['duration'] = `${job.startedAtMs - job.createdAtMs}ms`;
    if (job.outcome !== undefined) Object.assign(fields, fieldsOf(job.outcome));
    const isOverLimit = job.outcome !== undefined && overLimit.has(job.outcome.how);
    log[isOverLimit ? 'warn' : 'info'](`job ${job.status}`, fields);
    if (job.outcome === undefined || job.logDroppedBytes === 0) return;
    log.warn('output of a job was dropped', { jobId: job.id, bytes: job.logDroppedBytes });
  }
}

/** Ends that a limit brought about. */
const overLimit: ReadonlySet<Outcome['how']> = new Set(['out-of-memory', 'timed-out']);

export function rowOf({ job, idRange, bootId }: Active): JobRow {
  return { job, idRange, bootId };
}

function fieldsOf(outcome: Outcome): Record<string, string | number> {
  const { exitCode, reason, message } = viewOutcome(outcome);
  return { exitCode, reason, ...(message === '' ? {} : { why: message }) };
}
