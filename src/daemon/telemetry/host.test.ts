import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type HostUsage, readHostUsage } from '../linux/host-usage.ts';
import { cpuShares, HostWatch, processShares } from './host.ts';

test('shares of the time are percent, and make up the whole', () => {
  const ticks = fc.record({
    user: fc.nat(),
    system: fc.nat(),
    idle: fc.nat(),
    ioWait: fc.nat(),
    steal: fc.nat(),
  });
  fc.assert(
    fc.property(ticks, ticks, (now, before) => {
      const { user, system, idle, ioWait, steal, busy } = cpuShares(now, before);
      const all = user + system + idle + ioWait + steal;
      assert.ok(Math.abs(all - 100) < 1e-6);
      assert.ok(busy >= 0 && busy <= 100 + 1e-6);
    }),
  );
});

test('a number that was given again is another process', async () => {
  const usage = await readHostUsage();
  const process = { ...usage.processes[0], pid: 1, parent: 0, name: '', state: 'S', threads: 1 };
  const now: HostUsage = {
    ...usage,
    atMs: 2000,
    processes: [{ ...process, ticks: 50, startedTicks: 9, residentBytes: 0 }],
  };
  const before: HostUsage = {
    ...usage,
    atMs: 1000,
    processes: [{ ...process, ticks: 20, startedTicks: 9, residentBytes: 0 }],
  };
  assert.equal(processShares({ now, before }).get(1), 30);
  const other = {
    ...before,
    processes: before.processes.map((each) => ({ ...each, startedTicks: 1 })),
  };
  assert.equal(processShares({ now, before: other }).get(1), 50);
});

test('watchers have rates of their own, whatever others watch at the same time', async () => {
  const usage = await readHostUsage();
  let looks = 0;
  const watch = new HostWatch(async () => ({
    ...usage,
    atMs: performance.now(),
    load: [looks++, 0, 0],
  }));
  const stopped = new AbortController();
  const slow = watch.follow(1000, stopped.signal);
  const quick = watch.follow(250, stopped.signal);
  const start = (await slow.next()).value;
  assert.equal((await quick.next()).value?.now, start?.now);
  // Three of one are one of the other, and each counts from what it saw itself.
  let last = start?.now;
  for (let step = 0; step < 3; step++) {
    const { value } = await quick.next();
    assert.equal(value?.before, last);
    last = value?.now;
  }
  assert.equal((await slow.next()).value?.before, start?.now);
  stopped.abort();
  assert.equal((await slow.next()).done, true);
  assert.equal((await quick.next()).done, true);
});
