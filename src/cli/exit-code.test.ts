import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Outcome, viewOutcome } from '../shared/job-state.ts';
import { exitCodeOf } from './exit-code.ts';

/** The exit code of rnx for an end, through what the daemon makes of it. */
function codeOf(outcome: Outcome): number {
  const { exitCode, reason, message } = viewOutcome(outcome);
  const signal = outcome.how === 'signaled' ? outcome.signal : 0;
  return exitCodeOf({ exitCode, reason, message, signal });
}

const notStarted = (step: string, errno: string): Outcome => ({
  how: 'not-started',
  step,
  object: '/work/a: b',
  errno,
});

test('a command that ended has its own exit code', () => {
  assert.equal(codeOf({ how: 'exited', code: 0 }), 0);
  assert.equal(codeOf({ how: 'exited', code: 3 }), 3);
  assert.equal(codeOf({ how: 'exited', code: 255 }), 255);
});

test('a command that a signal ended has 128 and the signal', () => {
  assert.equal(codeOf({ how: 'signaled', signal: 9 }), 137);
  assert.equal(codeOf({ how: 'signaled', signal: 11 }), 139);
});

test('what Joblet ended has the code of the signal it took, or of timeout(1)', () => {
  assert.equal(codeOf({ how: 'stopped' }), 143);
  assert.equal(codeOf({ how: 'out-of-memory', limitBytes: 1 << 20, kills: 1 }), 137);
  assert.equal(codeOf({ how: 'timed-out', timeoutMs: 1000 }), 124);
});

test('a command that is not there is 127, one that cannot be run is 126', () => {
  assert.equal(codeOf(notStarted('exec', 'ENOENT')), 127);
  assert.equal(codeOf(notStarted('exec', 'EACCES')), 126);
  assert.equal(codeOf(notStarted('exec', 'ENOEXEC')), 126);
});

test('a job that never came to run its command is 125', () => {
  assert.equal(codeOf(notStarted('cgroup', 'ENOENT')), 125);
  assert.equal(codeOf(notStarted('exec', 'EAGAIN')), 125);
  assert.equal(codeOf({ how: 'lost', why: 'NODE_RESTART' }), 125);
  assert.equal(codeOf({ how: 'canceled', why: '' }), 125);
});
