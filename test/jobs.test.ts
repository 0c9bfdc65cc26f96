// The life of a job, as a client sees it, from the request to its deletion.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import {
  cancelJob,
  deleteAllJobs,
  deleteJob,
  getJobLogs,
  getSchedule,
  getWorkflowStatus,
  queryJobs,
  removeNetwork,
  removeVolume,
  runJob,
  sendJobInput,
  stopJob,
  waitJob,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, output, printed, python, shell, start, statusOf } from './job-calls.ts';
import { upload } from './upload-parts.ts';

const MB = 1 << 20;
const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  api = daemon.as('admin');
});

after(async () => {
  await daemon?.stop();
});

/** A job that does nothing until it is ended. */
const IDLE = { command: '/usr/bin/sleep', args: ['600'] } as const;

/** A shell line that says `ready` and then waits for ever, whatever it does with signals. */
function waiting(trap: string): string {
  return `${trap} echo ready; while :; do sleep 600 & wait $!; done`;
}

const ids = (jobs: readonly { uuid: string }[]) => jobs.map((job) => job.uuid);

test('a job runs, ends with its exit code and both streams of its output (S4-9, S4-11, S4-23)', {
  skip,
}, async () => {
  const { job, stdout, stderr } = await finish(api, shell('echo out; echo err >&2; exit 7'));
  assert.equal(job.status, 'FAILED');
  assert.equal(job.exitCode, 7);
  assert.equal(job.reason, 'EXITED');
  assert.equal(stdout, 'out\n');
  assert.equal(stderr, 'err\n');
  assert.ok(Date.parse(job.createdTime) <= Date.parse(job.startTime));
  assert.ok(Date.parse(job.startTime) <= Date.parse(job.endTime));
  assert.equal(job.logBytes, 8n);
});

const hostIsNamed = existsSync('/etc/os-release');

test('a program finds out which system it runs on', {
  skip: skip || (hostIsNamed ? false : 'this host does not say which system it is'),
}, async () => {
  const { stdout } = await finish(api, shell('. /etc/os-release; echo "$ID"'));
  assert.match(stdout, /^[a-z0-9._-]+\n$/);
});

test('a job that exits with 0 is COMPLETED', { skip }, async () => {
  const { job } = await finish(api, { command: '/bin/true' });
  assert.equal(job.status, 'COMPLETED');
  assert.equal(job.exitCode, 0);
});

test('a job that dies of a signal says which', { skip }, async () => {
  const { job } = await finish(api, shell('kill -SEGV $$'));
  assert.equal(job.status, 'FAILED');
  assert.equal(job.reason, 'SIGNALED');
  assert.equal(job.signal, 11);
  assert.equal(job.exitCode, -1);
});

test('RunJob answers RUNNING when the command was executed', { skip }, async () => {
  const answer = await api.unary(runJob, { ...IDLE, name: 'idler' });
  assert.equal(answer.status, 'RUNNING');
  assert.notEqual(answer.startTime, '');
  const detail = await statusOf(api, answer.jobUuid);
  assert.equal(detail.name, 'idler');
  assert.deepEqual([detail.command, ...detail.args], [IDLE.command, ...IDLE.args]);
  await api.unary(stopJob, { uuid: answer.jobUuid, force: true });
});

test('argv reaches the program byte for byte, empty arguments too', { skip }, async () => {
  const args = ['', 'a b', '*', '$HOME', '"', "'", '\\', 'ü\n', '-c', ''];
  const show = 'import json,sys; print(json.dumps(sys.argv[1:]))';
  const { stdout } = await finish(api, {
    command: '/usr/bin/python3',
    args: ['-c', show, ...args],
  });
  assert.deepEqual(JSON.parse(stdout), args);
});

test('a whole shell line as the command runs in a shell (S0-3)', { skip }, async () => {
  const { stdout } = await finish(api, { command: 'echo one && echo two | tr o 0' });
  assert.equal(stdout, 'one\ntw0\n');
});

test('the environment is exactly the defaults, what was asked for and the secrets', {
  skip,
}, async () => {
  const { stdout, job } = await finish(api, {
    command: '/usr/bin/env',
    args: ['-0'],
    environment: { COLOUR: 'red\ngreen', EMPTY: '' },
    secretEnvironment: { TOKEN: 'hush' },
  });
  const pairs = stdout.split('\0').filter((pair) => pair !== '');
  const names = pairs.map((pair) => pair.slice(0, pair.indexOf('='))).toSorted();
  assert.deepEqual(
    names,
    ['COLOUR', 'EMPTY', 'HOME', 'HOSTNAME', 'LANG', 'PATH', 'TOKEN', 'USER'].toSorted(),
  );
  assert.ok(pairs.includes('COLOUR=red\ngreen'));
  assert.ok(pairs.includes('EMPTY='));
  assert.ok(pairs.includes('TOKEN=hush'));
  assert.ok(pairs.includes(`HOSTNAME=job-${job.uuid.slice(0, 8)}`));
});

test('secrets are masked in every answer and stand in no file but the database', {
  skip,
}, async () => {
  const secret = `secret-${randomBytes(12).toString('hex')}`;
  const uuid = await start(api, {
    ...IDLE,
    secretEnvironment: { TOKEN: secret },
    environment: { PLAIN: 'seen' },
  });
  const whileRunning = filesWith(daemon.directory, secret);
  const answers = [
    await statusOf(api, uuid),
    await api.unary(queryJobs, {}),
    await api.unary(stopJob, { uuid, force: true }),
    await statusOf(api, uuid),
  ];
  const text = JSON.stringify(answers, (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  assert.ok(!text.includes(secret));
  assert.equal((await statusOf(api, uuid)).secretEnvironment['TOKEN'], '***');
  assert.equal((await statusOf(api, uuid)).environment['PLAIN'], 'seen');
  for (const file of [...whileRunning, ...filesWith(daemon.directory, secret)]) {
    assert.match(file, /\.(db|sqlite)(-wal)?$/, 'a secret lies in a file');
  }
  assert.ok(!daemon.log().includes(secret));
});

/** Files below a directory that hold the text. */
function filesWith(directory: string, text: string): string[] {
  try {
    return execFileSync('grep', ['-rlaF', '--', text, directory], { encoding: 'utf8' })
      .trim()
      .split('\n');
  } catch (error) {
    // grep's way to say that there are none.
    if ((error as { status?: number }).status === 1) return [];
    throw error;
  }
}

test('a command that is not there could not be started, and the answer says why', {
  skip,
}, async () => {
  const missing = await api.unary(runJob, { command: '/no/such/program' });
  assert.equal(missing.status, 'FAILED');
  assert.equal(missing.reason, 'NOT_STARTED');
  assert.match(missing.message, /\/no\/such\/program: ENOENT; .*no such program: check its name/);
  const notExecutable = await api.unary(runJob, { command: '/etc/passwd' });
  assert.match(notExecutable.message, /\/etc\/passwd: EACCES; .*chmod \+x/);
  const nowhere = await api.unary(runJob, { command: 'no-such-word' });
  assert.match(nowhere.message, /no-such-word.*ENOENT/);
  const noDirectory = await api.unary(runJob, { command: '/bin/true', workDir: 'missing' });
  assert.equal(noDirectory.reason, 'NOT_STARTED');
  assert.match(noDirectory.message, /missing: ENOENT; .*no such folder/);
});

test('a call that does not say what it is about is refused by the name of the field (S4-62)', {
  skip,
}, async () => {
  const calls = [
    statusOf(api, ''),
    api.unary(stopJob, {}),
    api.unary(cancelJob, {}),
    api.unary(deleteJob, {}),
    output(api, {}),
    api.unary(getWorkflowStatus, {}),
    api.unary(getSchedule, {}),
    api.unary(removeNetwork, {}),
    api.unary(removeVolume, {}),
  ];
  for (const call of calls) {
    await assert.rejects(call, {
      kind: 'invalid',
      message: /^(uuid|workflow_uuid|name): is empty; give the /,
    });
  }
});

test('lists show the newest first and can be narrowed and paged (S4-15)', { skip }, async () => {
  const name = `listed-${randomBytes(4).toString('hex')}`;
  const first = await start(api, { command: '/bin/true', name });
  await ended(api, first);
  const second = await start(api, { command: '/bin/false', name });
  await ended(api, second);
  const third = await start(api, { ...IDLE, name });
  const all = await api.unary(queryJobs, { name });
  assert.deepEqual(ids(all.jobs), [third, second, first]);
  const failed = await api.unary(queryJobs, { name, statuses: ['FAILED'] });
  assert.deepEqual(ids(failed.jobs), [second]);
  const page = await api.unary(queryJobs, { name, limit: 2 });
  assert.deepEqual(ids(page.jobs), [third, second]);
  const rest = await api.unary(queryJobs, { name, limit: 2, pageToken: page.nextPageToken });
  assert.deepEqual(ids(rest.jobs), [first]);
  assert.equal(rest.nextPageToken, '');
  await api.unary(stopJob, { uuid: third, force: true });
});

test('a job may be named by a beginning of its id, if no other shares it', { skip }, async () => {
  const { job } = await finish(api, { command: '/bin/true' });
  assert.equal((await statusOf(api, job.uuid.slice(0, 8))).uuid, job.uuid);
  // Among seventeen jobs two share their first digit.
  const more: string[] = [];
  while (more.length < 16) more.push((await finish(api, { command: '/bin/true' })).job.uuid);
  const firsts = [job.uuid, ...more].map((uuid) => uuid.slice(0, 1));
  const shared = firsts.find((digit, at) => firsts.indexOf(digit) !== at) ?? '';
  await assert.rejects(statusOf(api, shared), (error: Error) => {
    assert.match(error.message, /more than one job|several jobs|ambiguous/);
    return true;
  });
});

test('a job that nobody knows is not found (S4-30)', { skip }, async () => {
  const unknown = '00000000-0000-4000-8000-000000000000';
  const message = new RegExp(`job not found: ${unknown}`);
  await assert.rejects(statusOf(api, unknown), message);
  await assert.rejects(api.unary(stopJob, { uuid: unknown }), message);
  await assert.rejects(api.unary(deleteJob, { uuid: unknown }), message);
  await assert.rejects(api.unary(waitJob, { uuid: unknown }), message);
  await assert.rejects(output(api, { uuid: unknown }), message);
});

test('a stopped job may tidy up within its grace time (S4-13)', { skip }, async () => {
  const uuid = await start(
    api,
    shell(waiting('trap "echo tidy; exit 3" TERM;'), { graceMs: 10_000n }),
  );
  await printed(api, uuid, 'ready');
  const stopped = await api.unary(stopJob, { uuid });
  assert.equal(stopped.status, 'STOPPED');
  assert.equal(stopped.reason, 'STOPPED');
  assert.notEqual(stopped.endTime, '');
  assert.equal((await ended(api, uuid)).stdout, 'ready\ntidy\n');
});

test('a job that ignores SIGTERM is killed after its grace time (S4-13, S4-14)', {
  skip,
}, async () => {
  const uuid = await start(api, shell(waiting('trap "" TERM;')));
  await printed(api, uuid, 'ready');
  const askedAt = performance.now();
  const stopped = await api.unary(stopJob, { uuid });
  const tookMs = performance.now() - askedAt;
  assert.equal(stopped.status, 'STOPPED');
  assert.equal(stopped.exitCode, -1);
  assert.ok(tookMs >= 95 && tookMs < 1000, `100 ms of grace took ${tookMs} ms`);
});

test('a second stop is a clear error (S4-31)', { skip }, async () => {
  const uuid = await start(api, IDLE);
  await api.unary(stopJob, { uuid });
  const message = new RegExp(`job is not running: ${uuid} \\(current status: STOPPED\\)`);
  await assert.rejects(api.unary(stopJob, { uuid }), message);
});

test('nothing of a stopped job survives: sessions, double forks, ignored signals', {
  skip,
}, async () => {
  const survivors = `
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
readable, writable = os.pipe()
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            os.write(writable, b'x')
            while True: signal.pause()
        os._exit(0)
for _ in range(5): os.read(readable, 1)
print('ready', flush=True)
while True: signal.pause()
`;
  const before = daemon.snapshot();
  const uuid = await start(api, python(survivors));
  await printed(api, uuid, 'ready');
  await api.unary(stopJob, { uuid });
  await daemon.keeperLeft(uuid);
  assert.deepEqual(daemon.snapshot().processes, before.processes);
});

test('what a job leaves behind ends with its command', { skip }, async () => {
  const before = daemon.snapshot();
  const { job } = await finish(api, shell('setsid sleep 600 & (setsid sleep 600 &) ; exit 0'));
  assert.equal(job.status, 'COMPLETED');
  await daemon.keeperLeft(job.uuid);
  assert.deepEqual(daemon.snapshot().processes, before.processes);
});

test('a scheduled job waits, and can be canceled before its time', { skip }, async () => {
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const answer = await api.unary(runJob, { ...IDLE, schedule });
  const uuid = answer.jobUuid;
  assert.equal(answer.status, 'SCHEDULED');
  assert.equal(Date.parse(answer.scheduledTime), Date.parse(schedule));
  const canceled = await api.unary(cancelJob, { uuid });
  assert.equal(canceled.status, 'CANCELED');
  await assert.rejects(api.unary(cancelJob, { uuid }), /job is not scheduled/);
  const log = await output(api, { uuid });
  assert.equal(log.length, 0);
});

test('a scheduled job starts at its time', { skip }, async () => {
  const due = Date.now() + 1500;
  const answer = await api.unary(runJob, {
    command: '/bin/true',
    schedule: new Date(due).toISOString(),
  });
  const { job } = await ended(api, answer.jobUuid);
  assert.equal(job.status, 'COMPLETED');
  const lateMs = Date.parse(job.startTime) - due;
  assert.ok(lateMs >= -5 && lateMs < 1000, `it started ${lateMs} ms after its time`);
});

test('only an ended job can be deleted, and then it is gone with its log', { skip }, async () => {
  const uuid = await start(api, shell(waiting('')));
  await assert.rejects(api.unary(deleteJob, { uuid }), /stop the job first/);
  await api.unary(stopJob, { uuid, force: true });
  const deleted = await api.unary(deleteJob, { uuid });
  assert.ok(deleted.success);
  await assert.rejects(statusOf(api, uuid), /job not found/);
  assert.ok(!daemon.snapshot().files.some((file) => file.includes(uuid)));
});

test('many readers of one job get the same bytes, whenever they come (S4-17)', {
  skip,
}, async () => {
  const script = `
import os, sys
for line in range(2000):
    os.write(1 + line % 2, b'%d ' % line + os.urandom(50) + b'\\n')
print('half', flush=True)
sys.stdin.read()
for line in range(2000): os.write(1 + line % 2, b'%d ' % line + os.urandom(50) + b'\\n')
`;
  const uuid = await start(api, python(script, { stdin: true }));
  const early = [output(api, { uuid }), output(api, { uuid })];
  await printed(api, uuid, 'half');
  const late = output(api, { uuid });
  await api.clientStream(sendJobInput, [{ uuid, end: true }]);
  await api.unary(waitJob, { uuid });
  const afterwards = await output(api, { uuid });
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  for (const reader of [...early, late]) {
    assert.equal(digest(await reader), digest(afterwards));
  }
  assert.equal(afterwards.toString('latin1').split('\n').length > 4000, true);
});

test('a reader resumes from a position, to the byte', { skip }, async () => {
  const { job } = await finish(api, shell('seq 1 20000; printf "no newline"'));
  const whole = await output(api, { uuid: job.uuid });
  assert.equal(BigInt(whole.length), job.logBytes);
  for (const position of [0, 1, 4711, 65_536, whole.length - 1, whole.length]) {
    const rest = await output(api, { uuid: job.uuid, position: BigInt(position) });
    assert.ok(rest.equals(whole.subarray(position)), `from ${position}`);
  }
  const pieces: Buffer[] = [];
  for await (const chunk of api.serverStream(getJobLogs, { uuid: job.uuid })) {
    assert.equal(chunk.position, BigInt(Buffer.concat(pieces).length));
    pieces.push(Buffer.from(chunk.payload));
  }
});

test('the last lines of a log can be asked for', { skip }, async () => {
  const { job } = await finish(api, shell('seq 1 1000'));
  const tail = await output(api, { uuid: job.uuid, tailLines: 3 });
  assert.equal(tail.toString(), '998\n999\n1000\n');
});

test('standard input reaches the job as it comes, and its end too', { skip }, async () => {
  const uuid = await start(api, { command: '/usr/bin/cat', stdin: true });
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('one\n') }]);
  await printed(api, uuid, 'one');
  const bulk = randomBytes(3 * MB);
  const answer = await api.clientStream(sendJobInput, [
    { uuid, data: bulk.subarray(0, MB) },
    { data: bulk.subarray(MB) },
    { end: true },
  ]);
  assert.equal(answer.acceptedBytes, BigInt(bulk.length));
  await api.unary(waitJob, { uuid });
  const whole = await output(api, { uuid });
  assert.ok(whole.equals(Buffer.concat([Buffer.from('one\n'), bulk])));
});

test('a job that was started without standard input reads its end at once', { skip }, async () => {
  const { job, stdout } = await finish(api, { command: '/usr/bin/cat' });
  assert.equal(job.status, 'COMPLETED');
  assert.equal(stdout, '');
});

test('uploaded files stand in the work directory with their bits (S0-12)', { skip }, async () => {
  const uploads = [
    { path: 'run.sh', mode: 0o755, content: Buffer.from('#!/bin/sh\ncat data/value\n') },
    { path: 'data', mode: 0, isDirectory: true },
    { path: 'data/value', mode: 0o600, content: Buffer.from('42\n') },
  ];
  const run = await finish(api, { command: './run.sh', uploads });
  assert.equal(run.stdout, '42\n', run.job.message);
  assert.deepEqual(run.job.uploads, ['run.sh', 'data', 'data/value']);
  const look = await finish(api, {
    ...shell(
      'stat -c "%a %u %g %n" run.sh data data/value; echo new >> data/value && cat data/value',
    ),
    uploads,
  });
  assert.equal(
    look.stdout,
    '755 0 0 run.sh\n755 0 0 data\n600 0 0 data/value\n42\nnew\n',
    look.stderr,
  );
});

test('uploads with bad paths are refused, all at once, and nothing is created', {
  skip,
}, async () => {
  const before = await api.unary(queryJobs, { limit: 1 });
  const content = Buffer.from('x');
  const bad = ['../up', '/etc/passwd', 'a//b', 'a/../b', '', 'nul\0'];
  await assert.rejects(
    api.unary(runJob, { ...IDLE, uploads: bad.map((path) => ({ path, mode: 0, content })) }),
    (error: Error) => {
      for (const at of bad.keys()) assert.ok(error.message.includes(`uploads[${at}]`), String(at));
      return true;
    },
  );
  assert.deepEqual(await api.unary(queryJobs, { limit: 1 }), before);
  for (const path of ['../up', '/etc/passwd']) {
    await assert.rejects(upload(api, [{ path, mode: 0, content }]));
  }
});

test('calls go on beside uploads that are on their way', { skip }, async () => {
  const uploads = [{ path: 'big', mode: 0, content: Buffer.alloc(12 << 20) }];
  const big = ['one', 'two'].map((name) =>
    finish(api, shell('wc -c <big', { name, uploads, maxMemory: 64 })),
  );
  let isOver = false;
  const both = Promise.all(big).finally(() => {
    isOver = true;
  });
  while (!isOver) await api.unary(queryJobs, {});
  const [one, two] = await both;
  assert.deepEqual([one?.stdout, two?.stdout], [`${12 << 20}\n`, `${12 << 20}\n`]);
});

test('a big upload is streamed ahead of its job and lies on disk', { skip }, async () => {
  const content = randomBytes(40 * MB);
  const uploadId = await upload(api, [
    { path: 'big', mode: 0, content },
    { path: 'tool', mode: 0o755, content: Buffer.from('#!/bin/sh\nsha256sum < big\n') },
  ]);
  const before = daemon.snapshot();
  const { stdout, job, stderr } = await finish(api, { command: './tool', uploadId });
  assert.equal(job.status, 'COMPLETED', stderr + job.message);
  assert.equal(stdout.split(' ')[0], createHash('sha256').update(content).digest('hex'));
  assert.deepEqual(daemon.snapshot().mounts, before.mounts);
  await assert.rejects(api.unary(runJob, { ...IDLE, uploadId }), /upload not found/);
});

test('everything wrong with a request is said at once (S4-33)', { skip }, async () => {
  const before = await api.unary(queryJobs, { limit: 1 });
  await assert.rejects(
    api.unary(runJob, {
      command: '',
      maxCpu: -1,
      maxMemory: 1 << 30,
      cpuCores: 'x',
      schedule: 'soon',
    }),
    (error: Error) => {
      for (const field of ['command', 'max_cpu', 'cpu_cores', 'schedule']) {
        assert.ok(error.message.includes(field), `${field} is not in ${error.message}`);
      }
      assert.match(error.message, /maxMemory exceeds system limits/);
      return true;
    },
  );
  assert.deepEqual(await api.unary(queryJobs, { limit: 1 }), before);
});

test('delete-all takes the ended jobs and leaves the others', { skip }, async () => {
  const running = await start(api, IDLE);
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const scheduled = await start(api, { ...IDLE, schedule });
  const answer = await api.unary(deleteAllJobs, {});
  assert.ok(answer.success);
  assert.ok(answer.deletedCount > 0);
  assert.equal(answer.skippedCount, 2);
  const left = await api.unary(queryJobs, {});
  assert.deepEqual(new Set(ids(left.jobs)), new Set([running, scheduled]));
  await api.unary(stopJob, { uuid: running, force: true });
  await api.unary(cancelJob, { uuid: scheduled });
});
