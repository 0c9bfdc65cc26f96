// Workflows as text for people and as documents for programs.

import type {
  WireTime,
  WorkflowDetail,
  WorkflowStep,
  WorkflowSummary,
} from '../client/workflow-messages.ts';
import { isFinal, type JobStatus } from '../shared/job-state.ts';
import type { Output } from './output.ts';
import { localTime, roughTime, statusWord, table, visible } from './print.ts';

/** RFC 3339 of a time on the wire; empty when it has not come. */
export function timeOf(time: WireTime | undefined): string {
  const ms = msOf(time);
  return ms === 0 ? '' : new Date(ms).toISOString();
}

function msOf(time: WireTime | undefined): number {
  return time === undefined ? 0 : Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

/** The table of `rnx workflow list`. */
export function listText(workflows: readonly WorkflowSummary[], out: Output): string {
  if (workflows.length === 0) return 'No workflows found\n';
  const rows = workflows.map((one) => [
    visible(one.uuid),
    visible(one.status),
    `${one.completedJobs}/${one.totalJobs}`,
    localTime(timeOf(one.createdAt)),
    visible(one.name) || '-',
  ]);
  const columns = [
    { title: 'UUID', width: 36 },
    { title: 'STATUS', width: 9, paint: (status: string) => statusWord(status, out) },
    { title: 'PROGRESS', width: 8 },
    { title: 'CREATED', width: 19 },
    { title: 'NAME', width: 4 },
  ];
  return table(columns, rows, out.columns ?? 0, Number.POSITIVE_INFINITY);
}

export interface StatusOptions {
  /** With the text that it was started from. */
  readonly detail: boolean;
  /** What the first column of jobs is called: the older spelling has another word. */
  readonly idTitle: 'JOB ID' | 'JOB UUID';
  readonly nowMs: number;
}

/** All about a workflow. */
export function statusText(
  { workflow, jobs }: WorkflowDetail,
  { detail, idTitle, nowMs }: StatusOptions,
  out: Output,
): string {
  if (workflow === undefined) return 'No workflows found\n';
  const lines = [
    `Workflow UUID: ${visible(workflow.uuid)}`,
    ...(workflow.name === '' ? [] : [`Name: ${visible(workflow.name)}`]),
    `Status: ${statusWord(workflow.status, out)}${waitText(workflow)}`,
    `Progress: ${progressText(workflow)}`,
    ...(workflow.endedBy === '' ? [] : [`Ended by: ${visible(workflow.endedBy)}`]),
    '',
    'Timing:',
    `  Created:   ${localTime(timeOf(workflow.createdAt))}`,
    `  Started:   ${localTime(timeOf(workflow.startedAt))}`,
    `  Completed: ${localTime(timeOf(workflow.completedAt))}`,
    ...durationLine(workflow, nowMs),
    '',
    'Jobs in Workflow:',
    jobsTable(jobs, idTitle, out),
    ...jobs.flatMap(({ jobName, message }) =>
      message === '' ? [] : [`${visible(jobName)}: ${visible(message)}`],
    ),
  ];
  const text = `${lines.join('\n').trimEnd()}\n`;
  if (!detail) return text;
  const yaml = workflow.yamlContent.split('\n').map(visible).join('\n').trimEnd();
  return `${text}\nYAML Content:\n${yaml}\n`;
}

/** `3/5 jobs completed (1 failed, 1 canceled)` */
export function progressText({
  completedJobs,
  totalJobs,
  failedJobs,
  canceledJobs,
  skippedJobs,
}: WorkflowSummary): string {
  const others = [
    failedJobs > 0 ? `${failedJobs} failed` : '',
    canceledJobs > 0 ? `${canceledJobs} canceled` : '',
    skippedJobs > 0 ? `${skippedJobs} skipped` : '',
  ].filter((words) => words !== '');
  const beside = others.length === 0 ? '' : ` (${others.join(', ')})`;
  return `${completedJobs}/${totalJobs} jobs completed${beside}`;
}

function waitText({ waitsForGroup }: WorkflowSummary): string {
  return waitsForGroup === '' ? '' : ` (waits for others of the group ${visible(waitsForGroup)})`;
}

function durationLine({ startedAt, completedAt }: WorkflowSummary, nowMs: number): string[] {
  const from = msOf(startedAt);
  if (from === 0) return [];
  const to = msOf(completedAt);
  return [`  ${to === 0 ? 'Running:  ' : 'Duration: '} ${roughTime((to || nowMs) - from)}`];
}

/** The table of a workflow's jobs (S2-24, S4-54). */
export function jobsTable(
  jobs: readonly WorkflowStep[],
  idTitle: StatusOptions['idTitle'],
  out: Output,
): string {
  const rows = jobs.map((job) => [
    visible(job.jobUuid),
    visible(job.jobName),
    visible(job.status),
    hasCode(job) ? String(job.exitCode) : '-',
    job.dependencies.map(visible).join(', ') || '-',
  ]);
  const columns = [
    { title: idTitle, width: 39 },
    { title: 'JOB NAME', width: 19 },
    { title: 'STATUS', width: 11, paint: (status: string) => statusWord(status, out) },
    { title: 'EXIT CODE', width: 9 },
    { title: 'DEPENDENCIES', width: 20 },
  ];
  return table(columns, rows, 0, Number.POSITIVE_INFINITY);
}

/** Whether a job has come to an exit code. */
function hasCode({ status, jobUuid }: WorkflowStep): boolean {
  return isFinal(status as JobStatus) && jobUuid !== '0';
}

/** A workflow of a list as programs get it. */
export function summaryJson(one: WorkflowSummary): object {
  return {
    uuid: one.uuid,
    name: one.name,
    status: one.status,
    total_jobs: one.totalJobs,
    completed_jobs: one.completedJobs,
    failed_jobs: one.failedJobs,
    canceled_jobs: one.canceledJobs,
    skipped_jobs: one.skippedJobs,
    ...given({
      created_at: timeOf(one.createdAt),
      started_at: timeOf(one.startedAt),
      completed_at: timeOf(one.completedAt),
      ended_by: one.endedBy,
      waits_for_group: one.waitsForGroup,
    }),
  };
}

/** All about a workflow as programs get it. */
export function statusJson({ workflow, jobs }: WorkflowDetail, detail: boolean): object {
  if (workflow === undefined) return {};
  return {
    ...summaryJson(workflow),
    jobs: jobs.map((job) => ({
      id: job.jobUuid,
      name: job.jobName,
      status: job.status,
      ...(hasCode(job) ? { exit_code: job.exitCode } : {}),
      dependencies: job.dependencies,
      attempts: job.attempts,
      ...(Object.keys(job.outputs).length > 0 ? { outputs: job.outputs } : {}),
      ...given({
        start_time: timeOf(job.startTime),
        end_time: timeOf(job.endTime),
        message: job.message,
      }),
    })),
    ...(detail ? { yaml_content: workflow.yamlContent } : {}),
  };
}

/** Only what has a value. */
function given(fields: Readonly<Record<string, string>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}
