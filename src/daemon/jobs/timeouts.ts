// When a job times out. The keeper holds the timer; these are the times that are recorded and shown.

import type { Job, JobSpec, Timeout } from './job.ts';

/** When a job times out whose start is requested now. */
export function timeoutFrom(
  { timeoutMs }: Pick<JobSpec, 'timeoutMs'>,
  nowMs: number,
): Timeout | undefined {
  return timeoutMs === 0 ? undefined : { ms: timeoutMs, atMs: nowMs + timeoutMs };
}

/** When a job times out that may run until then. */
export function timeoutUntil({ timeout, startedAtMs }: Job, atMs: number): Timeout {
  const requestedAtMs = timeout === undefined ? startedAtMs : timeout.atMs - timeout.ms;
  return { ms: atMs - requestedAtMs, atMs };
}
