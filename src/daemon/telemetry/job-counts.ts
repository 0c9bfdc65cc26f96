// Jobs since the daemon started: how long they waited, how fast they started, how they ended. Said once
// for each state that a job takes, so that a start costs two looks at the clock and one entry here.

import { isFinal, type JobStatus, type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { Family } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** What is counted of a job. */
export interface CountedJob {
  readonly id: string;
  readonly status: JobStatus;
  readonly createdAtMs: number;
  /** Since when it has had its place among those that wait; 0 is never. */
  readonly queuedAtMs: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly outcome: Outcome | undefined;
  readonly usage: { readonly cpuUsec: number } | undefined;
  readonly logBytes: number;
  readonly logDroppedBytes: number;
}

/** Seconds. */
const START_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const WAIT_BOUNDS = [0.01, 0.1, 1, 10, 60, 600, 3600, 21_600];
const RUN_BOUNDS = [0.1, 1, 10, 60, 600, 3600, 21_600, 86_400];

/** One end of each kind: whoever asks how many more there were has to find the first one's zero. */
const ends = {
  exited: [
    { how: 'exited', code: 0 },
    { how: 'exited', code: 1 },
  ],
  signaled: [{ how: 'signaled', signal: 9 }],
  'out-of-memory': [{ how: 'out-of-memory', limitBytes: 0, kills: 1 }],
  'timed-out': [{ how: 'timed-out', timeoutMs: 0 }],
  stopped: [{ how: 'stopped' }],
  canceled: [{ how: 'canceled', why: '' }],
  lost: [
    { how: 'lost', why: 'KEEPER_LOST' },
    { how: 'lost', why: 'NODE_RESTART' },
    { how: 'lost', why: 'STATE_RESTORED' },
  ],
  'not-started': [{ how: 'not-started', step: '', object: '', errno: '' }],
} as const satisfies Record<Outcome['how'], readonly Outcome[]>;

export class JobCounts {
  /** Since when jobs start whose command does not run yet. */
  readonly #starting = new Map<string, number>();
  readonly #ends = new Map<
    string,
    { readonly status: string; readonly reason: string; count: number }
  >();
  readonly #startSeconds = new Histogram(START_BOUNDS);
  readonly #waitSeconds = new Histogram(WAIT_BOUNDS);
  readonly #runSeconds = new Histogram(RUN_BOUNDS);
  #cpuSeconds = 0;
  #logBytes = 0;
  #droppedBytes = 0;

  constructor() {
    for (const outcome of Object.values(ends).flat()) this.#countEnd(outcome, 0);
  }

  /** A job has come to this state. */
  saw(job: CountedJob): void {
    const { id, status, outcome } = job;
    if (status === 'INITIALIZING') {
      this.#starting.set(id, performance.now());
      const sinceMs = job.queuedAtMs || job.createdAtMs;
      this.#waitSeconds.observe(Math.max(0, Date.now() - sinceMs) / 1000);
    } else if (status === 'RUNNING') {
      const sinceMs = this.#starting.get(id);
      // An earlier daemon may have started it.
      if (sinceMs === undefined) return;
      this.#starting.delete(id);
      this.#startSeconds.observe((performance.now() - sinceMs) / 1000);
    } else if (isFinal(status) && outcome !== undefined) {
      this.#starting.delete(id);
      this.#end(job, outcome);
    }
  }

  #end(job: CountedJob, outcome: Outcome): void {
    this.#countEnd(outcome, 1);
    if (job.startedAtMs > 0) {
      this.#runSeconds.observe(Math.max(0, job.endedAtMs - job.startedAtMs) / 1000);
    }
    this.#cpuSeconds += (job.usage?.cpuUsec ?? 0) / 1e6;
    this.#logBytes += job.logBytes;
    this.#droppedBytes += job.logDroppedBytes;
  }

  #countEnd(outcome: Outcome, more: number): void {
    const { status, reason } = viewOutcome(outcome);
    const key = `${status} ${reason}`;
    const known = this.#ends.get(key);
    if (known === undefined) this.#ends.set(key, { status, reason, count: more });
    else known.count += more;
  }

  families(): Family[] {
    const counter = (name: string, help: string, value: number): Family => ({
      name,
      help,
      type: 'counter',
      points: [{ value }],
    });
    const histogram = (name: string, help: string, values: Histogram): Family => ({
      name,
      help,
      type: 'histogram',
      points: [values.distribution()],
    });
    return [
      {
        name: 'joblet_jobs_ended_total',
        help: 'Jobs that ended, by status and reason.',
        type: 'counter',
        points: [...this.#ends.values()].map(({ status, reason, count }) => ({
          labels: { status, reason },
          value: count,
        })),
      },
      histogram(
        'joblet_job_start_seconds',
        'Time from the turn of a job until its command ran.',
        this.#startSeconds,
      ),
      histogram(
        'joblet_job_wait_seconds',
        'Time that jobs which start waited for their turn.',
        this.#waitSeconds,
      ),
      histogram(
        'joblet_job_run_seconds',
        'Time that the commands of ended jobs ran.',
        this.#runSeconds,
      ),
      counter('joblet_job_cpu_seconds_total', 'Processor time of ended jobs.', this.#cpuSeconds),
      counter('joblet_job_log_bytes_total', 'Output kept of ended jobs.', this.#logBytes),
      counter(
        'joblet_job_log_dropped_bytes_total',
        'Output of ended jobs that was dropped.',
        this.#droppedBytes,
      ),
    ];
  }
}
