// rnx job run --workflow=FILE[:NAME], the older spelling: a workflow, or one job of a file with what
// the flags say besides.

import path from 'node:path';
import type { JobRequest } from '../client/messages.ts';
import { JobletError } from '../shared/errors.ts';
import { outlineOf } from '../shared/workflow-file.ts';
import type { WorkflowJob } from '../shared/workflow-job.ts';
import { nameInJob } from '../shared/workflow-uploads.ts';
import { parseSchedule } from './schedule.ts';
import type { Session } from './session.ts';
import { collectAs, type LocalFile } from './uploads.ts';
import { runSource } from './workflow-run.ts';
import { readSource, readWorkflow, sourceOf, type WorkflowSource } from './workflow-source.ts';

/** One job of a file, as far as it is a request. */
export interface FileJob {
  readonly request: JobRequest;
  readonly files: readonly LocalFile[];
}

/** What `--workflow` means: one job, or a whole workflow, which runs then and leaves its exit code. */
export async function fromWorkflow(
  word: string,
  wishes: { readonly wait: boolean; readonly uploads: readonly string[] },
  session: Session,
): Promise<FileJob | number> {
  const source = readSource(word);
  const { workflows, jobs } = outlineOf(source.text, source.file);
  const named = source.choice === '' ? undefined : source.choice;
  if (named !== undefined && !workflows.includes(named)) {
    if (jobs.includes(named)) return fileJob(source, named);
    const known = [...workflows, ...jobs].join(', ');
    throw new JobletError(
      'invalid',
      `job '${named}' not found in workflow ${source.file}; there are ${known}`,
    );
  }
  // A file of one job is that job, unless it is said to be a workflow.
  if (named === undefined && workflows.length === 0 && jobs.length === 1) {
    return fileJob(source, jobs[0] ?? '');
  }
  return runSource(source, { params: [], dryRun: false, ...wishes }, session);
}

function fileJob(source: WorkflowSource, name: string): FileJob {
  const { jobs } = readWorkflow({ ...source, choice: '' }, {}, new Set());
  const job = jobs.find((one) => one.name === name);
  if (job === undefined) {
    const several = jobs.map((one) => one.name).join(', ');
    throw new JobletError(
      'invalid',
      `multiple jobs found in workflow, please specify one: ${several}`,
    );
  }
  if (job.late !== undefined) {
    const message = `job '${name}' uses outputs of other jobs and cannot run alone; run its workflow: rnx workflow run ${source.file}`;
    throw new JobletError('invalid', message);
  }
  const folder = path.dirname(source.file);
  const files = [...job.files, ...job.directories].flatMap((written) =>
    collectAs('uploads', sourceOf(written, folder), nameInJob(written)),
  );
  return { request: requestOf(job), files };
}

function requestOf(job: WorkflowJob): JobRequest {
  return {
    name: job.name,
    command: job.command,
    args: job.args,
    maxCpu: job.maxCpu || undefined,
    maxMemory: job.maxMemoryMb || undefined,
    maxIoBps: job.maxIoBps || undefined,
    maxProcesses: job.maxProcesses || undefined,
    cpuCores: job.cpuCores || undefined,
    gpuCount: job.gpuCount || undefined,
    gpuMemoryMb: job.gpuMemoryMb || undefined,
    runtime: job.runtime || undefined,
    network: job.network || undefined,
    volumes: job.volumes,
    workDir: job.workDir || undefined,
    // Alone it has nobody to say them to.
    environment: {
      ...job.environment,
      ...(job.outputs.length > 0 ? { JOBLET_OUTPUT: '/dev/null' } : {}),
    },
    secretEnvironment: job.secretEnvironment,
    timeoutMs: BigInt(job.timeoutMs),
    schedule: job.schedule === '' ? undefined : parseSchedule(job.schedule, Date.now()),
  };
}

/** What the flags ask for, laid over what the file says; volumes and variables are added. */
export function laidOver(below: JobRequest, above: JobRequest): JobRequest {
  const asked = Object.entries(above).filter(([, value]) => !isUnset(value));
  return {
    ...below,
    ...Object.fromEntries(asked),
    volumes: [...(below.volumes ?? []), ...(above.volumes ?? [])],
    environment: { ...below.environment, ...above.environment },
    secretEnvironment: { ...below.secretEnvironment, ...above.secretEnvironment },
  };
}

function isUnset(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return !value;
  return Object.keys(value).length === 0;
}
