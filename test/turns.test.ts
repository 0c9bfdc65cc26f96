// Whose turn it is: what running jobs may reserve together, in which order the others wait, and how
// many may.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { cancelJob, queryJobs, runJob, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { start, statusOf } from './job-calls.ts';

const skip = cannotRun();

const PLACES = 4;
const MAX_WAITING = 5;

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    joblet: {
      maxConcurrentJobs: PLACES,
      maxTotalMemory: 256,
      maxTotalCpu: 200,
      maxWaitingJobs: MAX_WAITING,
      defaultCpuLimit: 10,
      defaultMemoryLimit: 16,
    },
  });
});

beforeEach(() => {
  api = daemon?.as('admin');
});

after(async () => {
  await daemon?.stop();
});

/** A job that does nothing until it is ended. */
function idle(more: JobRequest = {}): JobRequest {
  return { command: '/usr/bin/sleep', args: ['600'], ...more };
}

const kill = (uuid: string) => api.unary(stopJob, { uuid, force: true });

/** Ids of those that wait, in the order in which they are to start. */
async function waitingInOrder(): Promise<string[]> {
  const { jobs } = await api.unary(queryJobs, { statuses: ['PENDING'] });
  return jobs.toSorted((a, b) => a.jobsAhead - b.jobsAhead).map((job) => job.uuid);
}

test('running jobs reserve no more memory together than is set, and a small job passes no big one', {
  skip,
}, async () => {
  const half = await start(api, idle({ maxMemory: 128 }));
  const big = await api.unary(runJob, idle({ maxMemory: 200 }));
  const small = await api.unary(runJob, idle({ maxMemory: 16 }));
  assert.deepEqual([big.status, small.status], ['PENDING', 'PENDING']);
  assert.equal(
    big.waitsFor,
    'it is next; the next one needs 200 MB of memory, and 128 MB of 256 MB are free (joblet.maxTotalMemory)',
  );
  assert.match(
    (await statusOf(api, small.jobUuid)).waitsFor,
    /^1 job is ahead; the next one needs/,
  );
  await kill(half);
  assert.match((await statusOf(api, big.jobUuid)).status, /^(INITIALIZING|RUNNING)$/);
  assert.match((await statusOf(api, small.jobUuid)).status, /^(INITIALIZING|RUNNING)$/);
  await Promise.all([kill(big.jobUuid), kill(small.jobUuid)]);
});

test('running jobs reserve no more CPU together than is set', { skip }, async () => {
  const first = await start(api, idle({ maxCpu: 150 }));
  const second = await api.unary(runJob, idle({ maxCpu: 100 }));
  assert.match(
    second.waitsFor,
    /needs 100% of CPU, and 50% of 200% are free \(joblet.maxTotalCpu\)/,
  );
  await kill(first);
  assert.match((await statusOf(api, second.jobUuid)).status, /^(INITIALIZING|RUNNING)$/);
  await kill(second.jobUuid);
});

test('a job that can never fit is refused by the name of its field', { skip }, async () => {
  await assert.rejects(
    api.unary(runJob, idle({ maxMemory: 257 })),
    /max_memory: .*all jobs together may reserve 256 MB here \(joblet.maxTotalMemory\)/,
  );
});

test('an urgent job goes first, and an operator has to ask for it', { skip }, async () => {
  const running = await Promise.all(Array.from({ length: PLACES }, () => start(api, idle())));
  const usual = await start(api, idle());
  const humble = await start(daemon.as('developer'), idle({ priority: -1 }));
  const urgent = await start(daemon.as('operator'), idle({ priority: 1 }));
  assert.deepEqual(await waitingInOrder(), [urgent, usual, humble]);
  await assert.rejects(
    daemon.as('developer').unary(runJob, idle({ priority: 1 })),
    /role developer is not allowed to perform operation raise_priority: it takes the role operator/,
  );
  await assert.rejects(api.unary(runJob, idle({ priority: 11 })), /priority: is from -10 to 10/);
  for (const uuid of [humble, usual, urgent, ...running]) await kill(uuid);
});

test('the order in which jobs wait survives a crash', { skip }, async () => {
  const running = await Promise.all(Array.from({ length: PLACES }, () => start(api, idle())));
  const waiting: string[] = [];
  for (const priority of [0, -2, 3, 0, 3]) waiting.push(await start(api, idle({ priority })));
  const [first, second, third, fourth, fifth] = waiting;
  const order = [third, fifth, first, fourth, second];
  assert.deepEqual(await waitingInOrder(), order);
  await daemon.kill();
  await daemon.restart();
  api = daemon.as('admin');
  assert.deepEqual(await waitingInOrder(), order);
  for (const uuid of [...waiting, ...running]) await kill(uuid);
});

test('only so many jobs may wait, for their turn or for their time, and nothing is left of the others', {
  skip,
}, async () => {
  const running = await Promise.all(Array.from({ length: PLACES }, () => start(api, idle())));
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const scheduled = await start(api, idle({ schedule }));
  const waiting: string[] = [];
  while (waiting.length < MAX_WAITING - 1) waiting.push(await start(api, idle()));
  const upload = { path: 'file', content: Buffer.from('text'), mode: 0 };
  const filesBefore = daemon.snapshot().files;
  for (const request of [idle({ uploads: [upload] }), idle({ schedule })]) {
    await assert.rejects(
      api.unary(runJob, request),
      /5 jobs wait already \(joblet.maxWaitingJobs\); try again when some have started/,
    );
  }
  assert.deepEqual(daemon.snapshot().files, filesBefore);
  await api.unary(cancelJob, { uuid: scheduled });
  // There is room for one again.
  waiting.push(await start(api, idle()));
  for (const uuid of [...waiting, ...running]) await kill(uuid);
});
