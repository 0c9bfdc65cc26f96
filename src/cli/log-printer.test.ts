import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogChunk } from '../client/messages.ts';
import { chunk, CHUNK_TIME as TIME } from './log-chunk-fake.ts';
import { LogPrinter, type LogStyle } from './log-printer.ts';
import { fakeOutput } from './output-fake.ts';

const style: LogStyle = { raw: false, json: false };

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

test('for programs each piece is a line of JSON, with characters whole', async () => {
  const euro = Buffer.from('€');
  const chunks = [
    chunk(Buffer.concat([Buffer.from('a'), euro.subarray(0, 1)])),
    chunk('err', { stream: 'stderr', position: 2n }),
    chunk(euro.subarray(1), { position: 5n }),
  ];
  const { out } = await printed(chunks, { json: true });
  const lines = out
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines, [
    { timestamp: TIME, position: 0, next: 1, stream: 'stdout', data: 'a' },
    { timestamp: TIME, position: 2, next: 1, stream: 'stderr', data: 'err' },
    { timestamp: TIME, position: 1, next: 7, stream: 'stdout', data: '€' },
  ]);
});

test('whoever goes on where a piece says gets each character, however the output was cut', async () => {
  const texts = fc.string({ unit: 'binary' }).map((text) => Buffer.from(text));
  const outputs = fc.oneof(
    texts,
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(outputs, fc.integer({ min: 1, max: 5 }), async (output, pieceBytes) => {
      const told = async (from: number) => {
        const pieces: LogChunk[] = [];
        for (let at = from; at < output.length; at += pieceBytes) {
          const payload = output.subarray(at, at + pieceBytes);
          pieces.push(chunk(payload, { position: BigInt(at) }));
        }
        const { out } = await printed(pieces, { json: true });
        const lines = out.toString().split('\n').slice(0, -1);
        return lines.map((line) => JSON.parse(line) as { next: number; data: string });
      };
      const all = await told(0);
      for (const [at, { next }] of all.entries()) {
        const [before, behind] = [all.slice(0, at + 1), await told(next)];
        assert.equal(textOf([...before, ...behind]), textOf(all));
      }
    }),
    { numRuns: 50 },
  );
});

function textOf(lines: readonly { readonly data: string }[]): string {
  return lines.map(({ data }) => data).join('');
}

test('output that was lost is mentioned beside the output', async () => {
  const gap = chunk('', { stream: 'gap', droppedBytes: 42n, gapReason: 'ENOSPC' });
  const { out, err } = await printed([chunk('a\n'), gap, chunk('b\n')], {});
  assert.equal(out.toString(), 'a\nb\n');
  assert.equal(err, 'rnx: 42 bytes of output are missing here (ENOSPC)\n');
});

test('lines that were left out between others show as a rule', async () => {
  const out = fakeOutput({});
  const printer = new LogPrinter(out, out, style);
  await printer.print(chunk('one\n'));
  await printer.print(chunk('nine\n', { apart: true }));
  assert.equal(out.text(), 'one\n--\nnine\n');
});
