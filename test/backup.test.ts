// A backup is the state of one moment in one file. What comes back from it is true: what ended since is
// known from its log, what runs still runs, what nobody knows is said so, and nothing runs twice.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { cancelJob, queryAudit, queryJobs, runJob, sendJobInput } from '../src/client/methods.ts';
import { usePageSums } from '../src/daemon/store/page-sums.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start, statusOf } from './job-calls.ts';
import { processesBelow } from './snapshot.ts';

const skip = cannotRun();

const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

async function startFor(t: TestContext, settings: Settings = {}): Promise<Daemon> {
  const daemon = await startDaemon(settings);
  t.after(() => daemon.stop());
  return daemon;
}

/** Runs the daemon's program with a word and its arguments, for the node of `daemon`. */
function joblet(
  daemon: Daemon,
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly output: string }> {
  const config = path.join(daemon.directory, 'joblet-config.yml');
  const { promise, resolve } = Promise.withResolvers<{ code: number; output: string }>();
  execFile(
    process.execPath,
    [MAIN, ...words, '--config', config],
    { env: { PATH: process.env['PATH'] ?? '' } },
    (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
  );
  return promise;
}

async function succeed(daemon: Daemon, ...words: readonly string[]): Promise<string> {
  const { code, output } = await joblet(daemon, ...words);
  assert.equal(code, 0, output);
  return output;
}

async function refuse(daemon: Daemon, message: RegExp, ...words: readonly string[]): Promise<void> {
  const { code, output } = await joblet(daemon, ...words);
  assert.equal(code, 1, output);
  assert.match(output, message);
}

async function startPatient(daemon: Daemon): Promise<string> {
  const api = daemon.as('admin');
  const uuid = await start(api, shell('echo ready; read line; exit 42', { stdin: true }));
  await printed(api, uuid, 'ready');
  return uuid;
}

async function letGo(daemon: Daemon, uuid: string): Promise<void> {
  const data = Buffer.from('go\n');
  await daemon.as('admin').clientStream(sendJobInput, [{ uuid, data, end: true }]);
}

/** What the audit log says of these, the oldest first. */
async function told(daemon: Daemon, actions: readonly string[]): Promise<string[]> {
  const { records } = await daemon.as('admin').unary(queryAudit, { filter: { actions } });
  return records.map(({ action, result, jobUuid }) => `${action} ${result} ${jobUuid}`).reverse();
}

test('a state comes back as it was, and jobs that had not ended are told truly', {
  skip,
}, async (t) => {
  const daemon = await startFor(t, { joblet: { maxConcurrentJobs: 2 } });
  const api = daemon.as('admin');
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  const over = (await finish(api, shell('echo kept; exit 3'))).job.uuid;
  const scheduled = await start(api, { command: '/bin/true', schedule: inAnHour });
  const runsOn = await startPatient(daemon);
  const endsLater = await startPatient(daemon);
  const waits = (await api.unary(runJob, shell('exit 9'))).jobUuid;
  const backup = path.join(daemon.directory, 'a.backup');
  assert.match(
    await succeed(daemon, 'backup', backup),
    /5 jobs, 4 of them not ended; .* MB, schema \d+/,
  );
  assert.equal(statSync(backup).mode & 0o777, 0o600);
  assert.deepEqual(await told(daemon, ['state.copied']), ['state.copied ok ']);
  assert.deepEqual(
    readdirSync(daemon.directory).filter((name) => name.includes('backup')),
    ['a.backup'],
  );

  await letGo(daemon, endsLater);
  assert.equal((await ended(api, waits)).job.exitCode, 9);
  const stranger = await startPatient(daemon);
  await refuse(daemon, /a daemon runs on .*state; stop it first/, 'restore', '--force', backup);
  // Also where its socket is gone: the lock of the database says it too.
  rmSync(path.join(daemon.directory, 'run/control.sock'));
  await refuse(daemon, /already runs on .*state; stop it first/, 'restore', '--force', backup);
  await daemon.end();
  await refuse(
    daemon,
    /there is a state in .* already: .*joblet.db.*--force puts/,
    'restore',
    backup,
  );
  await succeed(daemon, 'restore', '--force', backup);
  await daemon.restart();

  const again = daemon.as('admin');
  const { jobs } = await again.unary(queryJobs, {});
  assert.equal(jobs.length, 5);
  assert.equal(
    jobs.some(({ uuid }) => uuid === stranger),
    false,
  );
  const { job, stdout } = await ended(again, over);
  assert.deepEqual([job.exitCode, stdout], [3, 'kept\n']);
  assert.equal((await ended(again, endsLater)).job.exitCode, 42);
  // It waited when the backup was made, and has run since: it is not run again.
  assert.equal((await ended(again, waits)).job.exitCode, 9);
  assert.equal((await statusOf(again, runsOn)).status, 'RUNNING');
  await letGo(daemon, runsOn);
  assert.equal((await ended(again, runsOn)).job.exitCode, 42);
  assert.equal((await again.unary(cancelJob, { uuid: scheduled })).status, 'CANCELED');
  const running = [...processesBelow(daemon.pid).values()];
  assert.equal(running.includes('sh'), false, 'the job that the state does not know still runs');
  assert.match(daemon.log(), new RegExp(`restored state does not know; it is ended.*${stranger}`));
  assert.deepEqual(await told(daemon, ['audit.broken', 'state.restored']), [
    'audit.broken cut ',
    'state.restored ok ',
  ]);
  assert.ok((await told(daemon, ['job.ended'])).includes(`job.ended STOPPED ${stranger}`));
  // What was replaced is there for whoever wants it back.
  assert.ok(
    readdirSync(path.join(daemon.directory, 'state')).some((name) => /replaced/.test(name)),
  );
});

test('on another node a backup says of jobs that had not ended what it knows', {
  skip,
}, async (t) => {
  const daemon = await startFor(t, { joblet: { maxConcurrentJobs: 1 } });
  const api = daemon.as('admin');
  const over = (await finish(api, shell('exit 3'))).job.uuid;
  const ran = await startPatient(daemon);
  const waited = (await api.unary(runJob, shell('exit 9'))).jobUuid;
  await daemon.end();
  // Nobody runs there: the copy is made all the same, and takes nothing from the state.
  const backup = path.join(daemon.directory, 'idle.backup');
  await succeed(daemon, 'backup', backup);
  await daemon.restart();
  assert.equal((await statusOf(daemon.as('admin'), ran)).status, 'RUNNING');

  const other = await startFor(t);
  await other.end();
  await succeed(other, 'restore', '--force', backup);
  await other.restart();
  const there = other.as('admin');
  assert.equal((await statusOf(there, over)).exitCode, 3);
  for (const uuid of [ran, waited]) {
    const job = await statusOf(there, uuid);
    assert.deepEqual([job.status, job.reason], ['FAILED', 'STATE_RESTORED']);
    assert.match(job.message, /restored from a backup that was made before the job ended/);
  }
});

test('what is no whole backup of a version that is known is refused', { skip }, async (t) => {
  const daemon = await startFor(t);
  await finish(daemon.as('admin'), shell('exit 3'));
  const backup = path.join(daemon.directory, 'a.backup');
  await succeed(daemon, 'backup', backup);
  await daemon.end();
  const whole = readFileSync(backup);
  const state = path.join(daemon.directory, 'state/joblet.db');
  const before = readFileSync(state);
  const tried = path.join(daemon.directory, 'tried');
  const attempt = async (message: RegExp, bytes: Uint8Array) => {
    writeFileSync(tried, bytes);
    await refuse(daemon, message, 'restore', '--force', tried);
  };
  const flipped = (at: number) => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    return bytes;
  };
  await attempt(
    /no whole backup: it does not begin like one/,
    Buffer.from('something else'.repeat(999)),
  );
  await attempt(/no whole backup: it has \d+ bytes, and should have \d+/, whole.subarray(0, -4096));
  await attempt(/no whole backup: its pages have no checksums/, flipped(20));
  await attempt(/its checksum differs/, flipped(90));
  await attempt(/its checksum differs/, flipped(whole.length - 2000));
  usePageSums();
  writeFileSync(tried, whole);
  const newer = new DatabaseSync(tried);
  newer.exec('PRAGMA user_version = 999');
  newer.close();
  await refuse(daemon, /is of a newer joblet \(schema 999/, 'restore', '--force', tried);
  await refuse(
    daemon,
    /there is no file .*nowhere/,
    'restore',
    path.join(daemon.directory, 'nowhere'),
  );
  assert.deepEqual(readFileSync(state), before);
  assert.equal(existsSync(`${state}-restored`), false);
});
