// A step before its first job, and between two of them.

import type { Retry } from '../../shared/workflow-job.ts';
import type { StepState } from './workflow.ts';

/** A step before anything has become of it. */
export const untouched: StepState = {
  status: 'PENDING',
  isReady: false,
  notBeforeMs: 0,
  jobId: '',
  attempts: 0,
  attemptsBefore: 0,
  hasRun: false,
  startedAtMs: 0,
  endedAtMs: 0,
  exitCode: 0,
  message: '',
  outputs: {},
};

const LONGEST_BACKOFF_MS = 3_600_000;

/** A step whose job has ended, with another try before it; undefined when its policy has none for that end. */
export function nextTry(
  { attempts: most, backoffMs, exitCodes }: Retry,
  ended: StepState,
  nowMs: number,
): StepState | undefined {
  const { status, exitCode, attempts, attemptsBefore, hasRun } = ended;
  if (status !== 'FAILED' && !(status === 'STOPPED' && exitCode === 124)) return undefined;
  const tries = attempts - attemptsBefore;
  if (tries >= most) return undefined;
  if (exitCodes.length > 0 && !exitCodes.includes(exitCode)) return undefined;
  const wait = Math.min(backoffMs * 2 ** (tries - 1), LONGEST_BACKOFF_MS);
  const counts = { attempts, attemptsBefore, hasRun };
  return { ...untouched, ...counts, isReady: true, notBeforeMs: nowMs + wait };
}
