// A workflow while it runs: a tree that is drawn anew on a terminal, a line for each change elsewhere.

import type { Connection } from '../client/connection.ts';
import { watchWorkflow } from '../client/methods.ts';
import type { WorkflowDetail, WorkflowStep } from '../client/workflow-messages.ts';
import { JobletError } from '../shared/errors.ts';
import { levelsOf, sortGraph } from '../shared/workflow-graph.ts';
import type { Output } from './output.ts';
import { goingOn, Patience } from './patience.ts';
import { localTime, roughTime, statusWord, visible } from './print.ts';
import { progressText, timeOf } from './workflow-text.ts';

/** What is said of a workflow as it changes. */
export type Telling = (detail: WorkflowDetail) => Promise<void>;

/** Follows a workflow to its end, and says on `err` when the daemon is away meanwhile. */
export async function followWorkflow(
  connection: Connection,
  workflowUuid: string,
  tell: Telling,
  err: Output,
): Promise<WorkflowDetail> {
  let last: WorkflowDetail | undefined;
  // Each detail is all there is to say: whoever comes again needs nothing of what it had.
  const open = () => connection.serverStream(watchWorkflow, { workflowUuid });
  for await (const detail of goingOn(new Patience(err, undefined), open)) {
    last = detail;
    await tell(detail);
  }
  if (last === undefined) throw new JobletError('unavailable', 'nothing was said of the workflow');
  return last;
}

/** The exit code that stands for the end of a workflow. */
export function exitCodeOf({ workflow }: WorkflowDetail): number {
  return workflow?.status === 'COMPLETED' ? 0 : 1;
}

/** Draws the tree on a terminal, over what was drawn before; says each change on a line elsewhere. */
export function tellTree(out: Output): Telling {
  if (!out.terminal) return tellChanges(out);
  let drawn = 0;
  return async (detail) => {
    // More than fit could not be drawn over.
    const lines = treeLines(detail, Date.now(), out, (out.rows ?? Number.POSITIVE_INFINITY) - 1);
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`;
    await out.write(`${up}${lines.map((line) => `\u001b[K${line}\n`).join('')}\u001b[J`);
    drawn = lines.length;
  };
}

/** One line for each job that came to another status. */
export function tellChanges(out: Output): Telling {
  const known = new Map<string, string>();
  return async ({ jobs }) => {
    for (const { jobName, status, exitCode, jobUuid } of jobs) {
      const before = known.get(jobName);
      known.set(jobName, status);
      if (before === status || (before === undefined && status === 'PENDING')) continue;
      const code = status === 'FAILED' && jobUuid !== '0' ? ` (exit code ${exitCode})` : '';
      await out.write(`${visible(jobName)} ${statusWord(status, out)}${code}\n`);
    }
  };
}

const BAR_COLUMNS = 30;

/** A bar of how many jobs are over; on a terminal only. */
export function tellBar(err: Output): Telling {
  if (!err.terminal) return tellChanges(err);
  return async ({ workflow, jobs }) => {
    if (workflow === undefined) return;
    const { completedJobs, failedJobs, canceledJobs, skippedJobs, totalJobs } = workflow;
    const over = completedJobs + failedJobs + canceledJobs + skippedJobs;
    const part = totalJobs === 0 ? 1 : over / totalJobs;
    const bar = '#'.repeat(Math.floor(part * BAR_COLUMNS)).padEnd(BAR_COLUMNS);
    const running = jobs.filter(({ status }) => status === 'RUNNING').map(({ jobName }) => jobName);
    const now = running.slice(0, 3).map(visible).join(', ');
    const end = part === 1 ? '\n' : '';
    await err.write(`\r\u001b[K[${bar}] ${progressText(workflow)}  ${now}${end}`);
  };
}

const marks: Readonly<Record<string, string>> = {
  COMPLETED: '+',
  FAILED: 'x',
  STOPPED: 'x',
  CANCELED: '-',
  SKIPPED: '-',
  RUNNING: '>',
};

/** What is left out last where not all jobs fit. */
const interest: Readonly<Record<string, number>> = {
  RUNNING: 0,
  INITIALIZING: 0,
  FAILED: 1,
  STOPPED: 1,
  PENDING: 2,
  SCHEDULED: 2,
};
const NO_INTEREST = 3;

/** The jobs that are shown on so many lines: those under way first, in the order of all. */
function chosenJobs(
  order: readonly string[],
  byName: ReadonlyMap<string, WorkflowStep>,
  lines: number,
): readonly string[] {
  if (order.length <= lines) return order;
  const rank = (name: string) => interest[byName.get(name)?.status ?? ''] ?? NO_INTEREST;
  const chosen = order.toSorted((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, lines - 1));
  const isChosen = new Set(chosen);
  return order.filter((name) => isChosen.has(name));
}

/** The jobs of a workflow, each as far to the right as it stands behind others, on at most so many lines. */
export function treeLines(
  { workflow, jobs }: WorkflowDetail,
  nowMs: number,
  out: Output,
  most: number,
): string[] {
  const graph = new Map(jobs.map((job) => [job.jobName, job.dependencies]));
  const byName = new Map(jobs.map((job) => [job.jobName, job]));
  const { order } = sortGraph(graph);
  const levels = levelsOf(order, graph);
  const shown = chosenJobs(order, byName, most - 1);
  const rows = shown.flatMap((name) => {
    const job = byName.get(name);
    return job === undefined ? [] : [treeLine(job, levels.get(name) ?? 0, nowMs, out)];
  });
  const left = order.length - shown.length;
  if (left > 0) rows.push(`... ${left} more jobs`);
  if (workflow === undefined) return rows;
  return [`${statusWord(workflow.status, out)}  ${progressText(workflow)}`, ...rows];
}

function treeLine(job: WorkflowStep, level: number, nowMs: number, out: Output): string {
  const start = Date.parse(timeOf(job.startTime));
  const end = Date.parse(timeOf(job.endTime));
  const took = Number.isNaN(start)
    ? ''
    : `  ${roughTime((Number.isNaN(end) ? nowMs : end) - start)}`;
  const at = Number.isNaN(start) ? '' : `  ${localTime(timeOf(job.startTime)).slice(11)}`;
  const mark = marks[job.status] ?? '.';
  return `${'  '.repeat(level)}${mark} ${visible(job.jobName)}  ${statusWord(job.status, out)}${at}${took}`;
}
