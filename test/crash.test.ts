// Whatever is killed, whenever: a job that was acknowledged exists, has run at most once, and ends in
// exactly one final state; and nothing of it stays on the host.

import assert from 'node:assert/strict';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { deleteAllJobs, queryJobs, runJob, sendJobInput } from '../src/client/methods.ts';
import { usePageSums } from '../src/daemon/store/page-sums.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start, statusOf } from './job-calls.ts';
import { processesBelow } from './snapshot.ts';

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ joblet: { maxConcurrentJobs: 0 } });
  // Pools and caches are filled once; what comes after is compared with this.
  await finish(daemon.as('admin'), { command: '/bin/true' });
});

after(async () => {
  await daemon?.stop();
});

/** The one process below the daemon that has this name. */
function pidOf(name: string): number {
  const found = [...processesBelow(daemon.pid)].filter(([, each]) => each === name);
  assert.equal(found.length, 1, `${found.length} processes are called ${name}`);
  return found[0]?.[0] ?? 0;
}

/** Says `ready`, waits for a line, and ends with a code that nothing else gives. */
const PATIENT = shell('echo ready; read line; echo went on; exit 42', { stdin: true });

async function letGo(uuid: string): Promise<void> {
  const data = Buffer.from('go\n');
  await daemon.as('admin').clientStream(sendJobInput, [{ uuid, data, end: true }]);
}

/** Resolves when the daemon has noticed; what it is asked for from then on, the next launcher does. */
async function killLauncher(): Promise<void> {
  const noticed = daemon.logged(/the launcher died; starting another/);
  process.kill(pidOf('joblet-launch'), 'SIGKILL');
  await noticed;
}

test('a job runs on when the launcher is killed, and new jobs start', { skip }, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, PATIENT);
  await printed(api, uuid, 'ready');
  await killLauncher();
  const other = await finish(api, shell('exit 7'));
  assert.equal(other.job.exitCode, 7, other.job.message);
  await letGo(uuid);
  const { job, stdout } = await ended(api, uuid);
  assert.equal(job.exitCode, 42);
  assert.equal(stdout, 'ready\nwent on\n');
});

test('a job whose keeper is killed ends with it, and says so', { skip }, async () => {
  const api = daemon.as('admin');
  const left = daemon.snapshot();
  const uuid = await start(api, PATIENT);
  await printed(api, uuid, 'ready');
  process.kill(pidOf('joblet-keeper'), 'SIGKILL');
  const { job, stdout } = await ended(api, uuid);
  assert.equal(job.status, 'FAILED');
  assert.equal(job.reason, 'KEEPER_LOST');
  assert.equal(stdout, 'ready\n');
  const now = daemon.snapshot();
  assert.deepEqual(now.cgroups, left.cgroups);
  assert.deepEqual(now.processes, left.processes);
});

test('a job whose launcher and then keeper are killed ends too', { skip }, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, PATIENT);
  await printed(api, uuid, 'ready');
  const keeper = pidOf('joblet-keeper');
  await killLauncher();
  process.kill(keeper, 'SIGKILL');
  const { job } = await ended(api, uuid);
  assert.equal(job.reason, 'KEEPER_LOST');
  assert.deepEqual(daemon.snapshot().cgroups, []);
});

test('a job that is lost before anybody heard of its start says when that was', {
  skip,
}, async () => {
  const uuid = await start(daemon.as('admin'), PATIENT);
  await printed(daemon.as('admin'), uuid, 'ready');
  const { startTime } = await statusOf(daemon.as('admin'), uuid);
  const keeper = pidOf('joblet-keeper');
  await daemon.end();
  process.kill(keeper, 'SIGKILL');
  // As it stands there when the daemon is killed in the moment before it has recorded the start.
  usePageSums();
  const state = new DatabaseSync(path.join(daemon.directory, 'state/joblet.db'));
  state
    .prepare("UPDATE jobs SET status = 'INITIALIZING', started_at_ms = 0 WHERE id = ?")
    .run(uuid);
  state.close();
  await daemon.restart();
  const { job, stdout } = await ended(daemon.as('admin'), uuid);
  assert.deepEqual([job.reason, stdout], ['KEEPER_LOST', 'ready\n']);
  const saidMs = Date.parse(job.startTime);
  assert.ok(Math.abs(saidMs - Date.parse(startTime)) < 1000, `${job.startTime}, not ${startTime}`);
});

test('a job whose command is killed from outside says by which signal', { skip }, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, { command: '/usr/bin/sleep', args: ['600'] });
  process.kill(pidOf('sleep'), 'SIGKILL');
  const { job } = await ended(api, uuid);
  assert.equal(job.reason, 'SIGNALED');
  assert.equal(job.signal, 9);
});

const ROUNDS = 5;
const JOBS_PER_ROUND = 24;

test('a daemon killed amid starts forgets no job that it acknowledged', { skip }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const api = daemon.as('admin');
    const acknowledged: string[] = [];
    const enough = Promise.withResolvers<void>();
    const calls = Array.from({ length: JOBS_PER_ROUND }, async () => {
      const { jobUuid } = await api.unary(runJob, shell('exit 42'));
      acknowledged.push(jobUuid);
      // Each round the daemon dies at another moment.
      if (acknowledged.length > (round * JOBS_PER_ROUND) / ROUNDS) enough.resolve();
    });
    const settled = Promise.allSettled(calls);
    await enough.promise;
    await daemon.kill();
    await settled;
    await daemon.restart();
    const again = daemon.as('admin');
    const { jobs } = await again.unary(queryJobs, { limit: 1000 });
    const known = new Set(jobs.map((job) => job.uuid));
    for (const uuid of acknowledged) assert.ok(known.has(uuid), `job ${uuid} is forgotten`);
    for (const uuid of known) {
      const { job } = await ended(again, uuid);
      if (acknowledged.includes(uuid)) assert.equal(job.exitCode, 42, `${uuid}: ${job.message}`);
      else assert.match(job.status, /^(COMPLETED|FAILED)$/);
    }
    await again.unary(deleteAllJobs, {});
    const { cgroups, mounts, files } = daemon.snapshot();
    assert.deepEqual({ cgroups, mounts }, { cgroups: [], mounts: [] });
    assert.deepEqual(
      files.filter((file) => /^(logs|jobs\/jobs|run\/work)\/./.test(file)),
      [],
    );
  }
});
