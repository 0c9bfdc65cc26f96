// What `rnx job run` says about the job it started. Scripts parse the lines `ID:`, `Command:` and
// `Status:`.

import type { JobStarted } from '../client/messages.ts';
import { isFinal, type JobStatus } from '../shared/job-state.ts';
import type { Output } from './output.ts';
import { commandLine, statusWord, visible } from './print.ts';

/** What the request held, as far as the answer does not repeat it. */
export interface RunContext {
  readonly command: string;
  readonly args: readonly string[];
  /** The schedule as it was typed; empty is none. */
  readonly scheduleInput: string;
  readonly files: number;
  readonly variables: number;
  readonly secrets: number;
}

function headline({ status, reason, repeatedRequest }: JobStarted): string {
  if (repeatedRequest) return 'Job was asked for before with this key:';
  if (reason === 'NOT_STARTED') return 'Job could not be started:';
  if (status === 'SCHEDULED') return 'Job scheduled:';
  return status === 'PENDING' ? 'Job is waiting for its turn:' : 'Job started:';
}

/** The lines for people. */
export function startedText(job: JobStarted, context: RunContext, out: Output): string {
  const { files, variables, secrets, scheduleInput } = context;
  const lines = [
    headline(job),
    `ID: ${visible(job.jobUuid)}`,
    ...(job.name === '' ? [] : [`Name: ${visible(job.name)}`]),
    `Command: ${commandLine(context.command, context.args)}`,
    `Status: ${statusWord(job.status, out)}`,
    ...(job.waitsFor === '' ? [] : [`Waiting: ${visible(job.waitsFor)}`]),
    // A time that has passed by means now.
    ...(scheduleInput === '' || job.scheduledTime === ''
      ? [`StartTime: ${visible(job.startTime)}`]
      : [
          `Schedule Input: ${visible(scheduleInput)}`,
          `Scheduled Time: ${visible(job.scheduledTime)}`,
        ]),
    ...limitLines(job),
    ...(files > 0 ? [`Files: ${files} uploaded successfully`] : []),
    ...(variables > 0 ? [`Environment: ${variables} variables set`] : []),
    ...(secrets > 0 ? [`Secret Environment: ${secrets} variables set`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function limitLines(job: JobStarted): string[] {
  const note = job.networkNote === '' ? '' : ` (${visible(job.networkNote)})`;
  return [
    ...(job.maxCpu > 0 ? [`MaxCPU: ${job.maxCpu}`] : []),
    ...(job.maxMemory > 0 ? [`MaxMemory: ${job.maxMemory}`] : []),
    ...(job.maxIoBps > 0 ? [`MaxIOBPS: ${job.maxIoBps}`] : []),
    ...(job.cpuCores === '' ? [] : [`CPUCores: ${visible(job.cpuCores)}`]),
    ...(job.network === '' ? [] : [`Network: ${visible(job.network)}${note}`]),
  ];
}

/** The same for programs; what has no value is left out, but for what every job has. */
export function startedJson(job: JobStarted, context: RunContext): object {
  const optional = {
    name: job.name,
    node_id: job.nodeId,
    start_time: job.startTime,
    end_time: job.endTime,
    schedule_input: context.scheduleInput,
    scheduled_time: job.scheduledTime,
    max_cpu: job.maxCpu,
    max_memory: job.maxMemory,
    max_iobps: job.maxIoBps,
    cpu_cores: job.cpuCores,
    network: job.network,
    files_uploaded: context.files,
    env_vars: context.variables,
    secret_env_vars: context.secrets,
    reason: job.reason,
    message: job.message,
    signal: job.signal,
    waits_for: job.waitsFor,
    jobs_ahead: job.jobsAhead,
  };
  return {
    job_uuid: job.jobUuid,
    // As job list has it, and scripts of the guides of earlier versions take it from here.
    id: job.jobUuid,
    command: context.command,
    args: context.args,
    status: job.status,
    ...(job.repeatedRequest ? { repeated_request: true } : {}),
    ...(isFinal(job.status as JobStatus) ? { exit_code: job.exitCode } : {}),
    ...Object.fromEntries(
      Object.entries(optional).filter(([, value]) => value !== '' && value !== 0),
    ),
  };
}
