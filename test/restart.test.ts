// What a crash of the daemon does not change: jobs run on, and the next daemon knows of all of them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cancelJob, queryJobs, runJob, sendJobInput, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, output, printed, shell, start, statusOf } from './job-calls.ts';

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

test('a job runs on while its daemon is killed, and nothing of it is lost', { skip }, async () => {
  const api = daemon.as('admin');
  const script = 'echo before; read go; seq 1 5000; exit 42';
  const uuid = await start(api, shell(script, { stdin: true }));
  await printed(api, uuid, 'before');
  await daemon.kill();
  await daemon.restart();
  const again = daemon.as('admin');
  const found = await statusOf(again, uuid);
  assert.equal(found.status, 'RUNNING');
  await again.clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n'), end: true }]);
  const { job, stdout } = await ended(again, uuid);
  assert.equal(job.status, 'FAILED');
  assert.equal(job.exitCode, 42);
  assert.equal(job.startTime, found.startTime);
  const numbers = Array.from({ length: 5000 }, (_, at) => `${at + 1}\n`).join('');
  assert.equal(stdout, `before\n${numbers}`);
});

test('a job that ends while no daemon runs is settled by the next one', { skip }, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, shell('echo ready; sleep 0.3; echo late; exit 5'));
  await printed(api, uuid, 'ready');
  const log = output(api, { uuid });
  // The daemon's end breaks the stream; the job's own end is what the next daemon has to find.
  log.catch(() => {});
  await daemon.kill();
  await daemon.jobEnded(uuid);
  await daemon.restart();
  const { job, stdout } = await ended(daemon.as('admin'), uuid);
  assert.equal(job.exitCode, 5);
  assert.equal(stdout, 'ready\nlate\n');
});

test('a timeout is kept while no daemon runs', { skip }, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, shell('echo ready; sleep 600', { timeoutMs: 800n }));
  await printed(api, uuid, 'ready');
  await daemon.kill();
  await daemon.jobEnded(uuid);
  await daemon.restart();
  const { job } = await ended(daemon.as('admin'), uuid);
  assert.equal(job.reason, 'TIMEOUT');
  assert.equal(job.exitCode, 124);
});

test('a job that was found again can be stopped', { skip }, async () => {
  const uuid = await start(daemon.as('admin'), shell('echo ready; sleep 600'));
  await daemon.kill();
  await daemon.restart();
  const stopped = await daemon.as('admin').unary(stopJob, { uuid });
  assert.equal(stopped.status, 'STOPPED');
  assert.equal((await output(daemon.as('admin'), { uuid })).toString(), 'ready\n');
});

test('scheduled jobs survive, and those that came due run once', { skip }, async () => {
  const api = daemon.as('admin');
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  const soon = new Date(Date.now() + 1200).toISOString();
  const upload = { path: 'value', mode: 0, content: Buffer.from('kept\n') };
  const later = await start(api, { command: '/bin/true', schedule: inAnHour });
  const due = await api.unary(runJob, {
    command: '/usr/bin/cat',
    args: ['value'],
    uploads: [upload],
    schedule: soon,
  });
  await daemon.kill();
  await daemon.restart();
  const again = daemon.as('admin');
  assert.equal((await statusOf(again, later)).status, 'SCHEDULED');
  const { job, stdout } = await ended(again, due.jobUuid);
  assert.equal(job.status, 'COMPLETED', job.message);
  assert.equal(stdout, 'kept\n');
  await again.unary(cancelJob, { uuid: later });
});

test('a clean stop of the daemon leaves its jobs running', { skip }, async () => {
  const uuid = await start(daemon.as('admin'), shell('read line; exit 9', { stdin: true }));
  await daemon.end();
  await daemon.restart();
  const api = daemon.as('admin');
  await api.clientStream(sendJobInput, [{ uuid, end: true }]);
  assert.equal((await ended(api, uuid)).job.exitCode, 9);
});

test('a daemon that watches jobs of an earlier one stops when it is told to', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, shell('echo ready; read line; exit 9', { stdin: true }));
  await printed(api, uuid, 'ready');
  await daemon.kill();
  await daemon.restart();
  assert.equal((await statusOf(daemon.as('admin'), uuid)).status, 'RUNNING');
  await daemon.end();
  await daemon.restart();
  await daemon.as('admin').clientStream(sendJobInput, [{ uuid, end: true }]);
  assert.equal((await ended(daemon.as('admin'), uuid)).job.exitCode, 9);
});

test('a second daemon that would run its jobs in the same cgroups is refused, and harms none', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const uuid = await start(api, shell('read line; exit 9', { stdin: true }));
  const before = daemon.snapshot();
  const baseDir = `/sys/fs/cgroup/${daemon.cgroupName}`;
  await assert.rejects(
    startDaemon({ cgroup: { baseDir } }),
    /another daemon runs its jobs in .*; give this one a cgroup.baseDir and a joblet.idRangeFirst of its own/,
  );
  assert.deepEqual(daemon.snapshot(), before);
  await api.clientStream(sendJobInput, [{ uuid, end: true }]);
  assert.equal((await ended(api, uuid)).job.exitCode, 9);
});

test('a second daemon on the same state is refused', { skip }, async () => {
  const second = await daemon.second();
  assert.notEqual(second.code, 0);
  const first = `another daemon (pid ${daemon.pid}, listening on 127.0.0.1:${daemon.port})`;
  assert.ok(
    second.output.includes(`${first} already runs on ${daemon.directory}/state; stop it first`),
  );
  assert.ok((await daemon.as('admin').unary(queryJobs, {})).jobs.length > 0);
});
