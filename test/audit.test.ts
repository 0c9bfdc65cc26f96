// The audit log on a real daemon: whatever is done or refused is one record that says who, what, when
// and with which result, and whoever touches the records is found out.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { type Connection, connect } from '../src/client/connection.ts';
import type { AuditEntry, AuditWish } from '../src/client/messages.ts';
import {
  cancelJob,
  deleteJob,
  followAudit,
  queryAudit,
  queryJobs,
  runJob,
  sendJobInput,
  stopJob,
  verifyAudit,
  waitJob,
} from '../src/client/methods.ts';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';
import { Db } from '../src/daemon/store/db.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, printed, shell, start } from './job-calls.ts';

const ROOT = path.join(import.meta.dirname, '..');
/** How often a daemon is killed amid changes; a campaign sets more. */
const ROUNDS = Number(process.env['JOBLET_CRASH_ROUNDS'] ?? 3);

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

/** The newest records that pass, the oldest of them first. */
async function records(filter: AuditWish = {}, of = daemon): Promise<AuditEntry[]> {
  const found = await of.as('admin').unary(queryAudit, { filter, limit: 1000 });
  return found.records.reverse();
}

/** What is told of a job: action, result and who, one word each. */
async function story(jobUuid: string): Promise<string[]> {
  const found = await records({ jobUuid });
  return found.map(({ action, result, who }) => `${action} ${result} ${who || 'daemon'}`);
}

function outcomeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'OK',
    (error: Error & { kind?: string }) => error.kind ?? error.message,
  );
}

/** Calls once as somebody else; answers what became of it. */
async function callAs(pair: KeyPair, of = daemon): Promise<string> {
  const connection = connect({ ...of.node('admin'), ...pair });
  try {
    return await outcomeOf(connection.unary(queryJobs, {}));
  } finally {
    connection.close();
  }
}

function rnx(role: 'admin' | 'viewer', ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(ROOT, 'src/cli/main.ts'), ...args],
    { encoding: 'utf8', env: { RNX_CONFIG: daemon.nodesFile(role), TZ: 'UTC' } },
  );
  return { status, stdout, stderr };
}

/** `joblet audit verify` on the state of a daemon that does not run. */
function verifyOffline(of: Daemon, ...args: string[]) {
  const state = path.join(of.directory, 'state');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(ROOT, 'src/daemon/main.ts'), 'audit', 'verify', ...args, state],
    { encoding: 'utf8' },
  );
  return { status, text: stdout + stderr };
}

test('each change of a job is one record of who, what, when and with which result', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const beganAt = Date.now();
  const { job } = await finish(api, shell('exit 3'));
  assert.deepEqual(await story(job.uuid), [
    'job.created INITIALIZING test-developer',
    'job.running RUNNING daemon',
    'job.ended FAILED daemon',
  ]);
  await api.unary(deleteJob, { uuid: job.uuid });
  const told = await records({ jobUuid: job.uuid });
  const [created, , end, deleted] = told;
  assert.equal(told.length, 4);
  assert.equal(created?.role, 'developer');
  assert.equal(
    created?.certificate,
    new X509Certificate(daemon.node('developer').cert).serialNumber,
  );
  assert.match(created?.peer ?? '', /^\S+:\d+$/);
  assert.equal(created?.detail, '/bin/sh');
  assert.equal(end?.detail, 'EXITED: the command ended with exit code 3');
  assert.equal(`${deleted?.action} ${deleted?.who}`, 'job.deleted test-developer');
  for (const { time, count } of told) {
    assert.equal(count, 1n);
    assert.ok(Date.parse(time) >= beganAt - 1 && Date.parse(time) <= Date.now(), time);
  }
});

test('a stop, a cancel and a feed are records of who did it', { skip }, async () => {
  const api = daemon.as('operator');
  const fed = await start(daemon.as('developer'), shell('echo ready; cat', { stdin: true }));
  await printed(api, fed, 'ready');
  await api.clientStream(sendJobInput, [{ uuid: fed, data: Buffer.from('one\n') }]);
  await api.clientStream(sendJobInput, [{ uuid: fed, data: Buffer.from('two\n') }]);
  await api.unary(stopJob, { uuid: fed, force: true });
  assert.deepEqual(await story(fed), [
    'job.created INITIALIZING test-developer',
    'job.running RUNNING daemon',
    'job.input ok test-operator',
    'job.input ok test-operator',
    'job.stop ok test-operator',
    'job.ended STOPPED daemon',
  ]);
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const later = await start(api, { command: '/bin/true', schedule });
  await api.unary(cancelJob, { uuid: later });
  assert.deepEqual(await story(later), [
    'job.created SCHEDULED test-operator',
    'job.ended CANCELED test-operator',
  ]);
  assert.equal(await outcomeOf(api.unary(stopJob, { uuid: later })), 'wrong-state');
  assert.equal((await story(later)).length, 2);
});

test('a job that cannot be started leaves the reason', { skip }, async () => {
  const { jobUuid } = await daemon.as('developer').unary(runJob, { command: '/no/such/program' });
  const told = await records({ jobUuid });
  assert.deepEqual(
    told.map(({ action, result }) => `${action} ${result}`),
    ['job.created INITIALIZING', 'job.ended FAILED'],
  );
  assert.match(told[1]?.detail ?? '', /^NOT_STARTED: could not be started: .*ENOENT/);
});

test('only an admin reads the log, and who else tries stands in it', { skip }, async () => {
  for (const role of ['viewer', 'developer', 'operator'] as const) {
    const api = daemon.as(role);
    const following = async () => {
      for await (const record of api.serverStream(followAudit, {})) return record;
      return undefined;
    };
    assert.equal(await outcomeOf(api.unary(queryAudit, {})), 'denied');
    assert.equal(await outcomeOf(api.unary(verifyAudit, {})), 'denied');
    assert.equal(await outcomeOf(following()), 'denied');
    const told = await records({ who: `test-${role}`, actions: ['call.refused'] });
    assert.deepEqual(
      told.map(({ method, result, role: as, count }) => `${method} ${result} ${as} ${count}`),
      ['QueryAudit', 'VerifyAudit', 'FollowAudit'].map(
        (method) => `/joblet.AuditService/${method} denied ${role} 1`,
      ),
    );
    assert.match(told[0]?.detail ?? '', /is not allowed to perform operation read_audit/);
  }
});

test('a call that no certificate lets in is recorded with what is known of who tried', {
  skip,
}, async () => {
  const now = Date.now();
  const stranger = await issue(
    await makeAuthority(now),
    { kind: 'client', name: 'mallory', units: ['admin'] },
    now,
  );
  assert.equal(await callAs(stranger), 'unauthenticated');
  const certificate = new X509Certificate(stranger.cert).serialNumber;
  const [told, ...more] = (await records({ result: 'unauthenticated' })).filter(
    (record) => record.certificate === certificate,
  );
  assert.equal(more.length, 0);
  assert.equal(told?.action, 'call.refused');
  // The name is only what a stranger's authority says.
  assert.equal(told?.who, '');
  assert.match(told?.detail ?? '', /unknown authority/);
  assert.match(told?.peer ?? '', /^\S+:\d+$/);
});

test('a revocation is recorded, and the calls of the revoked as well', { skip }, async () => {
  const eve = await issue(
    daemon.authority,
    { kind: 'client', name: 'eve', units: ['admin'] },
    Date.now(),
  );
  assert.equal(await callAs(eve), 'OK');
  const serial = new X509Certificate(eve.cert).serialNumber;
  const reloaded = daemon.logged(/the configuration was read again/);
  writeFileSync(path.join(daemon.directory, 'revoked'), `${serial} eve\n`);
  await reloaded;
  assert.equal(await callAs(eve), 'unauthenticated');
  const reloads = await records({ actions: ['certificates.reload'] });
  assert.deepEqual(
    reloads.map(({ result, detail }) => `${result} ${detail}`),
    [`ok revoked ${serial}`],
  );
  const refused = (await records({ actions: ['call.refused'] })).filter(
    (record) => record.certificate === serial,
  );
  assert.equal(refused.length, 1);
  assert.match(refused[0]?.detail ?? '', /certificate revoked \(eve/);
});

test('ten thousand refused calls leave a few records, and none is forgotten', {
  skip,
}, async () => {
  const own = await startDaemon();
  try {
    const api = own.as('viewer');
    const request = { uuid: 'f47ac10b' };
    for (let round = 0; round < 100; round += 1) {
      await Promise.all(Array.from({ length: 100 }, () => outcomeOf(api.unary(stopJob, request))));
    }
    // What has been counted is written at the end of its time, or of the daemon.
    await own.end();
    assert.equal(own.log().match(/call refused/g)?.length, 2);
    await own.restart();
    const told = await records({ who: 'test-viewer', actions: ['call.refused'] }, own);
    assert.deepEqual(
      told.map(({ count }) => count),
      [1n, 9999n],
    );
  } finally {
    await own.stop();
  }
});

test('secrets stand in no record', { skip }, async () => {
  const secret = 'correct-horse-battery';
  const { job } = await finish(
    daemon.as('developer'),
    shell('test -n "$TOKEN"', { secretEnvironment: { TOKEN: secret } }),
  );
  assert.equal(job.status, 'COMPLETED');
  const told = JSON.stringify(await records(), (_, value) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
  assert.ok(told.includes(job.uuid));
  assert.ok(!told.includes(secret));
});

test('a follower gets records as they come, without a gap behind what it has read', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const { head } = await api.unary(queryAudit, {});
  const filter = { actions: ['job.ended'] };
  const stopped = new AbortController();
  const followed = api.serverStream(
    followAudit,
    { filter, after: head },
    { signal: stopped.signal },
  );
  const jobs = await Promise.all(
    Array.from({ length: 10 }, () => finish(daemon.as('developer'), { command: '/bin/true' })),
  );
  const left = new Set(jobs.map(({ job }) => job.uuid));
  for await (const { jobUuid } of followed) {
    assert.ok(left.delete(jobUuid));
    if (left.size === 0) break;
  }
  stopped.abort();
});

test('everything wrong with a query is said at once', { skip }, async () => {
  const query = daemon.as('admin').unary(queryAudit, {
    filter: { since: 'yesterday', actions: ['job.eaten'], who: 'x'.repeat(300) },
    limit: -1,
    pageToken: 'x',
  });
  await assert.rejects(query, (error: Error) => {
    for (const field of ['since', 'actions', 'who', 'limit', 'page_token']) {
      assert.ok(error.message.includes(field), `${field}: ${error.message}`);
    }
    return true;
  });
});

test('rnx audit shows, filters and verifies', { skip }, async () => {
  const { job } = await finish(daemon.as('developer'), { command: '/bin/true' });
  const shown = rnx('admin', 'audit', '--job', job.uuid.slice(0, 8));
  assert.equal(shown.status, 0, shown.stderr);
  const [created, running, end, ...more] = shown.stdout.trimEnd().split('\n');
  assert.equal(more.length, 0);
  assert.match(
    created ?? '',
    new RegExp(
      `^[-0-9]+ [:0-9]+ +job.created +INITIALIZING +test-developer +${job.uuid} +/bin/true$`,
    ),
  );
  assert.match(running ?? '', /job.running +RUNNING +- /);
  assert.match(end ?? '', /job.ended +COMPLETED +- .* EXITED$/);
  const json = rnx(
    'admin',
    'audit',
    '--json',
    '--since',
    '1h',
    '--action',
    'job.created,job.ended',
  );
  const lines = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(lines.some(({ job_uuid, action }) => job_uuid === job.uuid && action === 'job.ended'));
  assert.ok(lines.every(({ action }) => ['job.created', 'job.ended'].includes(action)));
  const all = rnx('admin', 'audit', '--limit', '0', '--json').stdout.trimEnd().split('\n');
  assert.equal(JSON.parse(all[0] ?? '').action, 'daemon.start');
  const sound = rnx('admin', 'audit', '--verify');
  assert.equal(sound.status, 0);
  const head = /^\d+ records, 1 to \d+: none was changed, removed or put in\nhead (\S+)\n$/.exec(
    sound.stdout,
  )?.[1];
  assert.equal(rnx('admin', 'audit', '--verify', '--expect', head ?? '').status, 0);
  const other = rnx('admin', 'audit', '--verify', '--expect', `1:${'0'.repeat(64)}`);
  assert.equal(other.status, 1);
  assert.match(other.stdout, /record 1 is not the record that who asks knows/);
  const denied = rnx('viewer', 'audit');
  assert.equal(denied.status, 1);
  assert.match(denied.stderr, /role viewer is not allowed to perform operation read_audit/);
  assert.match(rnx('admin', 'audit', '--since', 'soonish').stderr, /--since: "soonish" is no time/);
});

test('rnx audit follows until Ctrl-C', { skip }, async () => {
  const child = spawn(
    process.execPath,
    [path.join(ROOT, 'src/cli/main.ts'), 'audit', '--follow', '--limit', '1', '--json'],
    { env: { RNX_CONFIG: daemon.nodesFile('admin') } },
  );
  const closed = once(child, 'close');
  const { jobUuid } = await daemon.as('developer').unary(runJob, { command: '/bin/true' });
  for await (const line of createInterface(child.stdout)) {
    const record = JSON.parse(line);
    if (record.job_uuid === jobUuid && record.action === 'job.ended') break;
  }
  child.kill('SIGINT');
  assert.deepEqual(await closed, [130, null]);
});

test('a daemon killed amid changes leaves a sound log, and no acknowledged change without its record', {
  skip,
}, async () => {
  const own = await startDaemon();
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const acknowledged: string[] = [];
      const enough = Promise.withResolvers<void>();
      const tell = (change: string) => {
        acknowledged.push(change);
        if (acknowledged.length === 20 + ((round * 37) % 150)) enough.resolve();
      };
      const load = Promise.allSettled(
        Array.from({ length: 10 }, () => churn(own.as('developer'), tell)),
      );
      await enough.promise;
      await own.kill();
      await load;
      await own.restart();
      const told = (await records({}, own)).map(({ jobUuid, action }) => `${jobUuid} ${action}`);
      const ofJobs = told.filter((line) => !line.startsWith(' '));
      assert.equal(new Set(ofJobs).size, ofJobs.length);
      assert.deepEqual(
        acknowledged.filter((change) => !told.includes(change)),
        [],
      );
      const { damages } = await own.as('admin').unary(verifyAudit, {});
      assert.deepEqual(damages, []);
    }
  } finally {
    await own.stop();
  }
});

/** Runs, waits and deletes until nobody answers; tells each change that was acknowledged. */
async function churn(api: Connection, tell: (change: string) => void): Promise<void> {
  for (;;) {
    const { jobUuid: uuid, status } = await api.unary(runJob, { command: '/bin/true' });
    tell(`${uuid} job.created`);
    if (status === 'RUNNING') tell(`${uuid} job.running`);
    await api.unary(waitJob, { uuid });
    tell(`${uuid} job.ended`);
    await api.unary(deleteJob, { uuid });
    tell(`${uuid} job.deleted`);
  }
}

test('a record that was changed, removed or put in is named, and so is a tail that was cut off', {
  skip,
}, async () => {
  const own = await startDaemon();
  try {
    for (let job = 0; job < 5; job += 1)
      await finish(own.as('developer'), { command: '/bin/true' });
    const last = Number((await own.as('admin').unary(queryAudit, {})).head) + 1;
    await own.end();
    const state = path.join(own.directory, 'state');
    const kept = path.join(own.directory, 'kept');
    cpSync(state, kept, { recursive: true });
    assert.deepEqual(verifyOffline(own).status, 0);
    // It is checked as it is, also where another version wrote it.
    const newer = new Db(state);
    newer.prepare('PRAGMA user_version = 999').run();
    newer.close();
    assert.equal(verifyOffline(own).status, 0);
    for (const [sql, named] of Object.entries({
      "UPDATE audit SET detail = '/bin/trud' WHERE sequence = 5":
        'record 5 is not what was written',
      'UPDATE audit SET at_ms = at_ms + 1 WHERE sequence = 1': 'record 1 is not what was written',
      'DELETE FROM audit WHERE sequence = 4': 'record 4 is missing',
      'DELETE FROM audit WHERE sequence < 3': 'record 1 and those up to 2 are missing',
      [`INSERT INTO audit SELECT ${last + 1}, at_ms, action, job_id, method, who, role, certificate, peer, result, detail, count, hash FROM audit WHERE sequence = 2`]: `record ${last + 1} does not follow on the one before it: it was changed, or put in`,
      [`DELETE FROM audit WHERE sequence > ${last - 2}`]: `record ${last - 1} and those up to ${last} are cut off: audit.anchor knows them`,
    })) {
      rmSync(state, { recursive: true });
      cpSync(kept, state, { recursive: true });
      const db = new Db(state);
      db.prepare(sql).run();
      db.close();
      const { status, text } = verifyOffline(own);
      assert.equal(status, 1, sql);
      assert.ok(text.includes(`\n${named}\n`), `${sql}: ${text}`);
    }
    // The next daemon says so, and goes on without giving a number twice.
    await own.restart();
    assert.match(own.log(), /the audit log is not as it was left/);
    const { damages } = await own.as('admin').unary(verifyAudit, {});
    assert.deepEqual(
      damages.map(({ message }) => message),
      [
        `record ${last - 1} and those up to ${last} are missing: they were cut off before the log went on`,
        `record ${last + 2} says: records ${last - 1} to ${last} were gone when the daemon started; audit.anchor knew of them`,
      ],
    );
  } finally {
    await own.stop();
  }
});
