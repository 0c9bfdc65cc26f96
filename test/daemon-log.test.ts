// The daemon's own log: what it says of what, how loud, and where to (S4-48, S4-65).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, watch, writeFileSync } from 'node:fs';
import { connect as openTcp } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { generated } from '../src/client/generated.ts';
import { deleteJob, getServerVersion, runJob } from '../src/client/methods.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, printed, shell, start } from './job-calls.ts';

const skip = cannotRun();
const getJobMetrics = generated(JobService.method.getJobMetrics);
const LINE = /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\] \[(DEBUG|INFO|WARN|ERROR)\] [^|]+( \| \S+=.*)?$/;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    grpc: { connectionTimeout: '200ms' },
    logs: { quotaBytes: 64 * 1024 },
  });
});

after(async () => {
  await daemon?.stop();
});

/** What the log says of a job, without times, once it has said that. */
async function linesOf(uuid: string, last: RegExp): Promise<string[]> {
  const pattern = new RegExp(`${last.source}.*${uuid}`);
  if (!pattern.test(daemon.log())) await daemon.logged(pattern);
  return daemon
    .log()
    .split('\n')
    .filter((line) => line.includes(uuid))
    .map((line) => line.replace(/^\[.*?\] /, ''));
}

test('each state of a job is one line with its id, and what went against a limit is a warning', {
  skip,
}, async () => {
  const api = daemon.as('admin');
  const well = await finish(api, shell('true'));
  await api.unary(deleteJob, { uuid: well.job.uuid });
  const lines = await linesOf(well.job.uuid, /job deleted/);
  assert.deepEqual(
    lines.map((line) => line.split(' | ')[0]),
    ['[INFO] job INITIALIZING', '[INFO] job RUNNING', '[INFO] job COMPLETED', '[INFO] job deleted'],
  );
  const late = await finish(api, shell('exec sleep 1000', { timeoutMs: 100n }));
  const ofLate = await linesOf(late.job.uuid, /job STOPPED/);
  assert.match(ofLate.at(-1) ?? '', /^\[WARN\] job STOPPED .*TIMEOUT/);
  const big = await finish(api, shell('exec tail /dev/zero', { maxMemory: 16 }));
  const ofBig = await linesOf(big.job.uuid, /job FAILED/);
  assert.match(ofBig.at(-1) ?? '', /^\[WARN\] job FAILED .*OOM_KILLED/);
  const loud = await finish(api, shell('head -c 100000 /dev/zero'));
  const ofLoud = await linesOf(loud.job.uuid, /dropped/);
  assert.match(
    ofLoud.at(-1) ?? '',
    /^\[WARN\] output of a job was dropped \| jobId=\S+ bytes=\d+$/,
  );
  const many = '(for at in 1 2 3 4 5 6; do sleep 600 & done); echo full; exec sleep 600';
  const crowd = await start(api, shell(many, { maxProcesses: 5 }));
  await printed(api, crowd, 'full\n');
  // Samples are taken now and then, and when somebody asks.
  await api.serverStream(getJobMetrics, { jobUuid: crowd })[Symbol.asyncIterator]().next();
  const ofCrowd = await linesOf(crowd, /more processes/);
  assert.match(
    ofCrowd.at(-1) ?? '',
    /^\[WARN\] a job was kept from having more processes .*hits=\d/,
  );
});

test('a client that is too slow is a warning, and one that asks for nonsense is not', {
  skip,
}, async () => {
  const warned = daemon.logged(/\[WARN\] call failed .*kind=exhausted .*its handshake took longer/);
  const socket = openTcp(daemon.port, '127.0.0.1');
  socket.on('error', () => {});
  await warned;
  socket.destroy();
  const told = daemon.logged(/\[INFO\] call failed .*kind=invalid/);
  await assert.rejects(daemon.as('developer').unary(runJob, { command: '' }));
  await told;
});

test('nothing that a client or a job says makes a line of the log, or another of one (S4-45)', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const forged = '\n[2026-01-01T00:00:00Z] [ERROR] forged | a=b\r\u001b[31m\u2028x';
  await finish(api, shell(`printf '%s' "${forged}" >&2; exit 1`));
  await finish(api, { command: forged }).catch(() => {});
  const requests = [
    { name: forged },
    { network: forged },
    { runtime: forged },
    { workDir: forged },
    { environment: { [forged]: forged } },
  ];
  for (const more of requests) {
    await api.unary(runJob, shell('true', more as object)).catch(() => {});
  }
  const told = daemon.logged(/kind=invalid .*command/);
  await assert.rejects(api.unary(runJob, { command: '' }));
  await told;
  const lines = daemon.log().trimEnd().split('\n');
  for (const line of lines) assert.match(line, LINE);
  assert.equal(lines.filter((line) => line.startsWith('[2026-01-01')).length, 0);
  for (const control of ['\r', '\u001b', '\u2028']) {
    assert.ok(!daemon.log().includes(control), JSON.stringify(control));
  }
});

test('level, form and place of the log count as soon as the file is changed, and SIGHUP opens it anew', {
  skip,
}, async () => {
  const config = path.join(daemon.directory, 'joblet-config.yml');
  const output = path.join(daemon.directory, 'daemon.log');
  const rest = parse(readFileSync(config, 'utf8'));
  /** Resolves when the file says so. */
  const says = async (text: string) => {
    const watcher = watch(daemon.directory);
    // Looked at behind the begin of the watch, so that nothing is missed.
    while (!existsSync(output) || !readFileSync(output, 'utf8').includes(text)) {
      await once(watcher, 'change');
    }
    watcher.close();
  };
  const moved = says('was read again');
  const logging = { level: 'DEBUG', format: 'json', output };
  writeFileSync(config, JSON.stringify({ ...rest, logging }), { mode: 0o600 });
  await moved;
  await daemon.as('viewer').unary(getServerVersion, {});
  const found = readFileSync(output, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const call = found.find(({ message }) => message === 'call');
  assert.deepEqual([call.level, call.who], ['DEBUG', 'test-viewer']);
  assert.doesNotMatch(daemon.log(), /\[DEBUG\]/);

  renameSync(output, `${output}.1`);
  const anew = says('was read again');
  process.kill(daemon.pid, 'SIGHUP');
  await anew;
  await daemon.as('viewer').unary(getServerVersion, {});
  assert.match(readFileSync(output, 'utf8'), /"call"/);

  const failed = says('could not be read again');
  writeFileSync(config, JSON.stringify({ ...rest, logging: { output: '/no/such/place' } }));
  await failed;
  for (const line of readFileSync(output, 'utf8').trimEnd().split('\n')) JSON.parse(line);
});

test('with JSON every line is JSON, from the first one on', { skip }, async () => {
  const other = await startDaemon({ logging: { format: 'json' } });
  await other.stop();
  const lines = other.log().trimEnd().split('\n');
  const messages = lines.map((line) => JSON.parse(line).message);
  assert.ok(messages.some((message) => message.startsWith('joblet is listening on ')));
  assert.ok(messages.some((message) => message.startsWith('stopping')));
});
