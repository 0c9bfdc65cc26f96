// The text of a workflow, read. A long one is read in a thread of its own, as other calls wait for this
// one.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ErrorKind, JobletError, type Problem } from '../../shared/errors.ts';
import { parseWorkflow, type Reading } from '../../shared/workflow-file.ts';
import type { Workflow, WorkflowJob } from '../../shared/workflow-job.ts';
import { maskSecrets } from '../../shared/workflow-mask.ts';
import type { Path } from '../../shared/yaml-text.ts';

/** A shorter text is read here: a thread takes longer to start. */
const LONG_CHARS = 32 * 1024;

export interface WorkflowText extends Reading {
  readonly text: string;
  /** What it is called in places. */
  readonly file: string;
}

export interface ReadWorkflow {
  readonly workflow: Omit<Workflow, 'placeOf'>;
  /** The text without the values of secrets. */
  readonly shownText: string;
}

/** What a thread is asked for: the workflow, or the places of values in its text. */
export interface ReadingOrder extends WorkflowText {
  readonly places?: readonly Path[];
}

export type ReadingReport =
  | { readonly kind: 'read'; readonly read: ReadWorkflow }
  | { readonly kind: 'places'; readonly places: readonly string[] }
  | { readonly kind: 'failed'; readonly error: Failure };

interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly problems: readonly Problem[];
}

/** Reads a workflow. Throws `invalid` with all that is wrong with its text. */
export async function readWorkflowText(wish: WorkflowText): Promise<ReadWorkflow> {
  const report = await carryOut(wish);
  if (report.kind === 'read') return report.read;
  throw new Error('a text was read, and nothing came of it');
}

/** Where values of a workflow stand in its text. */
export async function placesIn(
  wish: WorkflowText,
  places: readonly Path[],
): Promise<readonly string[]> {
  const report = await carryOut({ ...wish, places });
  return report.kind === 'places' ? report.places : [];
}

async function carryOut(order: ReadingOrder): Promise<Exclude<ReadingReport, { kind: 'failed' }>> {
  const report = order.text.length < LONG_CHARS ? answer(order) : await inThread(order);
  if (report.kind !== 'failed') return report;
  const { kind, message, problems } = report.error;
  const [first] = problems;
  throw new JobletError(kind, message, { problems, ...(first?.field && { about: first.field }) });
}

async function inThread(order: ReadingOrder): Promise<ReadingReport> {
  const worker = new Worker(new URL('reading-thread.ts', import.meta.url), {
    workerData: order,
    // What a text may need at most; a thread that needs more ends, and the daemon does not.
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const [parts] = (await once(worker, 'message')) as [ReportParts];
  await worker.terminate();
  return wholeOf(parts);
}

/** A report as texts, each of which is quickly read: values take the one who gets them ten times as long. */
export interface ReportParts {
  /** The report, without jobs. */
  readonly report: string;
  readonly jobs: readonly string[];
}

const JOBS_IN_PART = 250;

export function partsOf(report: ReadingReport): ReportParts {
  if (report.kind !== 'read') return { report: JSON.stringify(report), jobs: [] };
  const { workflow, shownText } = report.read;
  const jobs: string[] = [];
  for (let at = 0; at < workflow.jobs.length; at += JOBS_IN_PART) {
    jobs.push(JSON.stringify(workflow.jobs.slice(at, at + JOBS_IN_PART)));
  }
  const read = { workflow: { ...workflow, jobs: [] }, shownText };
  return { report: JSON.stringify({ ...report, read }), jobs };
}

/** Lets others have their turn in between. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

async function wholeOf(parts: ReportParts): Promise<ReadingReport> {
  const report = JSON.parse(parts.report) as ReadingReport;
  if (report.kind !== 'read') return report;
  const { workflow, shownText } = report.read;
  const jobs: WorkflowJob[] = [];
  for (const part of parts.jobs) {
    jobs.push(...(JSON.parse(part) as WorkflowJob[]));
    await nextTurn();
  }
  return { ...report, read: { workflow: { ...workflow, jobs }, shownText } };
}

/** What is to be said to an order. Pure; also what the thread does. */
export function answer({ text, file, places, ...reading }: ReadingOrder): ReadingReport {
  try {
    const { placeOf, ...workflow } = parseWorkflow(text, file, reading);
    if (places !== undefined) {
      return { kind: 'places', places: places.map((at) => placeOf(at, 'value')) };
    }
    return { kind: 'read', read: { workflow, shownText: maskSecrets(text) } };
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    const { kind, message, problems } = error;
    return { kind: 'failed', error: { kind, message, problems } };
  }
}
