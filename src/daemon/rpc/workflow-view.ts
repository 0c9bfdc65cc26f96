// From a workflow to what clients see of it.

import type { MessageInitShape as Init } from '@bufbuild/protobuf';
import type { TimestampSchema } from '../../gen/joblet/common_pb.ts';
import type { WorkflowInfoSchema, WorkflowJobSchema } from '../../gen/joblet/workflows_pb.ts';
import { hasEnded } from '../../shared/step-status.ts';
import { jobsOf } from '../../shared/workflow-expression.ts';
import type { Step, Workflow } from '../workflows/workflow.ts';

/** The id of a job that is not there yet. */
const NO_JOB = '0';

/** A workflow in lists. */
export function toWorkflowInfo(workflow: Workflow): Init<typeof WorkflowInfoSchema> {
  return {
    uuid: workflow.id,
    status: workflow.status,
    totalJobs: workflow.total,
    completedJobs: workflow.completed,
    failedJobs: workflow.failed,
    canceledJobs: workflow.canceled,
    ...toTime('createdAt', workflow.createdAtMs),
    ...toTime('startedAt', workflow.startedAtMs),
    ...toTime('completedAt', workflow.endedAtMs),
    name: workflow.name,
    endedBy: workflow.endedBy,
    skippedJobs: workflow.skipped,
    waitsForGroup: workflow.waits ? (workflow.options.concurrency?.group ?? '') : '',
  };
}

/** A workflow in full. */
export function toWorkflowStatus(workflow: Workflow, steps: readonly Step[]) {
  const runningJobs = steps.filter(
    ({ jobId, status }) => jobId !== '' && !hasEnded(status) && status !== 'SCHEDULED',
  ).length;
  return {
    workflow: { ...toWorkflowInfo(workflow), yamlContent: workflow.shownText, runningJobs },
    jobs: steps.map((step) => toWorkflowJob(workflow, step)),
  };
}

export function toWorkflowJob(workflow: Workflow, step: Step): Init<typeof WorkflowJobSchema> {
  return {
    jobUuid: step.jobId || NO_JOB,
    jobName: step.plan.name,
    status: step.status,
    dependencies: jobsOf(step.plan.requires),
    ...toTime('startTime', step.startedAtMs),
    ...toTime('endTime', step.endedAtMs),
    exitCode: step.exitCode,
    message: step.message || waitText(workflow, step),
    attempts: step.attempts,
    outputs: step.outputs,
  };
}

/** Why a job has not started, where it is part of a call that waits for its turn. */
function waitText({ options, turns }: Workflow, { plan, status }: Step): string {
  if (status !== 'PENDING' || turns.length === 0) return '';
  for (let call = plan.call; call !== undefined; call = options.calls?.[call]?.around) {
    const number = call;
    if (!turns.some((turn) => turn.call === number && turn.state === 'waits')) continue;
    const { group } = options.calls?.[call]?.concurrency ?? {};
    return `it waits for others of the concurrency group ${group}`;
  }
  return '';
}

/** A field that is not there where the time has not come. */
function toTime<const F extends string>(
  field: F,
  atMs: number,
): { readonly [K in F]?: Init<typeof TimestampSchema> } {
  if (atMs === 0) return {};
  const seconds = BigInt(Math.floor(atMs / 1000));
  return { [field]: { seconds, nanos: (atMs % 1000) * 1_000_000 } } as {
    readonly [K in F]?: Init<typeof TimestampSchema>;
  };
}
