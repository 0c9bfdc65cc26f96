// From what a keeper reports to the one Outcome that is recorded.

import type { Outcome } from '../../shared/job-state.ts';
import type { End } from '../linux/end-record.ts';
import type { Job, StoredSpec } from './job.ts';

/** What is known of a job that has ended. */
export interface Ended extends Pick<Job, 'timeout' | 'stoppedBy'> {
  readonly spec: Pick<StoredSpec, 'limits' | 'timeoutMs'>;
}

/** Pure. What we did to the job counts before what the kernel did, and that before its own exit. */
export function outcomeOf(end: End, { spec, timeout, stoppedBy }: Ended): Outcome {
  if (end.how === 'not-started') {
    return { how: 'not-started', step: end.step, object: end.object, errno: end.errno };
  }
  if (end.cause === 'timeout')
    return { how: 'timed-out', timeoutMs: timeout?.ms ?? spec.timeoutMs };
  if (end.cause === 'stop') {
    return stoppedBy === '' ? { how: 'stopped' } : { how: 'stopped', by: stoppedBy };
  }
  if (end.oomKills > 0) {
    return { how: 'out-of-memory', limitBytes: spec.limits.memoryBytes, kills: end.oomKills };
  }
  return end.how === 'exited'
    ? { how: 'exited', code: end.code }
    : { how: 'signaled', signal: end.code };
}
