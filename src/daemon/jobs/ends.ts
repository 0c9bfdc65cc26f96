// The ends of jobs. However an end is learned, it is settled here, once: what the kernel held is
// released, the row says so, and only then anybody is told.

import { messageOf } from '../../shared/errors.ts';
import { type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { End } from '../linux/end-record.ts';
import type { Samples } from '../telemetry/samples.ts';
import type { Active, ActiveJobs, ActiveParts } from './active.ts';
import type { Bells } from './bells.ts';
import type { Identity, Job } from './job.ts';
import type { Keepers } from './keepers.ts';
import type { Logs } from './logs.ts';
import type { Resources } from './resources.ts';

export interface EndsParts extends ActiveParts {
  readonly resources: Resources;
  readonly logs: Logs;
  readonly bells: Bells;
  readonly samples: Pick<Samples, 'begin' | 'end'>;
}

/** An end that the state could not take yet. */
interface Unrecorded {
  readonly record: () => Promise<void>;
  readonly recorded: PromiseWithResolvers<void>;
}

export class Ends {
  readonly #parts: EndsParts;
  readonly #active: ActiveJobs;
  readonly #keepers: Keepers;
  readonly #left: (id: string) => void;
  /** Ends that wait for the state to be written again, by job; their logs or keepers hold them. */
  readonly #unrecorded = new Map<string, Unrecorded>();

  /** `left` is told of each job whose place is free again. */
  constructor(parts: EndsParts, active: ActiveJobs, keepers: Keepers, left: (id: string) => void) {
    this.#parts = parts;
    this.#active = active;
    this.#keepers = keepers;
    this.#left = left;
  }

  get unrecordedCount(): number {
    return this.#unrecorded.size;
  }

  /**
   * Records an end, once, and tells everybody who waits for it. `orphaned` says that nobody cleared up
   * behind the keeper; without `who` nobody asked for it.
   */
  async settle(
    active: Active,
    outcome: Outcome,
    end: End | undefined,
    orphaned: boolean,
    who?: Identity,
  ): Promise<Job> {
    if (active.settled) return active.over.promise;
    active.settled = true;
    const { store, resources, bells, samples, clock, log } = this.#parts;
    const { id } = active.job;
    samples.end(id);
    const ended = endedJob(active.job, outcome, end, clock.now());
    const row = { job: ended, idRange: undefined, bootId: active.bootId };
    const record = async () => {
      await store.change(row, ended.endedAtMs, who);
      await Promise.all([
        store.durable(),
        resources.forget(id, active.idRange, ended.spec.uploads.length > 0),
      ]);
      this.#active.leave(id);
    };
    try {
      await resources.release(id, active.idRange, end, orphaned, keeps(ended));
      await record();
    } catch (error) {
      // Nothing has happened that would have to be kept.
      if (outcome.how === 'canceled') throw error;
      const why = messageOf(error);
      log.error('the end of a job cannot be recorded yet; it is kept', { jobId: id, why });
      await this.#recordLater(id, record);
    }
    // Nobody has seen the end before it was safe.
    active.job = ended;
    if (end?.isHeld === true) void this.#keepers.letGo(id);
    this.#active.say(active.job);
    bells.end(id);
    active.over.resolve(active.job);
    this.#left(id);
    return active.job;
  }

  /** The command did not come to run. */
  refuse(active: Active, step: string, object: string, errno: string): Promise<Job> {
    return this.settle(active, { how: 'not-started', step, object, errno }, undefined, true);
  }

  /** Tries again what could not be recorded. */
  recordAgain(): Promise<void>[] {
    return [...this.#unrecorded].map(async ([id, { record, recorded }]) => {
      await record();
      this.#unrecorded.delete(id);
      this.#parts.log.info('the end of a job is recorded now', { jobId: id });
      recorded.resolve();
    });
  }

  /**
   * Keeps an end until the state takes it. Resolves when it is safe all the same: in the log, where a
   * later daemon finds it. Where the log could not take it either, the keeper waits with it, and so do
   * we.
   */
  async #recordLater(id: string, record: () => Promise<void>): Promise<void> {
    const recorded = Promise.withResolvers<void>();
    this.#unrecorded.set(id, { record, recorded });
    if (!(await this.#parts.logs.keepEnd(id))) await recorded.promise;
  }
}

/** The job itself when its work directory is to be kept: it ran, and somebody wants that. */
function keeps(job: Job): Job | undefined {
  const ran = job.outcome?.how !== 'not-started' && job.outcome?.how !== 'canceled';
  return ran && job.spec.keepWorkMs > 0 ? job : undefined;
}

function endedJob(job: Job, outcome: Outcome, end: End | undefined, nowMs: number): Job {
  return {
    ...job,
    status: viewOutcome(outcome).status,
    startedAtMs: end?.startedAtMs || job.startedAtMs,
    endedAtMs: end?.endedAtMs || nowMs,
    outcome,
    usage:
      end === undefined
        ? undefined
        : {
            cpuUsec: end.cpuUsec,
            memoryPeakBytes: end.memoryPeakBytes,
            readBytes: end.readBytes,
            writtenBytes: end.writtenBytes,
          },
    logBytes: end?.logBytes ?? job.logBytes,
    logDroppedBytes: end?.droppedBytes ?? 0,
  };
}
