// The jobs that wait: for their time, then for their turn, and while the state cannot be written.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { type Active, type ActiveJobs, rowOf } from './active.ts';
import { Due } from './due.ts';
import type { Ends } from './ends.ts';
import type { Identity, Job, JobSpec } from './job.ts';
import { type Capacity, Queue, type Turn, type Waiting } from './queue.ts';
import type { Starts, StartsParts } from './starts.ts';
import { timeoutFrom } from './timeouts.ts';

export interface TurnsConfig {
  /** What jobs that run at once may hold together. */
  readonly capacity: Capacity;
  /** Jobs that may wait for their turn or their time. */
  readonly maxWaitingJobs: number;
}

export interface TurnsParts extends StartsParts {
  readonly config: StartsParts['config'] & TurnsConfig;
  readonly bootId: string;
}

/** What a new job has to wait for. */
export interface Place {
  /** Since when it has its place among those that wait; 0 is when its time has come. */
  readonly queuedAtMs: number;
  /** It is its turn at once. */
  readonly starts: boolean;
}

type Arrival = Pick<Job, 'id' | 'queuedAtMs'> & {
  spec: Pick<JobSpec, 'priority' | 'limits' | 'gpus'>;
};

export class Turns {
  readonly #parts: TurnsParts;
  readonly #active: ActiveJobs;
  readonly #ends: Ends;
  readonly #starts: Starts;
  readonly #queue: Queue;
  readonly #due: Due;
  /** Whose turn it was when their start could not be recorded. */
  readonly #held = new Set<Active>();

  constructor(parts: TurnsParts, active: ActiveJobs, ends: Ends, starts: Starts) {
    this.#parts = parts;
    this.#active = active;
    this.#ends = ends;
    this.#starts = starts;
    this.#queue = new Queue(parts.config.capacity, parts.gpus.pool);
    this.#due = new Due(parts.clock, (id) => this.#startDue(id));
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Where a PENDING job stands; undefined when it does not wait for its turn. */
  turnOf(id: string): Turn | undefined {
    return this.#queue.turnOf(id);
  }

  /**
   * Gives a new job its place.
   * @throws JobletError exhausted, when as many wait as may
   */
  arrive(id: string, spec: JobSpec, createdAtMs: number): Place {
    const isScheduled = spec.startAtMs > createdAtMs;
    const queuedAtMs = isScheduled ? 0 : this.#queue.timeOf(createdAtMs);
    if (isScheduled) this.#due.add(id, spec.startAtMs);
    else this.#queue.join(waitingOf({ id, spec, queuedAtMs }));
    // Mostly it is this one or none; but one that waits for a GPU, or takes it, is out of others' way.
    let starts = false;
    for (let next = this.#queue.next(); next !== undefined; next = this.#queue.next()) {
      if (next === id) starts = true;
      else this.#startFound(next);
    }
    const { maxWaitingJobs } = this.#parts.config;
    if (starts || this.#queue.waitingCount + this.#due.size <= maxWaitingJobs) {
      return { queuedAtMs, starts };
    }
    this.#due.remove(id);
    this.#queue.leave(id);
    throw new JobletError(
      'exhausted',
      `${maxWaitingJobs} jobs wait already (joblet.maxWaitingJobs); try again when some have started, or take some back`,
    );
  }

  /** Gives a job that an earlier daemon left its old place. */
  comeBack({ id, status, spec, queuedAtMs }: Job): void {
    if (status === 'SCHEDULED') this.#due.add(id, spec.startAtMs);
    else if (status === 'PENDING') this.#queue.join(waitingOf({ id, spec, queuedAtMs }));
    else {
      this.#queue.resume(id, spec.limits);
      const { gpus, store } = this.#parts;
      if (spec.gpus !== undefined) gpus.pool.retake(id, store.sandboxOf(id)?.gpus ?? []);
    }
  }

  /** Takes the place of a job that waited or ran, and starts those that waited for it. */
  leave(id: string): void {
    this.#due.remove(id);
    this.#queue.leave(id);
    this.startNext();
  }

  /** Starts jobs that wait, in their order, while there is room. */
  startNext(): void {
    for (let id = this.#queue.next(); id !== undefined; id = this.#queue.next()) {
      this.#startFound(id);
    }
  }

  #startFound(id: string): void {
    const active = this.#active.find(id);
    if (active !== undefined) void this.#startWaiting(active);
  }

  /** Tries again to start those whose start could not be recorded. */
  startAgain(): Promise<void>[] {
    const held = [...this.#held];
    this.#held.clear();
    return held.map((active) => this.#startWaiting(active));
  }

  /** Ends a job that has not been started; undefined when it has. Where that cannot be recorded it waits on. */
  withdraw(active: Active, why: string, who: Identity): Promise<Job> | undefined {
    const { id, status } = active.job;
    if (status !== 'PENDING' && status !== 'SCHEDULED') return undefined;
    this.#held.delete(active);
    this.leave(id);
    return this.#ends
      .settle(active, { how: 'canceled', why }, undefined, false, who)
      .catch((error) => {
        active.settled = false;
        this.comeBack(active.job);
        this.startNext();
        throw error;
      });
  }

  /** Nothing comes due any more. */
  stop(): void {
    this.#due.stop();
  }

  #startDue(id: string): void {
    const active = this.#active.find(id);
    if (active === undefined) return;
    const { spec } = active.job;
    // Its time came when it was due, also where no daemon ran then.
    const queuedAtMs = spec.startAtMs;
    this.#queue.join(waitingOf({ id, spec, queuedAtMs }));
    this.#active.change(active, { status: 'PENDING', queuedAtMs });
    this.startNext();
  }

  /** Starts a job that has waited: its row says so before there is anything to be lost. */
  async #startWaiting(active: Active): Promise<void> {
    const { store, resources, uploads, bootId, clock } = this.#parts;
    const { id, spec } = active.job;
    const timeout = timeoutFrom(spec, clock.now());
    active.job = { ...active.job, status: 'INITIALIZING', timeout };
    try {
      await active.recorded;
      // A job that was found again has files that an earlier daemon staged.
      active.staged ??= await uploads.restage(id, spec.uploads);
      active.idRange ??= resources.takeIdRange();
    } catch (error) {
      await this.#ends.refuse(active, 'uploads', messageOf(error), 'EIO');
      return;
    }
    try {
      this.#starts.takeRoot(active);
    } catch (error) {
      await this.#ends.refuse(active, 'runtime', messageOf(error), 'ENOENT');
      return;
    }
    active.bootId = bootId;
    try {
      await store.start(rowOf(active), this.#starts.sandboxOf(active), clock.now());
      // It was acknowledged before: after a power cut its row must not say that it still waits.
      await store.durable();
    } catch {
      // It has waited so far, and waits on for the state, in its place.
      active.job = { ...active.job, status: 'PENDING', timeout: undefined };
      this.#held.add(active);
      return;
    }
    this.#active.say(active.job);
    await this.#starts.start(active);
  }
}

function waitingOf({ id, spec, queuedAtMs }: Arrival): Waiting {
  return { id, queuedAtMs, priority: spec.priority, limits: spec.limits, gpus: spec.gpus };
}
