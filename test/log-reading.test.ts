// Parts of a log: by time, by what stands in its lines, of several jobs at once; by the API and by rnx.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { LogRequest } from '../src/client/messages.ts';
import { getJobLogs, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, output, printed, shell, start } from './job-calls.ts';
import { runRnx } from './rnx.ts';

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  // Small segments: a log is many files.
  daemon = await startDaemon({ logs: { segmentBytes: 64 * 1024 } });
});

after(async () => {
  await daemon?.stop();
});

const admin = () => daemon.as('admin');

async function lines(uuid: string, more: LogRequest): Promise<string[]> {
  const all = await output(daemon.as('viewer'), { uuid, ...more });
  return all.toString().split('\n').slice(0, -1);
}

const rnx = (...args: string[]) => runRnx(daemon, 'viewer', ...args);

test('lines are found by a regular expression on the node, in a log of many files (S2-13)', {
  skip,
}, async () => {
  const { job } = await finish(admin(), shell('seq 1 40000'));
  const found = await lines(job.uuid, { filter: '^1?99[0-9]{2}$' });
  const expected = Array.from({ length: 40_000 }, (_, at) => String(at + 1)).filter((line) =>
    /^1?99[0-9]{2}$/.test(line),
  );
  assert.deepEqual(found, expected);
  assert.deepEqual(await lines(job.uuid, { filter: '^20000$', linesBefore: 1, linesAfter: 2 }), [
    '19999',
    '20000',
    '20001',
    '20002',
  ]);
  assert.deepEqual(await lines(job.uuid, { tailLines: 3, filter: '[89]$' }), ['39998', '39999']);
  const { code, out } = await rnx('job', 'log', '--filter', '^5$|^9$', '-C', '1', job.uuid);
  assert.deepEqual([code, out], [0, '4\n5\n6\n--\n8\n9\n10\n']);
});

test('a follower with an expression gets what is found as it comes, and the end', {
  skip,
}, async () => {
  const script = 'echo no; echo yes 1; read line; echo yes 2; echo no';
  const uuid = await start(admin(), shell(`${script.replace('read line', 'sleep 0.5')}`));
  assert.equal((await output(admin(), { uuid, filter: 'yes' })).toString(), 'yes 1\nyes 2\n');
});

test('a log is read from one time to another', { skip }, async () => {
  const uuid = await start(admin(), shell('echo early; sleep 1; echo late; sleep 600'));
  await printed(admin(), uuid, 'late');
  const times = new Map<string, bigint>();
  for await (const { payload, timeNs } of admin().serverStream(getJobLogs, {
    uuid,
    noFollow: true,
  })) {
    times.set(Buffer.from(payload).toString(), timeNs);
  }
  const lateNs = times.get('late\n') ?? 0n;
  assert.deepEqual(await lines(uuid, { sinceNs: lateNs, noFollow: true }), ['late']);
  assert.deepEqual(await lines(uuid, { untilNs: lateNs }), ['early']);
  assert.deepEqual(await lines(uuid, { sinceNs: lateNs + 1n, noFollow: true }), []);
  // Up to a time that has not come a job is followed, and no longer.
  const soon = BigInt(Date.now() + 300) * 1_000_000n;
  assert.deepEqual(await lines(uuid, { untilNs: soon }), ['early', 'late']);
  const { out } = await rnx('job', 'log', '--since', '1h', '--follow=false', uuid);
  assert.equal(out, 'early\nlate\n');
  await admin().unary(stopJob, { uuid, force: true });
  await ended(admin(), uuid);
});

test('a time finds its place in a log of many files', { skip }, async () => {
  const uuid = await start(admin(), shell('seq 1 30000; sleep 0.3; echo middle; seq 1 30000'));
  await ended(admin(), uuid);
  let middleNs = 0n;
  const request = { uuid, noFollow: true, filter: 'middle' };
  for await (const { timeNs } of admin().serverStream(getJobLogs, request)) middleNs = timeNs;
  const found = await lines(uuid, { sinceNs: middleNs });
  assert.equal(found.length, 30_001);
  assert.equal(found[0], 'middle');
});

test('several jobs are shown side by side, each line with its job', { skip }, async () => {
  const jobs = await Promise.all(
    ['one', 'two'].map((word) => finish(admin(), shell(`echo ${word}; echo ${word} >&2`))),
  );
  const ids = jobs.map(({ job }) => job.uuid);
  const { code, out } = await rnx('job', 'log', ...ids);
  assert.equal(code, 0);
  const expected = ids.flatMap((id, at) => {
    const line = `${id.slice(0, 8)} | ${['one', 'two'][at]}`;
    return [line, line];
  });
  assert.deepEqual(out.trimEnd().split('\n').toSorted(), expected.toSorted());
});

test('rnx goes on at a position that its JSON has told; with times every line is whole', {
  skip,
}, async () => {
  const { job } = await finish(admin(), shell('echo one; printf two; echo warned >&2; sleep 0.1'));
  const told = await rnx('job', 'log', '--json', job.uuid);
  const [first = ''] = told.out.split('\n');
  const rest = await rnx('job', 'log', '--position', String(JSON.parse(first).next), job.uuid);
  assert.equal(rest.out, 'twowarned\n'.slice(JSON.parse(first).next - 4));
  const timed = await rnx('job', 'log', '--timestamps', job.uuid);
  assert.match(timed.out, /^\S+Z one\n\S+Z warned\n\S+Z two$/);
});

test('what makes no sense of times and expressions is refused, each by its field', {
  skip,
}, async () => {
  const { job } = await finish(admin(), shell('true'));
  const refused = (request: LogRequest) => lines(job.uuid, request);
  await assert.rejects(refused({ filter: '(a' }), /filter: is no regular expression: .*missing/);
  await assert.rejects(refused({ filter: 'a{1000}{1000}' }), /filter/);
  await assert.rejects(refused({ linesBefore: 3 }), /lines_before: goes with filter/);
  await assert.rejects(refused({ filter: 'a', linesAfter: 101 }), /lines_after: is at most 100/);
  await assert.rejects(refused({ sinceNs: 5n, untilNs: 4n }), /until_ns: lies before since_ns/);
  const { code, err } = await rnx('job', 'log', '--context', '2', job.uuid);
  assert.deepEqual([code, err.includes('--context: goes with --filter')], [1, true]);
  const backwards = await rnx('job', 'log', '--since', '1m', '--until', '5m', job.uuid);
  assert.match(backwards.err, /--until: lies before --since/);
});

test('readers of many logs at once, slow, in parts or cut off, get the bytes of their job and of no other', {
  skip,
}, async () => {
  const letters = ['a', 'b', 'c', 'd', 'e', 'f'];
  const bytes = 4_000_000;
  const script = (letter: string) => `head -c ${bytes} /dev/zero | tr '\\0' ${letter}; read line`;
  const uuids = await Promise.all(
    letters.map((letter) => start(admin(), shell(script(letter), { stdin: true }))),
  );
  const read = async (number: number, reader: number): Promise<void> => {
    const [uuid = '', letter = ''] = [uuids[number], letters[number]];
    // By entries, and joined.
    const wish = { uuid, ...(reader % 2 === 0 ? {} : { streams: ['stdout'] }) };
    const leaving = new AbortController();
    const api = daemon.as(reader < 3 ? 'admin' : 'viewer');
    let got = 0;
    const chunks = api.serverStream(getJobLogs, wish, { signal: leaving.signal });
    for await (const { payload } of chunks) {
      const text = Buffer.from(payload).toString();
      assert.equal(text, letter.repeat(text.length), `reader ${reader} of ${letter}`);
      got += payload.length;
      // One is cut off in the midst of it, and one takes its time.
      if (reader === 2 && got > bytes / 3) return leaving.abort();
      if (reader === 4) await new Promise((resolve) => setImmediate(resolve));
      if (got === bytes) break;
    }
    assert.equal(got, bytes);
  };
  const readers = letters.flatMap((_, number) =>
    [0, 1, 2, 3, 4].map((reader) => read(number, reader)),
  );
  await Promise.all(readers);
  for (const uuid of uuids) await admin().unary(stopJob, { uuid, force: true });
});
