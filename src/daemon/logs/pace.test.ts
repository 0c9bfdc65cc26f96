// Followers of a log that floods share what is measured for them, and nobody else waits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

const MB = 1024 * 1024;
const RUN_BYTES = MB / 4;
/** What all of them may read in a second, with two processors. */
const SHARE_BYTES = MB;

/** A pace with a clock of its own, and logs that grow by so much in a second. */
function world() {
  let nowMs = 1000;
  const timers = new Map<() => void, number>();
  const pace = new Pace({
    now: () => nowMs,
    after(ms, call) {
      timers.set(call, nowMs + ms);
      return () => timers.delete(call);
    },
    processors: 2,
  });
  const log = { end: 0, bytesPerSecond: 0 };
  return {
    pace,
    log,
    endOf: async () => log.end,
    nowMs: () => nowMs,
    waiting: () => timers.size,
    /** Lets so much time pass, and everybody act whose turn comes meanwhile. */
    async pass(ms: number) {
      for (let step = 0; step < ms; step += 1) {
        nowMs += 1;
        log.end += log.bytesPerSecond / 1000;
        for (const [call, atMs] of timers) {
          if (atMs > nowMs) continue;
          timers.delete(call);
          call();
        }
        await turn();
      }
    },
  };
}

/** Lets everybody else act once. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The same with a log that floods, and whom its followers leave by. */
function flooded() {
  const one = world();
  one.log.bytesPerSecond = 500 * MB;
  return { one, leaving: new AbortController() };
}

const never = new AbortController().signal;

/** Followers that read on as soon as they may; answers how much each has read, and when all have left. */
function reading(
  { pace, endOf }: ReturnType<typeof world>,
  count: number,
  signal = never,
  bytes = RUN_BYTES,
) {
  const read = Array.from({ length: count }, () => 0);
  const go = async (number: number) => {
    const follower = pace.follow('a');
    while (!signal.aborted) {
      read[number] = (read[number] ?? 0) + bytes;
      await follower.pass(bytes, endOf, signal);
      // A read takes a moment, also where nobody has to wait.
      await turn();
    }
    follower.leave();
  };
  return { read, left: Promise.all([...read.keys()].map(go)) };
}

const sum = (all: readonly number[]) => all.reduce((a, b) => a + b, 0);

test('followers of a log that grows slowly, or no more, wait no longer than it takes to see that', async () => {
  const leaving = new AbortController();
  for (const bytesPerSecond of [0, 1000, 20 * MB]) {
    const one = world();
    one.log.bytesPerSecond = bytesPerSecond;
    reading(one, 3, leaving.signal);
    await one.pass(150);
    for (let ms = 0; ms < 300; ms += 1) {
      await one.pass(1);
      assert.equal(one.waiting(), 0, `at ${bytesPerSecond} bytes a second`);
    }
  }
  leaving.abort();
});

test('followers of a flood all together read their share, and each as much as the others', async () => {
  const { one, leaving } = flooded();
  const { read } = reading(one, 20, leaving.signal);
  await one.pass(200);
  const before = [...read];
  await one.pass(10_000);
  const each = read.map((bytes, number) => bytes - (before[number] ?? 0));
  assert.ok(Math.abs(sum(each) / 10 / SHARE_BYTES - 1) < 0.1, `${sum(each) / MB} MB in 10 s`);
  assert.ok(Math.max(...each) - Math.min(...each) <= 2 * RUN_BYTES, each.join(' '));
  leaving.abort();
});

test('who reads what has just been written does not wait, in a flood either', async () => {
  const { one, leaving } = flooded();
  reading(one, 1, leaving.signal, 1000);
  for (let ms = 0; ms < 200; ms += 1) {
    await one.pass(1);
    assert.equal(one.waiting(), 0);
  }
  leaving.abort();
});

test('when the flood is over nobody waits any longer', async () => {
  const { one, leaving } = flooded();
  const { read } = reading(one, 20, leaving.signal);
  await one.pass(500);
  assert.equal(one.waiting(), 1);
  one.log.bytesPerSecond = 0;
  await one.pass(150);
  assert.equal(one.waiting(), 0);
  const before = sum(read);
  await one.pass(10);
  assert.ok(sum(read) - before >= 20 * RUN_BYTES);
  leaving.abort();
});

test('who leaves does not wait for a turn, and the last one takes along what was known of the log', async () => {
  const { one, leaving } = flooded();
  const { left } = reading(one, 20, leaving.signal);
  await one.pass(300);
  leaving.abort();
  await left;
  assert.equal(one.waiting(), 0);
  one.log.bytesPerSecond = 0;
  const again = new AbortController();
  reading(one, 1, again.signal);
  await one.pass(150);
  assert.equal(one.waiting(), 0);
  again.abort();
});

test('who follows a log that does not flood waits for no flood of another', async () => {
  const { one, leaving } = flooded();
  reading(one, 100, leaving.signal);
  await one.pass(300);
  const calm = one.pace.follow('calm');
  const began = one.nowMs();
  let isThrough = false;
  const through = calm
    .pass(RUN_BYTES, async () => 1000, never)
    .then(() => {
      isThrough = true;
    });
  while (!isThrough) await one.pass(1);
  await through;
  assert.ok(one.nowMs() - began < 150, `${one.nowMs() - began} ms`);
  leaving.abort();
});

test('a newcomer waits no longer for it where many look at logs of their own all the time', async () => {
  const { one, leaving } = flooded();
  // The turn of the first comes in four seconds.
  reading(one, 100, leaving.signal, 4 * MB);
  await one.pass(300);
  const lively = Array.from({ length: 30 }, (_, number) => one.pace.follow(`lively ${number}`));
  const look = (number: number) =>
    void lively[number % lively.length]?.pass(RUN_BYTES, async () => 1000, leaving.signal);
  for (const number of lively.keys()) look(number);
  await one.pass(150);
  let isThrough = false;
  void one.pace
    .follow('calm')
    .pass(RUN_BYTES, async () => 1000, never)
    .then(() => {
      isThrough = true;
    });
  const began = one.nowMs();
  for (let number = 0; !isThrough; number += 1) {
    look(number);
    await one.pass(2);
  }
  assert.ok(one.nowMs() - began < 150, `${one.nowMs() - began} ms`);
  leaving.abort();
});

test('a log that cannot be looked at is no flood', async () => {
  const one = world();
  const follower = one.pace.follow('a');
  const passed = follower.pass(RUN_BYTES, () => Promise.reject(new Error('EMFILE')), never);
  await one.pass(150);
  await passed;
  await follower.pass(RUN_BYTES, () => Promise.reject(new Error('EMFILE')), never);
  assert.equal(one.waiting(), 0);
  follower.leave();
});
