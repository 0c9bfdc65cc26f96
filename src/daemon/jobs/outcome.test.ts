import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewOutcome } from '../../shared/job-state.ts';
import { parseEnd } from '../linux/end-record.ts';
import { parsePairs } from '../linux/frames.ts';
import { outcomeOf } from './outcome.ts';

const spec = {
  limits: {
    cpuPercent: 0,
    memoryBytes: 64 << 20,
    ioBps: 0,
    cpuCores: '',
    processes: 0,
    workBytes: 0,
  },
  timeoutMs: 5000,
};

function seen(...pairs: string[]) {
  const end = parseEnd(parsePairs(pairs));
  assert.ok(end !== undefined);
  const { status, exitCode, reason } = viewOutcome(
    outcomeOf(end, { spec, timeout: undefined, stoppedBy: '' }),
  );
  return [status, exitCode, reason];
}

// S4-23: COMPLETED is exit code 0, FAILED any other, STOPPED the user or the timeout.
test('every kind of end has one status, exit code and reason', () => {
  assert.deepEqual(seen('how=exited', 'code=0'), ['COMPLETED', 0, 'EXITED']);
  assert.deepEqual(seen('how=exited', 'code=3'), ['FAILED', 3, 'EXITED']);
  assert.deepEqual(seen('how=signaled', 'code=9'), ['FAILED', -1, 'SIGNALED']);
  assert.deepEqual(seen('how=signaled', 'code=9', 'oom-kills=1'), ['FAILED', -1, 'OOM_KILLED']);
  assert.deepEqual(seen('how=signaled', 'code=15', 'cause=stop'), ['STOPPED', -1, 'STOPPED']);
  assert.deepEqual(seen('how=exited', 'code=0', 'cause=stop'), ['STOPPED', -1, 'STOPPED']);
  assert.deepEqual(seen('how=signaled', 'code=9', 'cause=timeout'), ['STOPPED', 124, 'TIMEOUT']);
  assert.deepEqual(seen('how=not-started', 'step=exec', 'object=x', 'errno=ENOENT'), [
    'FAILED',
    -1,
    'NOT_STARTED',
  ]);
});

test('pairs that are no end are no end', () => {
  assert.equal(parseEnd(parsePairs(['how=vanished'])), undefined);
  assert.equal(parseEnd(parsePairs([])), undefined);
});
