// The timeout of a running job can be moved, and is kept where it was moved to.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import { extendJob, stopJob } from '../src/client/methods.ts';
import { KeeperLink } from '../src/daemon/linux/keeper.ts';
import { keeperAddresses } from '../src/daemon/linux/keeper-address.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, printed, shell, start, statusOf } from './job-calls.ts';

const HOUR_MS = 3_600_000;
const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip === false) daemon = await startDaemon({ joblet: { jobTimeout: '2h' } });
});

beforeEach(() => {
  if (skip === false) api = daemon.as('developer');
});

after(async () => {
  await daemon?.stop();
});

const IDLE = { command: '/usr/bin/sleep', args: ['600'] } as const;

test('a job that was given more time takes it', { skip }, async () => {
  const uuid = await start(api, shell('sleep 0.8; exit 7', { timeoutMs: 500n }));
  const longer = await api.unary(extendJob, { uuid, timeoutMs: 60_000n });
  assert.ok(longer.timeoutMs >= 60_000n && longer.timeoutMs < 61_000n, `${longer.timeoutMs} ms`);
  const { job } = await ended(api, uuid);
  assert.equal(job.exitCode, 7, job.message);
});

test('a timeout that was moved survives a crash of the daemon, and ends the job', {
  skip,
}, async () => {
  const uuid = await start(api, IDLE);
  const before = await statusOf(api, uuid);
  assert.equal(before.timeoutMs, BigInt(2 * HOUR_MS));
  const { timeoutTime } = await api.unary(extendJob, { uuid, timeoutMs: 2000n });
  assert.ok(Date.parse(timeoutTime) < Date.parse(before.timeoutTime));
  await daemon.kill();
  await daemon.restart();
  api = daemon.as('developer');
  assert.equal((await statusOf(api, uuid)).timeoutTime, timeoutTime);
  const { job } = await ended(api, uuid);
  assert.deepEqual([job.reason, job.exitCode], ['TIMEOUT', 124]);
  assert.ok(Date.parse(job.endTime) >= Date.parse(timeoutTime) - 1);
});

test('what the keeper was told counts, also where the daemon died before it had recorded so', {
  skip,
}, async () => {
  const uuid = await start(api, IDLE);
  const before = await statusOf(api, uuid);
  await daemon.kill();
  const addressOf = keeperAddresses(path.join(daemon.directory, 'state'));
  const link = await KeeperLink.connect(addressOf(uuid));
  assert.equal(await link?.moveTimeout(HOUR_MS), true);
  link?.close();
  await daemon.restart();
  api = daemon.as('developer');
  const { timeoutTime } = await statusOf(api, uuid);
  const movedMs = Date.parse(before.timeoutTime) - Date.parse(timeoutTime);
  assert.ok(Math.abs(movedMs - HOUR_MS) < 60_000, `moved by ${movedMs} ms`);
  await api.unary(stopJob, { uuid, force: true });
});

test('more time than the node allows, or no end to it, takes an operator', { skip }, async () => {
  const uuid = await start(api, IDLE);
  for (const timeoutMs of [BigInt(2 * HOUR_MS), 0n]) {
    await assert.rejects(
      api.unary(extendJob, { uuid, timeoutMs }),
      /role developer is not allowed to perform operation extend_job_beyond_limit: it takes the role operator/,
    );
  }
  const free = await daemon.as('operator').unary(extendJob, { uuid, timeoutMs: 0n });
  assert.deepEqual([free.timeoutMs, free.timeoutTime], [0n, '']);
  // And a timeout can come back.
  const bound = await api.unary(extendJob, { uuid, timeoutMs: 1000n });
  assert.notEqual(bound.timeoutTime, '');
  assert.equal((await ended(api, uuid)).job.reason, 'TIMEOUT');
});

test('only a running job can be extended, and not one that is ending', { skip }, async () => {
  const extend = (uuid: string) => api.unary(extendJob, { uuid, timeoutMs: 1000n });
  const schedule = new Date(Date.now() + HOUR_MS).toISOString();
  const scheduled = await start(api, { ...IDLE, schedule });
  await assert.rejects(extend(scheduled), /job is not running: .* \(current status: SCHEDULED\)/);
  await api.unary(stopJob, { uuid: scheduled });
  await assert.rejects(extend(scheduled), /\(current status: CANCELED\)/);
  const stubborn = shell('trap "echo term" TERM; while :; do sleep 600 & wait $!; done');
  const uuid = await start(api, stubborn);
  const stopping = api.unary(stopJob, { uuid, graceMs: 600_000n });
  await printed(api, uuid, 'term');
  await assert.rejects(extend(uuid), /job is ending already/);
  await api.unary(stopJob, { uuid, force: true });
  assert.equal((await stopping).reason, 'STOPPED');
  await assert.rejects(
    api.unary(extendJob, { uuid, timeoutMs: -1n }),
    /timeout_ms: is from 0 \(no timeout\) to 8760h/,
  );
});
