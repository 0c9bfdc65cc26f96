// What a job tells its workflow: what it has come to, and what it has said.

import { isFinal, viewOutcome } from '../../shared/job-state.ts';
import type { Job } from '../jobs/job.ts';
import { charsOf, type JobNews, type Run } from './run.ts';
import type { OutputKey, RunVolumes } from './run-volumes.ts';
import { hasOutputs, type Step } from './workflow.ts';

/** What all jobs of a workflow may say together: it is kept in memory. */
const MAX_OUTPUT_CHARS = 1024 * 1024;

/** Where a job that has ended has its outputs; undefined where it has none, or is none of the step's. */
export function outputKeyOf(
  { workflow }: Run,
  { plan, number, attempts, jobId }: Step,
  job: Job,
  isNew: boolean,
): OutputKey | undefined {
  if (!hasOutputs(plan) || !isFinal(job.status) || (!isNew && jobId !== job.id)) return undefined;
  return { workflowId: workflow.id, number, attempt: isNew ? attempts + 1 : attempts };
}

/** What a job has come to. What it has said is read where it has COMPLETED; what cannot be read is its failure. */
export function newsOf(
  run: Run,
  { plan }: Step,
  job: Job,
  key: OutputKey | undefined,
  volumes: Pick<RunVolumes, 'readOutputs'>,
): JobNews {
  const news = withoutOutputs(job);
  if (key === undefined || job.status !== 'COMPLETED') return news;
  const failed = { ...news, status: 'FAILED', exitCode: -1 } as const;
  const reading = volumes.readOutputs(key, plan.outputs ?? []);
  if ('problem' in reading) return { ...failed, message: reading.problem };
  const { outputs } = reading;
  if (run.outputChars + charsOf(outputs) <= MAX_OUTPUT_CHARS) return { ...news, outputs };
  const message = `the outputs of a workflow are at most ${MAX_OUTPUT_CHARS} characters together`;
  return { ...failed, message };
}

function withoutOutputs(job: Job): JobNews {
  const view = job.outcome === undefined ? undefined : viewOutcome(job.outcome);
  return {
    id: job.id,
    status: job.status,
    startedAtMs: job.startedAtMs,
    endedAtMs: job.endedAtMs,
    exitCode: view?.exitCode ?? 0,
    message: view?.message ?? '',
    outputs: {},
  };
}
