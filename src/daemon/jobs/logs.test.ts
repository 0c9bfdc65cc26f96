import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { carriesOutput, formatHeader, type StreamName } from '../../shared/log-record.ts';
import { Bells } from './bells.ts';
import { type LogQuery, Logs } from './logs.ts';

type Written = readonly [StreamName, string];

function record(stream: StreamName, position: number, payload: string): Buffer {
  const bytes = Buffer.from(payload);
  const header = formatHeader({ stream, timeNs: 1n, position, length: bytes.length });
  return Buffer.concat([header, bytes]);
}

/** Writes records into segments of at most `perSegment` records; returns the log's directory. */
function write(
  directory: string,
  id: string,
  records: readonly Written[],
  perSegment: number,
): void {
  const own = path.join(directory, id);
  mkdirSync(own, { recursive: true });
  let position = 0;
  let file = '';
  for (const [index, [stream, payload]] of records.entries()) {
    if (index % perSegment === 0 || file === '') {
      // A segment is named by its first output byte, so one without output shares its name.
      file = path.join(own, `${String(position).padStart(20, '0')}.log`);
    }
    appendFileSync(file, record(stream, position, payload));
    if (carriesOutput(stream)) position += Buffer.byteLength(payload);
  }
}

async function text(logs: Logs, id: string, query: Partial<LogQuery>): Promise<string> {
  const all: LogQuery = {
    position: 0,
    follow: false,
    streams: new Set(),
    tailLines: 0,
    sinceNs: 0n,
    untilNs: 0n,
    signal: new AbortController().signal,
    ...query,
  };
  let out = '';
  for await (const entry of logs.read({ id }, all)) {
    out +=
      entry.stream === 'gap'
        ? `<${entry.droppedBytes} ${entry.reason}>`
        : String(Buffer.from(entry.data));
  }
  return out;
}

/** `kept` is what the jobs' rows say of the length of their logs. */
function makeLogs(t: TestContext, kept = 0): { logs: Logs; directory: string } {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-logs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const bells = new Bells((id) => ({ socket: `joblet-no-keeper/${id}`, proof: '' }));
  return {
    logs: new Logs(directory, bells, {
      isOver: () => true,
      keptBytes: () => kept,
      droppedBytes: () => 0,
      removalOf: () => undefined,
    }),
    directory,
  };
}

const END: Written = ['end', 'how=exited\0code=0\0'];

test('a log is read whole, in the order of arrival, from any position', async (t) => {
  const { logs, directory } = makeLogs(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(
          fc.constantFrom<StreamName>('stdout', 'stderr'),
          fc.string({ minLength: 1, unit: 'grapheme-ascii' }),
        ),
        { minLength: 1, maxLength: 20 },
      ),
      fc.integer({ min: 1, max: 5 }),
      fc.nat({ max: 60 }),
      async (records, perSegment, position) => {
        const id = `job${run++}`;
        write(directory, id, [...records, END], perSegment);
        const whole = records.map(([, payload]) => payload).join('');
        assert.equal(await text(logs, id, {}), whole);
        assert.equal(await text(logs, id, { position }), whole.slice(position));
        const { end, bytes } = await logs.findEnd(id);
        assert.deepEqual([end?.code, bytes], [0, whole.length]);
      },
    ),
    { numRuns: 40 },
  );
});

test('streams can be read apart, and a gap says what was lost', async (t) => {
  const { logs, directory } = makeLogs(t);
  write(
    directory,
    'j',
    [['stdout', 'a'], ['stderr', 'b'], ['gap', 'bytes=7\0reason=quota\0'], ['stdout', 'c'], END],
    9,
  );
  assert.equal(await text(logs, 'j', { streams: new Set(['stderr']) }), 'b<7 quota>');
  assert.equal(await text(logs, 'j', {}), 'ab<7 quota>c');
});

test('a gap whose count is damaged is a gap still', async (t) => {
  const { logs, directory } = makeLogs(t);
  write(directory, 'j', [['stdout', 'a'], ['gap', 'bytes=x7\0reason=quota\0'], END], 9);
  assert.equal(await text(logs, 'j', {}), 'a<0 quota>');
});

test('the last lines are the last lines, however records cut them', async (t) => {
  const { logs, directory } = makeLogs(t);
  write(directory, 'j', [['stdout', 'one\ntw'], ['stdout', 'o\nthr'], ['stdout', 'ee\n'], END], 2);
  assert.equal(await text(logs, 'j', { tailLines: 1 }), 'three\n');
  assert.equal(await text(logs, 'j', { tailLines: 2 }), 'two\nthree\n');
  assert.equal(await text(logs, 'j', { tailLines: 9 }), 'one\ntwo\nthree\n');
});

test('a torn tail ends the log; what stands before it holds', async (t) => {
  const { logs, directory } = makeLogs(t);
  write(directory, 'j', [['stdout', 'whole']], 9);
  const file = path.join(directory, 'j', `${'0'.repeat(20)}.log`);
  appendFileSync(file, record('stdout', 5, 'torn away').subarray(0, 36));
  assert.equal(await text(logs, 'j', {}), 'whole');
  writeFileSync(path.join(directory, 'j', 'notes.txt'), 'not a segment');
  assert.equal(await text(logs, 'j', {}), 'whole');
});

test('what a crash of the machine took from a log shows as a gap', async (t) => {
  const { logs, directory } = makeLogs(t, 12);
  write(
    directory,
    'j',
    [
      ['stdout', 'one '],
      ['stdout', 'two '],
      ['stdout', 'end.'],
    ],
    1,
  );
  assert.equal(await text(logs, 'j', {}), 'one two end.');
  rmSync(path.join(directory, 'j', '00000000000000000004.log'));
  assert.equal(await text(logs, 'j', {}), 'one <4 lost>end.');
  rmSync(path.join(directory, 'j', '00000000000000000008.log'));
  assert.equal(await text(logs, 'j', { position: 2 }), 'e <8 lost>');
  rmSync(path.join(directory, 'j'), { recursive: true });
  assert.equal(await text(logs, 'j', {}), '<12 lost>');
});

test('a job that wrote nothing has an empty log', async (t) => {
  const { logs } = makeLogs(t);
  assert.equal(await text(logs, 'nothing', { follow: true }), '');
  assert.deepEqual(await logs.findEnd('nothing'), { end: undefined, bytes: 0 });
});

test('a reader who is still reading when the job ends gets the rest, and then the end', async (t) => {
  const { directory } = makeLogs(t);
  const bells = new Bells((id) => ({ socket: `joblet-no-keeper/${id}`, proof: '' }));
  let over = false;
  const logs = new Logs(directory, bells, {
    isOver: () => over,
    keptBytes: () => 0,
    droppedBytes: () => 0,
    removalOf: () => undefined,
  });
  write(directory, 'job', [['stdout', 'first']], 1);
  const query: LogQuery = {
    position: 0,
    follow: true,
    streams: new Set(),
    tailLines: 0,
    sinceNs: 0n,
    untilNs: 0n,
    signal: new AbortController().signal,
  };
  let out = '';
  for await (const entry of logs.read({ id: 'job' }, query)) {
    out += String(Buffer.from(entry.data));
    if (over) continue;
    // The next segment and the end come while the first is being read; the keeper is gone by then.
    const rest = Buffer.concat([record('stdout', 5, 'second'), record(END[0], 11, END[1])]);
    writeFileSync(path.join(directory, 'job', `${'5'.padStart(20, '0')}.log`), rest);
    over = true;
    bells.end('job');
  }
  assert.equal(out, 'firstsecond');
});
