import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogChunk } from '../client/messages.ts';
import { LabelledLog, LogPrinter, type LogStyle } from './log-printer.ts';
import { fakeOutput } from './output-fake.ts';

const style: LogStyle = { raw: false, timestamps: false, json: false };

function chunk(payload: string | Buffer, more: Partial<LogChunk> = {}): LogChunk {
  return {
    payload: Buffer.from(payload as string),
    position: 0n,
    stream: 'stdout',
    timeNs: 1_763_712_000_123_456_789n,
    droppedBytes: 0n,
    gapReason: '',
    apart: false,
    ...more,
  };
}

async function printed(
  chunks: readonly LogChunk[],
  more: Partial<LogStyle>,
  terminal = false,
): Promise<{ out: Buffer; err: string }> {
  const out = fakeOutput({ terminal });
  const err = fakeOutput({ terminal });
  const printer = new LogPrinter(out, err, {
    ...style,
    ...more,
    stderr: more.stderr === undefined ? undefined : err,
  });
  for (const one of chunks) await printer.print(one);
  await printer.end();
  return { out: out.bytes(), err: err.text() };
}

const bytes = fc.array(
  fc.record({
    payload: fc.uint8Array().map((one) => Buffer.from(one)),
    stream: fc.constantFrom('stdout', 'stderr'),
  }),
);

test('into a pipe go the bytes, whatever they are, in their order', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, async (pieces) => {
      const { out } = await printed(
        pieces.map(({ payload, stream }) => chunk(payload, { stream })),
        {},
      );
      assert.deepEqual(out, Buffer.concat(pieces.map(({ payload }) => payload)));
    }),
  );
});

test('on a terminal nothing acts, unless the bytes are asked for', async () => {
  const evil = [chunk('\u001b]0;x\u0007a\r'), chunk('\nb')];
  assert.equal((await printed(evil, {}, true)).out.toString(), '^[]0;x^Ga\nb');
  assert.equal((await printed(evil, { raw: true }, true)).out.toString(), '\u001b]0;x\u0007a\r\nb');
});

test('standard error goes where it is told to go', async () => {
  const chunks = [chunk('out\n'), chunk('err\n', { stream: 'stderr' })];
  const merged = await printed(chunks, {});
  assert.deepEqual([merged.out.toString(), merged.err], ['out\nerr\n', '']);
  const apart = await printed(chunks, { stderr: fakeOutput({}) });
  assert.deepEqual([apart.out.toString(), apart.err], ['out\n', 'err\n']);
});

test('each line begins with its time, however it was cut', async () => {
  const time = '2025-11-21T08:00:00.123Z';
  const { out } = await printed([chunk('a\nb'), chunk('c\n'), chunk('d')], { timestamps: true });
  assert.equal(out.toString(), `${time} a\n${time} bc\n${time} d`);
});

test('times leave the bytes of each line as they are', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, async (pieces) => {
      const { out } = await printed(
        pieces.map(({ payload }) => chunk(payload)),
        { timestamps: true },
      );
      const without = out.toString('latin1').replaceAll(/(^|\n)2025-11-21T08:00:00\.123Z /g, '$1');
      assert.equal(without, Buffer.concat(pieces.map(({ payload }) => payload)).toString('latin1'));
    }),
  );
});

test('for programs each piece is a line of JSON, with characters whole', async () => {
  const euro = Buffer.from('€');
  const chunks = [
    chunk(Buffer.concat([Buffer.from('a'), euro.subarray(0, 1)])),
    chunk('err', { stream: 'stderr' }),
    chunk(euro.subarray(1)),
  ];
  const { out } = await printed(chunks, { json: true });
  const lines = out
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines, [
    { timestamp: '2025-11-21T08:00:00.123Z', stream: 'stdout', data: 'a' },
    { timestamp: '2025-11-21T08:00:00.123Z', stream: 'stderr', data: 'err' },
    { timestamp: '2025-11-21T08:00:00.123Z', stream: 'stdout', data: '€' },
  ]);
});

test('output that was lost is mentioned beside the output', async () => {
  const gap = chunk('', { stream: 'gap', droppedBytes: 42n, gapReason: 'ENOSPC' });
  const { out, err } = await printed([chunk('a\n'), gap, chunk('b\n')], {});
  assert.equal(out.toString(), 'a\nb\n');
  assert.equal(err, 'rnx: 42 bytes of output are missing here (ENOSPC)\n');
});

test('of several jobs each line says whose it is, however it came', async () => {
  const out = fakeOutput({});
  const style = { raw: false, timestamps: false, json: false, color: 0 };
  const first = new LabelledLog(out, out, { ...style, uuid: 'aaaa', label: 'aaaa' });
  const second = new LabelledLog(out, out, { ...style, uuid: 'bb', label: 'bb  ' });
  await first.print(chunk('one\ntw'));
  await second.print(chunk(Buffer.from([0xff, 0x0a])));
  await first.print(chunk('o\nthree'));
  await first.end();
  await second.end();
  assert.deepEqual(
    out.bytes(),
    Buffer.concat([
      Buffer.from('aaaa | one\nbb   | '),
      Buffer.from([0xff, 0x0a]),
      Buffer.from('aaaa | two\naaaa | three\n'),
    ]),
  );
});

test('labels have colours where colours are wanted, and jobs have none of ours', async () => {
  const out = fakeOutput({ terminal: true, color: true });
  const style = { raw: false, timestamps: false, json: false, color: 1 };
  const log = new LabelledLog(out, out, { ...style, uuid: 'aaaa', label: 'aaaa' });
  await log.print(chunk('\u001b[31mred\n'));
  await log.end();
  assert.equal(out.text(), '\u001b[33maaaa |\u001b[0m ^[[31mred\n');
});

test('lines that were left out between others show as a rule', async () => {
  const out = fakeOutput({});
  const printer = new LogPrinter(out, out, style);
  await printer.print(chunk('one\n'));
  await printer.print(chunk('nine\n', { apart: true }));
  assert.equal(out.text(), 'one\n--\nnine\n');
});
