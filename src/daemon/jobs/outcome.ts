// From what a keeper reports to the one Outcome that is recorded.

import type { Outcome } from '../../shared/job-state.ts';
import type { End } from '../linux/end-record.ts';
import type { StoredSpec } from './job.ts';

/** Pure. What we did to the job counts before what the kernel did, and that before its own exit. */
export function outcomeOf(end: End, spec: Pick<StoredSpec, 'limits' | 'timeoutMs'>): Outcome {
  if (end.how === 'not-started') {
    return { how: 'not-started', step: end.step, object: end.object, errno: end.errno };
  }
  if (end.cause === 'timeout') return { how: 'timed-out', timeoutMs: spec.timeoutMs };
  if (end.cause === 'stop') return { how: 'stopped' };
  if (end.oomKills > 0) {
    return { how: 'out-of-memory', limitBytes: spec.limits.memoryBytes, kills: end.oomKills };
  }
  return end.how === 'exited'
    ? { how: 'exited', code: end.code }
    : { how: 'signaled', signal: end.code };
}
