// Calls that tests of workflows make: run a text, wait for its end, look at its jobs.

import type { Connection } from '../src/client/connection.ts';
import { runWorkflow, watchWorkflow } from '../src/client/methods.ts';
import type {
  WorkflowDetail,
  WorkflowRequest,
  WorkflowStep,
} from '../src/client/workflow-messages.ts';

/** Starts a workflow; answers its id. */
export async function startWorkflow(
  api: Connection,
  yamlContent: string,
  more: WorkflowRequest = {},
): Promise<string> {
  const request = { workflow: 'w.yaml', yamlContent, ...more };
  return (await api.unary(runWorkflow, request)).workflowUuid;
}

/** Waits until a workflow is as `isWanted` says, or over. */
export async function watched(
  api: Connection,
  workflowUuid: string,
  isWanted: (detail: WorkflowDetail) => boolean = () => false,
): Promise<WorkflowDetail> {
  let last: WorkflowDetail | undefined;
  for await (const detail of api.serverStream(watchWorkflow, { workflowUuid })) {
    last = detail;
    if (isWanted(detail)) break;
  }
  if (last === undefined) throw new Error('nothing was said of the workflow');
  return last;
}

/** Runs a workflow to its end. */
export async function finishWorkflow(
  api: Connection,
  yamlContent: string,
  more: WorkflowRequest = {},
): Promise<WorkflowDetail> {
  return watched(api, await startWorkflow(api, yamlContent, more));
}

/** A job of a workflow. */
export function stepOf(detail: WorkflowDetail, name: string): WorkflowStep {
  const step = detail.jobs.find(({ jobName }) => jobName === name);
  if (step === undefined) throw new Error(`there is no job ${name}`);
  return step;
}

/** The statuses of all jobs by their names. */
export function statusesOf({ jobs }: WorkflowDetail): Record<string, string> {
  return Object.fromEntries(jobs.map(({ jobName, status }) => [jobName, status]));
}
