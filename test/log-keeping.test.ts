// What becomes of logs behind the jobs: they are sealed, and removed when there is too much of them; a
// reader sees nothing of the first, and is told of the second.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { LogRequest } from '../src/client/messages.ts';
import { deleteJob, getJobLogs, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, output, printed, shell, start } from './job-calls.ts';
import { runRnx } from './rnx.ts';

const skip = cannotRun();
const SEGMENT_BYTES = 64 * 1024;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ logs: { segmentBytes: SEGMENT_BYTES, sealAfter: '100ms' } });
});

after(async () => {
  await daemon?.stop();
});

const admin = () => daemon.as('admin');
const directoryOf = (of: Daemon, uuid: string) => path.join(of.directory, 'logs', uuid);

/** Resolves when the names in a log's directory are as they should be. */
async function names(directory: string, are: (names: string[]) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (existsSync(directory) && are(readdirSync(directory))) resolve();
  };
  const watcher = watch(directory, look);
  look();
  await promise;
  watcher.close();
}

/** What a log holds for several questions. */
async function answers(uuid: string, sinceNs: bigint): Promise<string[]> {
  const requests: LogRequest[] = [
    {},
    { position: 100_000n },
    { tailLines: 1000 },
    { tailLines: 7, streams: ['stderr'] },
    { streams: ['stderr'] },
    { sinceNs },
    { untilNs: sinceNs },
    { filter: '77$', linesAfter: 1 },
  ];
  const all: string[] = [];
  for (const request of requests) {
    all.push((await output(admin(), { uuid, noFollow: true, ...request })).toString('base64'));
  }
  return all;
}

test('the log of an ended job is sealed, takes less room, and answers as before', {
  skip,
}, async () => {
  const script = 'seq 1 20000; seq 1 3000 >&2; sleep 0.1; echo middle; seq 1 20000 >&2; exit 5';
  const { job } = await finish(admin(), shell(script));
  assert.equal(job.exitCode, 5);
  let middleNs = 0n;
  for await (const { timeNs } of admin().serverStream(getJobLogs, {
    uuid: job.uuid,
    filter: 'middle',
  })) {
    middleNs = timeNs;
  }
  const before = await answers(job.uuid, middleNs);
  const directory = directoryOf(daemon, job.uuid);
  await names(directory, (all) => all.some((name) => name.endsWith('.zst')));
  await names(directory, (all) => all.filter((name) => name.endsWith('.log')).length <= 1);
  assert.deepEqual(await answers(job.uuid, middleNs), before);
  const bytes = readdirSync(directory).map((name) => statSync(path.join(directory, name)).size);
  const text = Buffer.from(before[0] ?? '', 'base64').length;
  assert.ok(bytes.reduce((sum, size) => sum + size) < text / 2);
});

test('a follower goes on over segments that are sealed before and behind it', {
  skip,
}, async () => {
  const script = 'i=0; while [ $i -lt 20 ]; do seq 1 9000; i=$((i + 1)); sleep 0.02; done';
  const uuid = await start(admin(), shell(`${script}; echo done; sleep 600`));
  const early = output(admin(), { uuid });
  await printed(admin(), uuid, 'done\n');
  const directory = directoryOf(daemon, uuid);
  await names(directory, (all) => all.filter((name) => !name.endsWith('.zst')).length === 1);
  const late = output(admin(), { uuid });
  await admin().unary(stopJob, { uuid, force: true });
  await ended(admin(), uuid);
  const lines = Array.from({ length: 9000 }, (_, at) => `${at + 1}\n`).join('');
  const whole = `${lines.repeat(20)}done\n`;
  for (const each of [await early, await late]) assert.ok(each.toString() === whole);
});

test('a daemon killed at any moment while it seals loses nothing, and the next one ends it', {
  skip,
}, async () => {
  const { job } = await finish(admin(), shell('seq 1 200000'));
  const directory = directoryOf(daemon, job.uuid);
  await names(directory, (all) => all.some((name) => name.endsWith('.new')));
  await daemon.kill();
  await daemon.restart();
  const text = (await output(admin(), { uuid: job.uuid })).toString();
  const whole = Array.from({ length: 200_000 }, (_, at) => `${at + 1}\n`).join('');
  assert.ok(text === whole);
  await names(directory, (all) => all.filter((name) => !name.endsWith('.zst')).length <= 1);
  assert.ok((await output(admin(), { uuid: job.uuid })).toString() === whole);
});

test('a short job leaves one small file, which stays as it is', { skip }, async () => {
  const { job } = await finish(admin(), shell('echo short'));
  const long = await finish(admin(), shell('seq 1 40000'));
  const directory = directoryOf(daemon, job.uuid);
  const before = readFileSync(path.join(directory, `${'0'.repeat(20)}.log`));
  await names(directoryOf(daemon, long.job.uuid), (all) =>
    all.some((name) => name.endsWith('.zst')),
  );
  assert.deepEqual(readdirSync(directory), [`${'0'.repeat(20)}.log`]);
  assert.ok(readFileSync(path.join(directory, `${'0'.repeat(20)}.log`)).equals(before));
});

test('when logs take too much room the oldest goes, no log of a running job does, and rnx says why', {
  skip,
}, async () => {
  const small = await startDaemon({
    logs: { segmentBytes: SEGMENT_BYTES, sealAfter: '100ms', retentionBytes: 128 * 1024 },
  });
  try {
    const api = small.as('admin');
    const noise = 'head -c 100000 /dev/urandom | base64 -w 0';
    const running = await start(api, shell(`${noise}; echo; echo there; sleep 600`));
    await printed(api, running, 'there\n');
    const removed = small.logged(/the output of an ended job is removed/);
    const { job: oldest } = await finish(api, shell(`${noise}; exit 3`));
    const { job: newest } = await finish(api, shell('echo kept'));
    await removed;
    const isEmpty = (all: string[]) => all.every((name) => !/\.(log|zst)$/.test(name));
    await names(directoryOf(small, oldest.uuid), isEmpty);
    const { code, out, err } = await runRnx(small, 'viewer', 'job', 'log', oldest.uuid);
    assert.deepEqual([code, out], [0, '']);
    assert.equal(
      err,
      'rnx: 133336 bytes of output are missing here (removed: logs may take 128 KB in all)\n',
    );
    const told = await runRnx(small, 'viewer', 'job', 'log', '--json', oldest.uuid);
    assert.ok(Date.parse(JSON.parse(told.out).timestamp) >= Date.parse(oldest.endTime));
    assert.equal((await output(api, { uuid: newest.uuid })).toString(), 'kept\n');
    assert.equal((await output(api, { uuid: running, noFollow: true })).length, 133_336 + 7);
    // The job itself is known as before, also to the next daemon.
    await small.end();
    await small.restart();
    const again = await ended(small.as('admin'), oldest.uuid);
    assert.equal(again.job.exitCode, 3);
    const { uuid } = newest;
    await small.as('admin').unary(deleteJob, { uuid });
    assert.equal(existsSync(directoryOf(small, uuid)), false);
  } finally {
    await small.stop();
  }
});

test('output is removed when its job ended long enough ago', { skip }, async () => {
  const short = await startDaemon({ logs: { retention: '1ms' } });
  try {
    const { job } = await finish(short.as('admin'), shell('echo soon forgotten; exit 4'));
    await short.end();
    await short.restart();
    const directory = directoryOf(short, job.uuid);
    await names(directory, (all) => all.length === 0);
    const { err } = await runRnx(short, 'viewer', 'job', 'log', job.uuid);
    assert.match(err, /15 bytes .* \(removed: it ended more than 1ms ago\)/);
    assert.equal((await ended(short.as('admin'), job.uuid)).job.exitCode, 4);
  } finally {
    await short.stop();
  }
});
