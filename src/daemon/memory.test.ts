import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { Clock } from './jobs/due.ts';
import { logTo } from './log.ts';
import { type Heap, Memory } from './memory.ts';

const MB = 1024 * 1024;

let nowMs: number;
let timer: { readonly atMs: number; readonly callback: () => void } | undefined;
let residentMb: number;
let busy: number;
let times: number;
let memory: Memory;

const clock: Clock = {
  now: () => nowMs,
  at: (atMs, callback) => {
    timer = { atMs, callback };
    return () => {
      timer = undefined;
    };
  },
};

const heap: Heap = {
  residentBytes: () => residentMb * MB,
  busyShare: () => busy,
  giveBack: () => {
    times += 1;
    residentMb = 100;
  },
};

beforeEach(() => {
  nowMs = 1_000_000;
  timer = undefined;
  residentMb = 170;
  busy = 0;
  times = 0;
  const silent = logTo(
    () => ({ write: () => true, close() {} }),
    { level: 'ERROR', format: 'text', output: 'x' },
    () => new Date(),
  );
  memory = new Memory(clock, heap, silent);
});

/** Lets the time come that the timer waits for. */
function ring(): void {
  assert.ok(timer !== undefined, 'nothing is waited for');
  const { atMs, callback } = timer;
  timer = undefined;
  nowMs = atMs;
  callback();
}

test('what a burst left is given back when it is over, not before', () => {
  busy = 0.8;
  memory.used();
  memory.used();
  ring();
  ring();
  assert.equal(times, 0);
  busy = 0.01;
  ring();
  assert.equal(times, 1);
  assert.equal(timer, undefined);
});

test('a little is not worth it', () => {
  memory.used();
  ring();
  residentMb = 110;
  memory.used();
  ring();
  assert.equal(times, 1);
  residentMb = 120;
  memory.used();
  ring();
  assert.equal(times, 2);
});

test('one burst behind the other is given back once in five seconds', () => {
  memory.used();
  ring();
  const firstMs = nowMs;
  residentMb = 170;
  memory.used();
  ring();
  assert.equal(nowMs - firstMs, 5000);
  assert.equal(times, 2);
});
