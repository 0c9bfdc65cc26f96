// What is read of a sealed log is what is read of a raw one, by every kind of question.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { carriesOutput, formatHeader, type StreamName } from '../../shared/log-record.ts';
import { sealSegment } from '../logs/seal.ts';
import { listSegments, rawName, sealedName } from '../logs/segments.ts';
import { Bells } from './bells.ts';
import { type LogEntry, type LogQuery, Logs } from './logs.ts';

const { signal } = new AbortController();

interface Written {
  readonly stream: StreamName;
  readonly timeNs: bigint;
  readonly payload: Buffer;
}

/** Writes segments of so many records each; answers how much output that is. */
function write(directory: string, records: readonly Written[], perSegment: number): number {
  mkdirSync(directory, { recursive: true });
  const segments = new Map<number, Buffer[]>();
  let [position, base] = [0, 0];
  for (const [number, { stream, timeNs, payload }] of records.entries()) {
    if (number % perSegment === 0) base = position;
    const header = formatHeader({ stream, timeNs, position, length: payload.length });
    segments.set(base, [...(segments.get(base) ?? []), header, payload]);
    if (carriesOutput(stream)) position += payload.length;
  }
  for (const [at, parts] of segments) {
    writeFileSync(path.join(directory, rawName(at)), Buffer.concat(parts));
  }
  return position;
}

async function sealAll(directory: string): Promise<void> {
  for (const { base } of await listSegments(directory)) {
    assert.ok(await sealSegment(directory, base, signal));
  }
}

function makeLogs(t: TestContext): { directory: string; logs: Logs } {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-sealed-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const bells = new Bells((id) => ({ socket: `joblet-no-keeper/${id}`, proof: '' }));
  const owners = {
    isOver: () => true,
    keptBytes: () => 0,
    droppedBytes: () => 0,
    removalOf: () => undefined,
  };
  return { directory, logs: new Logs(directory, bells, owners) };
}

const all: LogQuery = {
  position: 0,
  follow: false,
  streams: new Set(),
  tailLines: 0,
  sinceNs: 0n,
  untilNs: 0n,
  signal,
};

async function read(logs: Logs, id: string, query: Partial<LogQuery>): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of logs.read({ id }, { ...all, ...query })) entries.push(shown(entry));
  return entries;
}

function shown({ stream, timeNs, position, data, droppedBytes, reason }: LogEntry): string {
  const bytes = Buffer.from(data).toString('base64');
  return [stream, timeNs, position, droppedBytes, reason, bytes].join(' ');
}

/** Output of any bytes with more or fewer line ends, up to a third of a frame of it at once. */
const payload = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.constantFrom(1, 1, 1, 80_000))
  .map(([bytes, least]) =>
    Buffer.alloc(
      Math.max(bytes.length, least),
      bytes.map((b) => b % 100),
    ),
  );
const output = fc.record({
  stream: fc.constantFrom<StreamName>('stdout', 'stderr'),
  timeNs: fc.bigInt({ min: 1n, max: 60n }),
  payload,
});
const gap = fc.record({
  stream: fc.constant<StreamName>('gap'),
  timeNs: fc.bigInt({ min: 1n, max: 60n }),
  payload: fc.constant(Buffer.from('bytes=7\0reason=quota\0')),
});
const END: Written = { stream: 'end', timeNs: 61n, payload: Buffer.from('how=exited\0code=0\0') };

const question = fc.record({
  position: fc.nat({ max: 100_000 }),
  tailLines: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 })),
  sinceNs: fc.bigInt({ min: 0n, max: 60n }),
  untilNs: fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: 60n })),
  streams: fc
    .subarray<'stdout' | 'stderr'>(['stdout', 'stderr'])
    .map((names) => new Set<StreamName>(names)),
});

test('a sealed log answers every question as a raw one does', async (t) => {
  const { directory, logs } = makeLogs(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 8, arbitrary: output }, { weight: 1, arbitrary: gap }), {
        minLength: 1,
        maxLength: 24,
      }),
      fc.integer({ min: 2, max: 12 }),
      fc.array(question, { minLength: 4, maxLength: 4 }),
      async (records, perSegment, questions) => {
        const [raw, sealed] = [`raw${run}`, `sealed${run++}`];
        for (const id of [raw, sealed]) {
          write(path.join(directory, id), [...records, END], perSegment);
        }
        await sealAll(path.join(directory, sealed));
        const whole = await read(logs, raw, {});
        assert.deepEqual(await read(logs, sealed, {}), whole);
        // Whether what was read is left to whoever reads, or is gone with the next.
        assert.deepEqual(await read(logs, sealed, { isPassing: true }), whole);
        assert.deepEqual(await read(logs, raw, { isPassing: true }), whole);
        for (const query of questions) {
          assert.deepEqual(await read(logs, sealed, query), await read(logs, raw, query));
        }
        const end = await logs.findEnd(sealed);
        assert.deepEqual(end, await logs.findEnd(raw));
        assert.equal(end.end?.code, 0);
        for (const id of [raw, sealed]) rmSync(path.join(directory, id), { recursive: true });
      },
    ),
    { numRuns: Number(process.env['JOBLET_SEAL_ROUNDS'] ?? 25) },
  );
});

const line = (number: number, timeNs: bigint): Written => ({
  stream: number % 2 === 0 ? 'stdout' : 'stderr',
  timeNs,
  payload: Buffer.from(`${`line ${number} `.padEnd(40_000, 'x')}\n`),
});

const number = (entry: string) =>
  Number(/line (\d+)/.exec(Buffer.from(entry.split(' ')[5] ?? '', 'base64').toString())?.[1]);

test('a change in a frame costs that frame, and says so; the others are read', async (t) => {
  const { directory, logs } = makeLogs(t);
  const job = path.join(directory, 'j');
  write(job, [...Array.from({ length: 30 }, (_, at) => line(at, BigInt(at + 1))), END], 100);
  const before = await read(logs, 'j', {});
  await sealAll(job);
  const file = path.join(job, sealedName(0));
  const bytes = readFileSync(file);
  for (const at of [4, Math.floor(bytes.length / 8), Math.floor(bytes.length / 2)]) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(file, changed);
    const after = await read(logs, 'j', {});
    const marks = after.filter((entry) => entry.startsWith('gap'));
    const lines = after.filter((entry) => !entry.startsWith('gap'));
    const most = new Set(before);
    assert.ok(lines.every((entry) => most.has(entry)));
    assert.ok(lines.length >= 20 && lines.length < 30, `${lines.length} of 30 lines`);
    assert.match(marks.join(), /^gap \d+ \d+ \d+ damaged $/);
    assert.equal(Number(marks[0]?.split(' ')[3]), (30 - lines.length) * 40_001);
  }
});

test('an index that is damaged or cut off gives nothing wrong', async (t) => {
  const { directory, logs } = makeLogs(t);
  const job = path.join(directory, 'j');
  write(job, [...Array.from({ length: 30 }, (_, at) => line(at, BigInt(at + 1))), END], 10);
  const before = await read(logs, 'j', {});
  await sealAll(job);
  assert.deepEqual(await read(logs, 'j', {}), before);
  const [, middle] = await listSegments(job);
  const file = path.join(job, sealedName(middle?.base ?? 0));
  const bytes = readFileSync(file);
  const cut = [0, 20, bytes.length - 1].map((length) => bytes.subarray(0, length));
  const changed = [1, 14, 40, 100].map((back) => {
    const copy = Buffer.from(bytes);
    copy[bytes.length - back] = (copy[bytes.length - back] ?? 0) ^ 4;
    return copy;
  });
  for (const damaged of [...cut, ...changed]) {
    writeFileSync(file, damaged);
    const after = await read(logs, 'j', {});
    assert.deepEqual(after.filter((entry) => !entry.startsWith('gap')).map(number), [
      ...Array.from({ length: 10 }, (_, at) => at),
      ...Array.from({ length: 10 }, (_, at) => at + 20),
    ]);
    assert.deepEqual(
      after.filter((entry) => entry.startsWith('gap')),
      ['gap 21 400010 400010 lost '],
    );
  }
});
