// What becomes of a job of a workflow: the states of a job, and that it was left out.

import { isFinal, type JobStatus, jobStatuses } from './job-state.ts';

/** SKIPPED: its `if` did not hold, or it needs a job of which that is so. */
export const stepStatuses = [...jobStatuses, 'SKIPPED'] as const;

export type StepStatus = (typeof stepStatuses)[number];

/** Whether nothing more becomes of a step in this status by itself. */
export function hasEnded(status: StepStatus): boolean {
  return status === 'SKIPPED' || isFinal(status satisfies JobStatus);
}
