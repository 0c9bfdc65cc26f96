// Jobs for one answer: no more of them than every client takes in one message, and never more in
// memory than a few, however much each has of arguments and variables.

import type { Job } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { JobQuery } from '../jobs/store.ts';
import { MASK } from './job-view.ts';

/** What a gRPC client takes unless it was told otherwise is 4 MiB. */
const ANSWER_BYTES = 4_000_000;

/** Jobs read at once. */
const BATCH_JOBS = 100;

/** Ids, times, numbers and words of a job in an answer. */
const FIXED_BYTES = 320;
/** What stands around each text. */
const FRAME_BYTES = 8;

export interface JobPage {
  readonly jobs: readonly Job[];
  /** There are others behind these. */
  readonly more: boolean;
}

/** The newest jobs of a query: at most its limit, and as many as fit into an answer. */
export function takePage(jobs: Pick<Jobs, 'query'>, query: JobQuery): JobPage {
  const page: Job[] = [];
  let bytes = 0;
  let behind: Pick<JobQuery, 'beforeMs' | 'beforeId'> = query;
  for (;;) {
    // One more than wanted tells whether there are others.
    const limit = Math.min(BATCH_JOBS, query.limit + 1 - page.length);
    const batch = jobs.query({ ...query, ...behind, limit });
    for (const job of batch) {
      bytes += listedBytes(job);
      if (page.length === query.limit || (bytes > ANSWER_BYTES && page.length > 0)) {
        return { jobs: page, more: true };
      }
      page.push(job);
    }
    const last = page.at(-1);
    if (batch.length < limit || last === undefined) return { jobs: page, more: false };
    behind = { beforeMs: last.createdAtMs, beforeId: last.id };
  }
}

/** What a job takes in an answer, at most. */
function listedBytes({ spec, outcome }: Job): number {
  const texts = [
    spec.name,
    spec.command,
    ...spec.args,
    spec.limits.cpuCores,
    ...Object.entries(spec.environment).flat(),
    ...Object.keys(spec.secretEnvironment).flatMap((name) => [name, MASK]),
    outcome?.how === 'not-started' ? outcome.object : '',
  ];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + FRAME_BYTES, FIXED_BYTES);
}
