import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, Due } from './due.ts';

/** A clock that stands still until it is moved. */
function handClock(): Clock & { move(toMs: number): void } {
  let now = 0;
  let armed: { atMs: number; callback: () => void } | undefined;
  return {
    now: () => now,
    at(atMs, callback) {
      const mine = { atMs, callback };
      armed = mine;
      return () => {
        if (armed === mine) armed = undefined;
      };
    },
    move(toMs) {
      while (armed !== undefined && armed.atMs <= toMs) {
        const { atMs, callback } = armed;
        armed = undefined;
        now = Math.max(now, atMs);
        callback();
      }
      now = toMs;
    },
  };
}

test('scheduled jobs start at their times, in their order, once', () => {
  const clock = handClock();
  const started: string[] = [];
  const due = new Due(clock, (id) => started.push(`${id}@${clock.now()}`));
  due.add('late', 300);
  due.add('early', 100);
  due.add('gone', 200);
  due.remove('gone');
  clock.move(99);
  assert.deepEqual(started, []);
  clock.move(1000);
  assert.deepEqual(started, ['early@100', 'late@300']);
});

test('a job whose time has passed starts at once', () => {
  const clock = handClock();
  clock.move(500);
  const started: string[] = [];
  const due = new Due(clock, (id) => started.push(id));
  due.add('overdue', 100);
  clock.move(500);
  assert.deepEqual(started, ['overdue']);
});
