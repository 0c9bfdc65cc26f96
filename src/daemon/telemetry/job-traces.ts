// Jobs as spans: one for each, below the call that asked for it, and in it one for each part of its way.
//
//   job
//    ├ queue      until it is its turn
//    ├ resources  what it needs is taken, and the plan made
//    ├ launch     the launcher and the keeper make the sandbox, up to exec
//    └ exec       its command runs
//
// A job that an earlier daemon has started has none.

import type { Context, Span, Tracer } from '@opentelemetry/api';
import { isFinal, type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { LaunchPort } from '../linux/launcher.ts';
import type { CountedJob, JobCounts } from './job-counts.ts';
import { TRACER, type Tracing } from './tracing.ts';

type Part = 'queue' | 'resources' | 'launch' | 'exec';

interface Trace {
  readonly job: Span;
  readonly within: Context;
  /** What to add to a clock that nobody sets, so that parts follow each other to the microsecond. */
  readonly clockStartMs: number;
  part: Span;
}

export class JobTraces {
  readonly #tracing: Tracing;
  readonly #tracer: Tracer;
  readonly #traces = new Map<string, Trace>();

  constructor(tracing: Tracing) {
    this.#tracing = tracing;
    this.#tracer = tracing.trace.getTracer(TRACER);
  }

  /** A job has come to this state. */
  saw(job: CountedJob): void {
    const { id, status, outcome } = job;
    if (isFinal(status)) {
      const trace = this.#traces.get(id);
      if (trace !== undefined && outcome !== undefined) this.#end(id, trace, outcome);
    } else if (status === 'RUNNING') this.#enter(id, 'exec');
    else {
      if (!this.#traces.has(id)) this.#begin(job);
      if (status === 'INITIALIZING') this.#enter(id, 'resources');
    }
  }

  /** Hears of jobs what `counts` hears. */
  behind(counts: Pick<JobCounts, 'saw'>): Pick<JobCounts, 'saw'> {
    return {
      saw: (job) => {
        counts.saw(job);
        this.saw(job);
      },
    };
  }

  /** The launcher, which tells of each job that is handed to it. */
  around(launcher: Pick<LaunchPort, 'launch' | 'prepare'>): Pick<LaunchPort, 'launch' | 'prepare'> {
    return {
      prepare: (plan) => launcher.prepare(plan),
      launch: (id, plan) => {
        this.#enter(id, 'launch');
        return launcher.launch(id, plan);
      },
    };
  }

  #begin({ id, createdAtMs }: CountedJob): void {
    const { trace, context } = this.#tracing;
    const options = { startTime: createdAtMs, attributes: { 'joblet.job.id': id } };
    const job = this.#tracer.startSpan('job', options);
    const within = trace.setSpan(context.active(), job);
    const part = this.#tracer.startSpan('queue', { startTime: createdAtMs }, within);
    const clockStartMs = Date.now() - performance.now();
    this.#traces.set(id, { job, within, clockStartMs, part });
  }

  #enter(id: string, part: Part): void {
    const trace = this.#traces.get(id);
    if (trace === undefined) return;
    const startTime = nowIn(trace);
    trace.part.end(startTime);
    trace.part = this.#tracer.startSpan(part, { startTime }, trace.within);
  }

  #end(id: string, trace: Trace, outcome: Outcome): void {
    const { job, part } = trace;
    this.#traces.delete(id);
    const { status, exitCode, reason, message } = viewOutcome(outcome);
    job.setAttributes({
      'joblet.job.status': status,
      'joblet.job.reason': reason,
      'process.exit.code': exitCode,
    });
    if (status === 'FAILED') {
      const failed = {
        code: this.#tracing.SpanStatusCode.ERROR,
        message: outcome.how === 'not-started' ? withoutObject(outcome) : message,
      };
      part.setStatus(failed);
      job.setStatus(failed);
    }
    const endTime = nowIn(trace);
    part.end(endTime);
    job.end(endTime);
  }
}

/** A program that cannot be started is a part of the command, which nobody is told by a span. */
function withoutObject({ step, errno }: Outcome & { readonly how: 'not-started' }): string {
  return `could not be started: ${step}: ${errno}`;
}

/** Milliseconds since 1970, with fractions. */
function nowIn({ clockStartMs }: Trace): number {
  return clockStartMs + performance.now();
}
