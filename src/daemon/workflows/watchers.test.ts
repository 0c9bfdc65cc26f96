// Who watches a workflow is told what has changed: not too often, and at once when it is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watchers } from './watchers.ts';

const never = new AbortController().signal;
const HOUR_MS = 3_600_000;

/** Whether a promise has resolved by now. */
function isDone(promise: Promise<void>): Promise<boolean> {
  const turn = new Promise<boolean>((resolve) => setImmediate(() => resolve(false)));
  return Promise.race([promise.then(() => true), turn]);
}

test('a change is told at once to who was told nothing for long enough', async () => {
  const watchers = new Watchers();
  const changed = watchers.changed('a', never);
  const other = watchers.changed('b', never);
  assert.equal(await isDone(changed), false);
  watchers.wake('a', false);
  assert.equal(await isDone(changed), true);
  assert.equal(await isDone(other), false);
  watchers.wake('b', true);
});

test('changes behind each other are told as one, later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const watchers = new Watchers();
  const changed = watchers.changed('a', never, performance.now() + HOUR_MS);
  watchers.wake('a', false);
  watchers.wake('a', false);
  assert.equal(await isDone(changed), false);
  t.mock.timers.tick(HOUR_MS);
  assert.equal(await isDone(changed), true);
});

test('the end is told at once, also to who waits to be told of a change', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const watchers = new Watchers();
  for (const isWaiting of [false, true]) {
    const changed = watchers.changed('a', never, performance.now() + HOUR_MS);
    if (isWaiting) watchers.wake('a', false);
    watchers.wake('a', true);
    assert.equal(await isDone(changed), true);
  }
});

test('who leaves is not waited for', async () => {
  const watchers = new Watchers();
  const leaving = new AbortController();
  const changed = watchers.changed('a', leaving.signal, performance.now() + HOUR_MS);
  // A timer that is left would keep this process.
  watchers.wake('a', false);
  leaving.abort();
  assert.equal(await isDone(changed), true);
});
