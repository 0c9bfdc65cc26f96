// A job that is asked for again with the same key is the one that exists: a client that heard no
// answer may ask again, whatever happened in between.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import { deleteJob, queryJobs, runJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, shell } from './job-calls.ts';

const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

beforeEach(() => {
  if (skip === false) api = daemon.as('developer');
});

after(async () => {
  await daemon?.stop();
});

const asked = (key: string, script = 'exit 7') => shell(script, { idempotencyKey: key });

test('whoever asks many times at once, and again after a crash, gets one job', {
  skip,
}, async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => api.unary(runJob, asked('once'))),
  );
  const ids = new Set(answers.map(({ jobUuid }) => jobUuid));
  assert.equal(ids.size, 1);
  assert.equal(answers.filter(({ repeatedRequest }) => !repeatedRequest).length, 1);
  await daemon.kill();
  await daemon.restart();
  api = daemon.as('developer');
  const again = await api.unary(runJob, asked('once'));
  assert.ok(ids.has(again.jobUuid) && again.repeatedRequest);
  assert.equal((await ended(api, again.jobUuid)).job.exitCode, 7);
  // The answer is the job as it is by now.
  assert.equal((await api.unary(runJob, asked('once'))).exitCode, 7);
  assert.equal((await api.unary(queryJobs, {})).jobs.length, 1);
});

test('a request that the daemon was killed amid makes no second job when it is made again', {
  skip,
}, async () => {
  const first = api.unary(runJob, asked('cut-off'));
  const settled = Promise.allSettled([first]);
  await daemon.logged(/job INITIALIZING/);
  await daemon.kill();
  await settled;
  await daemon.restart();
  api = daemon.as('developer');
  const { jobUuid } = await api.unary(runJob, asked('cut-off'));
  await ended(api, jobUuid);
  const { jobs } = await api.unary(queryJobs, {});
  assert.equal(jobs.filter(({ uuid }) => uuid === jobUuid).length, 1);
  assert.equal((await api.unary(runJob, asked('cut-off'))).jobUuid, jobUuid);
});

test('another wish under the same key is refused, and what differs is named', {
  skip,
}, async () => {
  const { jobUuid } = await api.unary(runJob, asked('taken'));
  await assert.rejects(
    api.unary(runJob, { ...asked('taken', 'exit 8'), maxMemory: 64 }),
    new RegExp(`key "taken" belongs to job ${jobUuid}, .* other values of args, max_memory;`),
  );
  await assert.rejects(
    api.unary(runJob, asked('two words')),
    /idempotency_key: is up to 128 printable ASCII characters, without a space/,
  );
});

test('a key is its caller’s own, and free again when the job has been deleted', {
  skip,
}, async () => {
  const mine = await api.unary(runJob, asked('shared'));
  const other = await daemon.as('admin').unary(runJob, asked('shared'));
  assert.notEqual(mine.jobUuid, other.jobUuid);
  await ended(api, mine.jobUuid);
  await api.unary(deleteJob, { uuid: mine.jobUuid });
  const next = await api.unary(runJob, asked('shared', 'exit 8'));
  assert.notEqual(next.jobUuid, mine.jobUuid);
  assert.equal(next.repeatedRequest, false);
});
