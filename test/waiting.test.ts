// Jobs that wait for a place: how many run at once, and how long each may run, is the operator's.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import { runJob, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start, statusOf } from './job-calls.ts';

const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ joblet: { maxConcurrentJobs: 1, jobTimeout: '30s' } });
  api = daemon.as('admin');
});

after(async () => {
  await daemon?.stop();
});

const IDLE = { command: '/usr/bin/sleep', args: ['600'] } as const;

test('a job beyond the limit waits, says why, and starts in its turn (S4-44)', {
  skip,
}, async () => {
  const first = await start(api, IDLE);
  const second = await api.unary(runJob, shell('echo second'));
  const third = await api.unary(runJob, shell('echo third'));
  assert.equal(second.status, 'PENDING');
  assert.equal(third.status, 'PENDING');
  assert.match((await statusOf(api, second.jobUuid)).waitsFor, /all 1 places are taken/);
  await api.unary(stopJob, { uuid: first });
  const [one, two] = await Promise.all([ended(api, second.jobUuid), ended(api, third.jobUuid)]);
  assert.equal(one.stdout, 'second\n');
  assert.equal(two.stdout, 'third\n');
  assert.ok(Date.parse(one.job.endTime) <= Date.parse(two.job.startTime), 'one at a time');
});

test('a job that waits can be stopped and never runs', { skip }, async () => {
  const first = await start(api, IDLE);
  const waiting = await start(api, shell('echo ran'));
  const stopped = await api.unary(stopJob, { uuid: waiting });
  assert.equal(stopped.status, 'CANCELED');
  const { job, stdout } = await ended(api, waiting);
  assert.equal(job.startTime, '');
  assert.equal(stdout, '');
  await api.unary(stopJob, { uuid: first });
});

test('a reader may follow a job that still waits', { skip }, async () => {
  const first = await start(api, IDLE);
  const waiting = await start(api, shell('echo at last'));
  const seen = printed(api, waiting, 'at last');
  await api.unary(stopJob, { uuid: first });
  assert.equal(await seen, 'at last\n');
});

test('jobs that wait survive a crash, in their order', { skip }, async () => {
  const first = await start(api, shell('read line', { stdin: true }));
  const second = await start(api, shell('echo second'));
  const third = await start(api, shell('echo third'));
  await daemon.kill();
  await daemon.restart();
  api = daemon.as('admin');
  assert.equal((await statusOf(api, second)).status, 'PENDING');
  await api.unary(stopJob, { uuid: first });
  const [one, two] = await Promise.all([ended(api, second), ended(api, third)]);
  assert.equal(one.job.status, 'COMPLETED');
  assert.equal(two.job.status, 'COMPLETED');
  assert.ok(Date.parse(one.job.endTime) <= Date.parse(two.job.startTime), 'one at a time');
});

test('limits and the timeout that nobody asked for are the configured ones (S4-24, S4-44)', {
  skip,
}, async () => {
  const { job } = await finish(api, { command: '/bin/true' });
  assert.deepEqual([job.maxCpu, job.maxMemory, job.maxIoBps], [100, 512, 0]);
  assert.equal(job.timeoutMs, 30_000n);
});
