// Disks fill up, break, and lose bits. Whatever they do, it is named, nothing that was acknowledged is
// lost, and what can go on by itself does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import {
  cancelJob,
  deleteAllJobs,
  getJobLogs,
  queryJobs,
  runJob,
  sendJobInput,
  stopJob,
  waitJob,
} from '../src/client/methods.ts';
import { Disk } from './disk.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start, statusOf } from './job-calls.ts';
import { processesBelow } from './snapshot.ts';

const skip = cannotRun();

/** Says `ready`, waits for a line, and ends with a code that nothing else gives. */
const PATIENT = shell('echo ready; read line; echo went on; exit 42', { stdin: true });

async function startPatient(api: Connection): Promise<string> {
  const uuid = await start(api, PATIENT);
  await printed(api, uuid, 'ready');
  return uuid;
}

async function letGo(api: Connection, uuid: string): Promise<void> {
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n'), end: true }]);
}

function killJob(daemon: Daemon, command: string): void {
  for (const [pid, name] of processesBelow(daemon.pid))
    if (name === command) process.kill(pid, 'SIGKILL');
}

/** A daemon with its state or its logs on a small disk. */
async function startOn(
  t: TestContext,
  mebibytes: number,
  settings: (directory: string) => Settings,
): Promise<{ disk: Disk; daemon: Daemon }> {
  const disk = new Disk(mebibytes);
  let daemon: Daemon | undefined;
  t.after(async () => {
    await daemon?.stop();
    disk.remove();
  });
  daemon = await startDaemon(settings(disk.directory));
  return { disk, daemon };
}

const stateOn = (directory: string) => ({ state: { path: path.join(directory, 'state') } });
const logsOn = (directory: string) => ({ logs: { directory: path.join(directory, 'logs') } });

/** What a daemon says that does not start. */
async function refusal(daemon: Daemon): Promise<string> {
  const { code, output } = await daemon.second();
  assert.equal(code, 1, output);
  return output;
}

const refused = (code: 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE', message: RegExp) => ({
  code,
  message,
});

test('on a full state disk jobs end, new ones are refused, and then all goes on', {
  skip,
}, async (t) => {
  const { disk, daemon } = await startOn(t, 40, stateOn);
  const api = daemon.as('admin');
  const uuid = await startPatient(api);
  disk.fill();
  await assert.rejects(
    api.unary(runJob, shell('true')),
    refused(
      'RESOURCE_EXHAUSTED',
      /no new job is started: the disk of .*state has \d+ kB left; free some/,
    ),
  );
  assert.equal((await statusOf(api, uuid)).status, 'RUNNING');
  await letGo(api, uuid);
  const { job, stdout } = await ended(api, uuid);
  assert.equal(job.exitCode, 42);
  assert.equal(stdout, 'ready\nwent on\n');
  // The disk is as full for the next daemon, and for one behind a clean stop, which takes the WAL away.
  for (const how of ['kill', 'end'] as const) {
    await daemon[how]();
    disk.fill();
    await daemon.restart();
  }
  const again = daemon.as('admin');
  assert.equal((await statusOf(again, uuid)).exitCode, 42);
  assert.equal((await again.unary(queryJobs, {})).jobs.length, 1);
  disk.empty();
  assert.equal((await finish(again, shell('exit 3'))).job.exitCode, 3);
});

test('a state disk that turns read-only loses no end, and is named until it is mounted anew', {
  skip,
}, async (t) => {
  const { disk, daemon } = await startOn(t, 40, stateOn);
  const api = daemon.as('admin');
  const uuid = await start(api, shell('echo ready; exec sleep 600'));
  await printed(api, uuid, 'ready');
  const named = daemon.logged(/the state cannot be written.*read-only file system \(EROFS\)/);
  disk.break();
  await assert.rejects(
    api.unary(runJob, shell('true')),
    refused('UNAVAILABLE', /so it was not started: .* is on a read-only file system \(EROFS\)/),
  );
  await named;
  killJob(daemon, 'sleep');
  // The job's own log has the end, so that it is no secret.
  assert.equal((await ended(api, uuid)).job.signal, 9);
  await daemon.kill();
  assert.match(
    await refusal(daemon),
    /state is on a read-only file system \(EROFS\); mount it read-write/,
  );
  disk.mountAnew();
  await daemon.restart();
  const again = daemon.as('admin');
  assert.equal((await statusOf(again, uuid)).signal, 9);
  assert.equal((await again.unary(queryJobs, {})).jobs.length, 1);
});

test('a full log disk leaves jobs running, and says what it took', { skip }, async (t) => {
  const { daemon } = await startOn(t, 4, logsOn);
  const api = daemon.as('admin');
  const before = daemon.snapshot();
  const uuid = await start(api, shell('head -c 9000000 /dev/zero; echo behind it; exit 5'));
  const { job } = await ended(api, uuid);
  assert.equal(job.exitCode, 5);
  assert.ok(Number(job.logDroppedBytes) > 4_000_000);
  assert.equal(job.logBytes + job.logDroppedBytes, 9_000_000n + 10n);
  let told = 0;
  let kept = 0;
  for await (const chunk of api.serverStream(getJobLogs, { uuid, noFollow: true })) {
    kept += chunk.payload.length;
    told += Number(chunk.droppedBytes);
    if (chunk.droppedBytes > 0n) assert.equal(chunk.gapReason, 'ENOSPC');
  }
  assert.equal(BigInt(kept), job.logBytes);
  assert.equal(BigInt(told), job.logDroppedBytes);
  await assert.rejects(
    api.unary(runJob, shell('true')),
    refused('RESOURCE_EXHAUSTED', /the disk of .*logs has \d+ kB left/),
  );
  await api.unary(deleteAllJobs, {});
  const later = await finish(api, shell('exit 6'));
  assert.equal(later.job.exitCode, 6);
  await Promise.all([uuid, later.job.uuid].map((each) => daemon.keeperLeft(each)));
  assert.deepEqual(daemon.snapshot().processes, before.processes);
});

test('a job that asks for it waits for room on a full log disk, and loses nothing (S4-56)', {
  skip,
}, async (t) => {
  const { disk, daemon } = await startOn(t, 8, logsOn);
  const api = daemon.as('admin');
  const wish = { stdin: true, logOverflow: 'block' };
  const script = 'echo first; read line; head -c 600000 /dev/zero; echo behind it; exit 5';
  const uuid = await start(api, shell(script, wish));
  await printed(api, uuid, 'first');
  disk.fill();
  await letGo(api, uuid);
  const { status, logBytes, logOverflow } = await statusOf(api, uuid);
  assert.deepEqual([status, logBytes, logOverflow], ['RUNNING', 0n, 'block']);
  disk.empty();
  const { job } = await ended(api, uuid);
  assert.deepEqual([job.exitCode, job.logBytes, job.logDroppedBytes], [5, 600_016n, 0n]);
  const idle = await start(api, shell(script, wish));
  await printed(api, idle, 'first');
  disk.fill();
  await letGo(api, idle);
  const stopped = await api.unary(stopJob, { uuid: idle });
  assert.equal(stopped.status, 'STOPPED', 'one that waits for room can be stopped');
});

test('where the log takes nothing any more, the keeper has the end and the reader is told', {
  skip,
}, async (t) => {
  const { disk, daemon } = await startOn(t, 8, logsOn);
  const api = daemon.as('admin');
  const before = daemon.snapshot();
  // One record of exactly a block, so that there is room behind it for nothing.
  const script = 'printf %0992d 0; read line; echo lost; exit 42';
  const uuid = await start(api, shell(script, { stdin: true }));
  await printed(api, uuid, '000');
  disk.fill();
  await letGo(api, uuid);
  const { job } = await ended(api, uuid);
  assert.deepEqual([job.exitCode, job.logBytes, job.logDroppedBytes], [42, 992n, 5n]);
  const gaps: string[] = [];
  for await (const chunk of api.serverStream(getJobLogs, { uuid, noFollow: true })) {
    if (chunk.stream === 'gap') gaps.push(`${chunk.droppedBytes} ${chunk.gapReason}`);
  }
  assert.deepEqual(gaps, ['5 unmarked']);
  disk.empty();
  await daemon.keeperLeft(uuid);
  assert.deepEqual(daemon.snapshot().processes, before.processes);
});

test('a job that waits cannot be taken back where nothing can be recorded, and waits on', {
  skip,
}, async (t) => {
  const { disk, daemon } = await startOn(t, 40, stateOn);
  const api = daemon.as('admin');
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const uuid = await start(api, { command: '/bin/true', schedule });
  disk.break();
  await assert.rejects(api.unary(cancelJob, { uuid }), refused('UNAVAILABLE', /EROFS/));
  assert.equal((await statusOf(api, uuid)).status, 'SCHEDULED');
  await daemon.kill();
  disk.mountAnew();
  await daemon.restart();
  assert.equal((await daemon.as('admin').unary(cancelJob, { uuid })).status, 'CANCELED');
});

/** A daemon that has run a job, and was killed or stopped. */
async function stopped(
  t: TestContext,
  how: 'end' | 'kill',
): Promise<{ daemon: Daemon; uuid: string }> {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const { job } = await finish(daemon.as('admin'), shell('echo kept; exit 8'));
  await daemon[how]();
  return { daemon, uuid: job.uuid };
}

test('a state that is gone beside its logs is missed', {
  skip,
}, async (t) => {
  const { daemon } = await stopped(t, 'end');
  const database = path.join(daemon.directory, 'state/joblet.db');
  renameSync(database, `${database}.elsewhere`);
  const missing = await refusal(daemon);
  assert.match(
    missing,
    /joblet.db is missing, but this node had a state: there is .*keeper-secret/,
  );
  assert.match(missing, /the logs of 1 jobs in .*logs/);
  assert.match(missing, /put a backup back with `joblet restore FILE`; to start empty, move away/);
  rmSync(path.join(daemon.directory, 'state'), { recursive: true });
  assert.match(await refusal(daemon), /joblet.db is missing, .* there is the logs of 1 jobs/);
});

test('an emptied or a damaged database is named, and is not started from', { skip }, async (t) => {
  const { daemon, uuid } = await stopped(t, 'end');
  const database = path.join(daemon.directory, 'state/joblet.db');
  const whole = readFileSync(database);
  truncateSync(database);
  assert.match(await refusal(daemon), /joblet.db is empty, but this node had a state/);
  const changed = Buffer.from(whole);
  const at = changed.indexOf('echo kept');
  changed[at] = (changed[at] ?? 0) ^ 1;
  writeFileSync(database, changed);
  assert.match(
    await refusal(daemon),
    /joblet.db is damaged and cannot be used: a page is not what was written/,
  );
  writeFileSync(database, whole.subarray(0, whole.length - 4096));
  assert.match(await refusal(daemon), /joblet.db is damaged and cannot be used: /);
  writeFileSync(database, whole);
  await daemon.restart();
  assert.equal((await statusOf(daemon.as('admin'), uuid)).exitCode, 8);
});

test('what a killed daemon left is whole, or what is wrong with it is named', {
  skip,
}, async (t) => {
  const { daemon, uuid } = await stopped(t, 'kill');
  const wal = path.join(daemon.directory, 'state/joblet.db-wal');
  const whole = readFileSync(wal);
  rmSync(wal);
  assert.match(await refusal(daemon), /joblet.db-wal is missing, and with it the newest records/);
  const changed = Buffer.from(whole);
  changed[9000] = (changed[9000] ?? 0) ^ 1;
  writeFileSync(wal, changed);
  assert.match(await refusal(daemon), /joblet.db-wal is damaged and cannot be used: byte \d+/);
  // A tail that nobody was told of.
  writeFileSync(wal, whole);
  await daemon.restart();
  assert.equal((await statusOf(daemon.as('admin'), uuid)).exitCode, 8);
});

test('a log directory that is gone or cannot be written is named at start', { skip }, async (t) => {
  const { disk, daemon } = await startOn(t, 8, logsOn);
  const api = daemon.as('admin');
  const { job } = await finish(api, shell('echo kept; exit 8'));
  const logs = path.join(disk.directory, 'logs');
  await daemon.end();
  disk.unmount();
  assert.match(
    await refusal(daemon),
    /the log directory .*logs is missing, though .*joblet.db is there; mount it/,
  );
  disk.mount('ro');
  assert.match(await refusal(daemon), /logs is on a read-only file system \(EROFS\)/);
  disk.unmount();
  disk.mount();
  execFileSync('chattr', ['+i', logs]);
  assert.match(await refusal(daemon), /logs may not be written \(EPERM\)/);
  execFileSync('chattr', ['-i', logs]);
  await daemon.restart();
  assert.equal((await ended(daemon.as('admin'), job.uuid)).stdout, 'kept\n');
});

test('a job whose log cannot be begun is not started, and says so', { skip }, async (t) => {
  const { disk, daemon } = await startOn(t, 8, logsOn);
  const api = daemon.as('admin');
  disk.break();
  const { job } = await finish(api, shell('true'));
  assert.equal(job.reason, 'NOT_STARTED');
  assert.match(job.message, /could not be started: log-dir: .*logs.*: EROFS/);
});

test('a bit that changes under a running daemon is an error, never a wrong answer', {
  skip,
}, async (t) => {
  const daemon = await startDaemon({ joblet: { maxConcurrentJobs: 1 } });
  t.after(async () => {
    // It cannot say any more which jobs there are.
    await daemon.kill();
    await daemon.stop();
  });
  // More than SQLite keeps in its memory, and moved from the WAL into the database by a clean stop.
  const api = daemon.as('admin');
  const uuids: string[] = [];
  const environment = { ONE: 'x'.repeat(30_000), TWO: 'x'.repeat(30_000) };
  for (let at = 0; at < 50; at += 1)
    uuids.push(await start(api, { command: '/bin/true', environment }));
  for (const uuid of uuids) await api.unary(waitJob, { uuid });
  await daemon.end();
  await daemon.restart();
  const database = path.join(daemon.directory, 'state/joblet.db');
  const bytes = readFileSync(database);
  for (let at = bytes.indexOf('x'.repeat(4000)); at >= 0 && at < bytes.length; at += 4096)
    bytes[at] = 0x79;
  writeFileSync(database, bytes);
  const again = daemon.as('admin');
  await assert.rejects(
    Promise.all(uuids.map((uuid) => statusOf(again, uuid))),
    refused(
      'UNAVAILABLE',
      /joblet.db is damaged and cannot be used: a page is not what was written/,
    ),
  );
});
