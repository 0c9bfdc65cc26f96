import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogChunk } from '../client/messages.ts';
import { LabelledLog, type LabelStyle, Page } from './labelled-log.ts';
import { chunk, CHUNK_TIME as TIME } from './log-chunk-fake.ts';
import { fakeOutput } from './output-fake.ts';

const style: LabelStyle = {
  raw: false,
  json: false,
  timestamps: false,
  uuid: 'aaaa',
  label: '',
  color: 0,
};

const err = (payload: string) => chunk(payload, { stream: 'stderr' });
const gap = chunk('', { stream: 'gap', droppedBytes: 42n, gapReason: 'ENOSPC' });

/** What is printed of the only job, with times. */
async function timed(chunks: readonly LogChunk[]): Promise<{ out: Buffer; err: string }> {
  const [out, said] = [fakeOutput({}), fakeOutput({})];
  const log = new LabelledLog(new Page(out), said, { ...style, timestamps: true });
  for (const one of chunks) await log.print(one);
  await log.end();
  return { out: out.bytes(), err: said.text() };
}

test('each line begins with its time, however it was cut', async () => {
  const { out } = await timed([chunk('a\nb'), chunk('c\n'), chunk('d')]);
  assert.equal(out.toString(), `${TIME} a\n${TIME} bc\n${TIME} d`);
});

test('times leave the bytes of each line as they are', async () => {
  const pieces = fc.array(fc.uint8Array().map((one) => Buffer.from(one)));
  await fc.assert(
    fc.asyncProperty(pieces, async (all) => {
      const { out } = await timed(all.map((payload) => chunk(payload)));
      const without = out.toString('latin1').replaceAll(/(^|\n)2025-11-21T08:00:00\.123Z /g, '$1');
      assert.equal(without, Buffer.concat(all).toString('latin1'));
    }),
  );
});

test('a line stays whole when the other stream writes within it', async () => {
  const chunks = [chunk('foo'), err('bar\n'), chunk('baz\ntail'), err('end')];
  const { out } = await timed(chunks);
  const lines = ['bar', 'foobaz', 'tail', 'end'].map((line) => `${TIME} ${line}`);
  assert.equal(out.toString(), lines.join('\n'));
});

test('a line without an end is printed all the same, and nothing else gets into it', async () => {
  const long = 'x'.repeat(40_000);
  const { out } = await timed([chunk(long), chunk(long), chunk('y'), err('e\n'), chunk('z\n')]);
  assert.equal(out.toString(), `${TIME} ${long}${long}\n${TIME} e\n${TIME} yz\n`);
});

test('what was lost is said where it is missing, and no line goes on behind it', async () => {
  const { out, err: said } = await timed([chunk('a'), gap, chunk('b\n')]);
  assert.equal(out.toString(), `${TIME} a\n${TIME} b\n`);
  assert.equal(said, 'rnx: 42 bytes of output are missing here (ENOSPC)\n');
});

test('of several jobs each line says whose it is, however it came', async () => {
  const out = fakeOutput({});
  const page = new Page(out);
  const first = new LabelledLog(page, out, { ...style, label: 'aaaa' });
  const second = new LabelledLog(page, out, { ...style, uuid: 'bb', label: 'bb  ' });
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
  const log = new LabelledLog(new Page(out), out, { ...style, label: 'aaaa', color: 1 });
  await log.print(chunk('\u001b[31mred\n'));
  await log.end();
  assert.equal(out.text(), '\u001b[33maaaa |\u001b[0m ^[[31mred\n');
});

test('where there is no room for a line at once, no other one gets into it', async () => {
  const written: string[] = [];
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const slow = {
    ...fakeOutput({}),
    async write(data: string | Uint8Array) {
      for (const byte of Buffer.from(data as string)) {
        written.push(String.fromCharCode(byte));
        await turn();
      }
    },
  };
  const page = new Page(slow);
  const logs = ['a', 'b', 'c'].map((label) => new LabelledLog(page, slow, { ...style, label }));
  await Promise.all(logs.flatMap((log) => [log.print(chunk('one\ntwo\n')), log.print(chunk('x'))]));
  for (const log of logs) await log.end();
  const lines = written.join('').split('\n');
  for (const line of lines) assert.match(line, /^$|^[abc] \| (one|two|x)$/);
  assert.equal(lines.length, 10);
});
