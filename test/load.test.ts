// Many jobs, one after the other and all at once: each ends as it should with its own output, and
// afterwards the host is as it was.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import { deleteAllJobs, queryJobs, stopJob } from '../src/client/methods.ts';
import { idleBytes, shrunkTo } from './daemon-memory.ts';
import { cannotRun, type Daemon, type Snapshot, startDaemon } from './harness.ts';
import { finish, shell, start } from './job-calls.ts';

const IN_A_ROW = 500;
const AT_ONCE = 200;

/**
 * The launcher keeps network namespaces to use them again, two descriptors each, and their number
 * settles over many rounds; one descriptor lost for each job would be far beyond it.
 */
const POOL_DESCRIPTORS = 2 * 64;

/** Ways to end, with what the API is to say of them. */
const ENDINGS = [
  { script: 'exit 0', status: 'COMPLETED', reason: 'EXITED', exitCode: 0 },
  { script: 'exit 3', status: 'FAILED', reason: 'EXITED', exitCode: 3 },
  { script: 'kill -9 $$', status: 'FAILED', reason: 'SIGNALED', exitCode: -1 },
] as const;

/** Jobs that are submitted at once, and how many of them may run at once. */
const SUBMITTED = 1000;
const PLACES = 50;
const IDLE_JOBS = 1000;
/** What a daemon may hold more than before when its burst is over, and how long that may take. */
const MEMORY_SLACK_BYTES = 32 * 1024 * 1024;
const BURST_MS = 300_000;

const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip !== false) return;
  // 200 at once are to run at once, not to wait for places.
  daemon = await startDaemon({ joblet: { maxConcurrentJobs: 0 } });
  api = daemon.as('admin');
});

after(async () => {
  await daemon?.stop();
});

/** Runs the job of this number to its end and checks everything that is known of it. */
async function runOne(number: number): Promise<void> {
  const { script, ...wanted } = ENDINGS[number % ENDINGS.length] ?? ENDINGS[0];
  const text = `job ${number} of many`;
  const { job, stdout, stderr } = await finish(
    api,
    shell(`echo ${text}; echo ${text} >&2; ${script}`, { maxMemory: 32 }),
  );
  const { status, reason, exitCode } = job;
  assert.deepEqual({ status, reason, exitCode }, wanted, `job ${number}: ${job.message}`);
  assert.equal(stdout, `${text}\n`);
  assert.equal(stderr, `${text}\n`);
}

/** What the first jobs leave behind on purpose: pools, caches, connections. */
async function warmUp(): Promise<Snapshot> {
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => runOne(number)));
  await api.unary(deleteAllJobs, {});
  return daemon.snapshot();
}

test('hundreds of jobs end right, and the host is as before', { skip }, async (t) => {
  const before = await warmUp();

  await t.test(`${IN_A_ROW} in a row`, async () => {
    for (let number = 0; number < IN_A_ROW; number += 1) await runOne(number);
  });

  await t.test(`${AT_ONCE} at once`, async () => {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => runOne(number)));
  });

  await t.test('every one of them is in the list, ended', async () => {
    let pageToken = '';
    let jobs = 0;
    do {
      const page = await api.unary(queryJobs, { limit: 1000, pageToken });
      jobs += page.jobs.length;
      for (const job of page.jobs) assert.match(job.status, /^(COMPLETED|FAILED)$/);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.equal(jobs, IN_A_ROW + AT_ONCE);
  });

  await t.test('nothing is left of them but their records and logs', async () => {
    await api.unary(deleteAllJobs, {});
    const { descriptors, ...left } = daemon.snapshot();
    const { descriptors: descriptorsBefore, ...leftBefore } = before;
    assert.deepEqual(left, leftBefore);
    for (const [at, count] of descriptors.entries()) {
      const countBefore = descriptorsBefore[at] ?? 0;
      const allowed = countBefore + (at === 0 ? 0 : POOL_DESCRIPTORS);
      assert.ok(count <= allowed, `process ${at} holds ${count}, before ${countBefore}`);
    }
  });
});

test('a thousand jobs at once with fifty places: all end right, in their order, and leave no memory taken (S3-12, S3-13)', {
  skip,
  timeout: BURST_MS,
}, async () => {
  const crowded = await startDaemon({ joblet: { maxConcurrentJobs: PLACES } });
  try {
    const memoryBefore = await idleBytes(crowded);
    const clients = (['developer', 'operator', 'admin'] as const).map((role) => crowded.as(role));
    const ends = await Promise.all(
      Array.from({ length: SUBMITTED }, async (_, number) => {
        const client = clients[number % clients.length] ?? crowded.as('admin');
        return finish(client, shell(`echo ${number}; exit ${number % 8}`));
      }),
    );
    await shrunkTo(crowded, memoryBefore + MEMORY_SLACK_BYTES);
    for (const [number, { job, stdout }] of ends.entries()) {
      assert.equal(job.exitCode, number % 8, job.message);
      assert.equal(stdout, `${number}\n`);
    }
    const said = (what: string) =>
      [...crowded.log().matchAll(new RegExp(`job ${what} .*jobId=([0-9a-f-]+)`, 'g'))].map(
        ([, id]) => id,
      );
    const waited = said('PENDING');
    assert.ok(waited.length >= SUBMITTED / 2, `${waited.length} jobs had to wait`);
    const began = said('INITIALIZING');
    assert.equal(new Set(began).size, SUBMITTED);
    assert.deepEqual(
      began.filter((id) => waited.includes(id)),
      waited,
    );
    assert.ok(mostAtOnce(ends.map(({ job }) => job)) <= PLACES);
  } finally {
    await crowded.stop();
  }
});

test('a thousand jobs that idle run at once, and one more starts at once', { skip }, async () => {
  const roomy = await startDaemon({
    // Behind the ranges of the daemons of other tests.
    joblet: { maxConcurrentJobs: 0, idRangeFirst: 0x5000_0000, idRanges: IDLE_JOBS + 8 },
  });
  try {
    const client = roomy.as('admin');
    const idle = { command: '/usr/bin/sleep', args: ['600'] };
    const uuids = await Promise.all(Array.from({ length: IDLE_JOBS }, () => start(client, idle)));
    const { jobs } = await client.unary(queryJobs, { statuses: ['RUNNING'], limit: 1000 });
    assert.deepEqual(jobs.map(({ uuid }) => uuid).toSorted(), uuids.toSorted());
    assert.equal((await finish(client, shell('exit 7'))).job.exitCode, 7);
    await Promise.all(uuids.map((uuid) => client.unary(stopJob, { uuid, force: true })));
    const { cgroups, mounts } = roomy.snapshot();
    assert.deepEqual({ cgroups, mounts }, { cgroups: [], mounts: [] });
  } finally {
    await roomy.stop();
  }
});

/** The most jobs that ran at the same time. */
function mostAtOnce(jobs: readonly { startTime: string; endTime: string }[]): number {
  const steps = jobs
    .flatMap(({ startTime, endTime }) => [
      { atMs: Date.parse(startTime), step: 1 },
      { atMs: Date.parse(endTime), step: -1 },
    ])
    .toSorted((a, b) => a.atMs - b.atMs || a.step - b.step);
  let now = 0;
  return Math.max(...steps.map(({ step }) => (now += step)));
}
