import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatHeader } from '../../shared/log-record.ts';
import { sealSegment } from './seal.ts';
import { openSegment } from './segment-file.ts';
import { listSegments, rawName, sealedName } from './segments.ts';

const { signal } = new AbortController();

const KILLS = Number(process.env['JOBLET_SEAL_KILLS'] ?? 3);
const SEGMENTS = 8;
const LINES = 1500;

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-seal-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

const made = new Map<number, Buffer>();

/** The bytes of a segment of many records from a position on. */
function segmentAt(base: number): Buffer {
  const bytes = made.get(base) ?? makeSegment(base);
  made.set(base, bytes);
  return bytes;
}

function makeSegment(base: number): Buffer {
  const parts: Buffer[] = [];
  let position = base;
  for (let number = 0; number < LINES; number += 1) {
    const payload = Buffer.from(`line ${number} from ${base}\n`);
    const header = { stream: 'stdout', timeNs: BigInt(number), position } as const;
    parts.push(formatHeader({ ...header, length: payload.length }), payload);
    position += payload.length;
  }
  return Buffer.concat(parts);
}

/** The records in a segment, raw or sealed. */
async function bytesOf(directory: string, base: number): Promise<Buffer> {
  const segment = await openSegment(directory, base);
  assert.ok(segment);
  const parts: Buffer[] = [];
  for await (const piece of segment.pieces(() => true)) {
    assert.ok('bytes' in piece);
    parts.push(piece.bytes);
  }
  await segment.close();
  return Buffer.concat(parts);
}

test('a sealed segment is smaller, alone and the same', async (t) => {
  const directory = makeDirectory(t);
  const raw = segmentAt(5);
  writeFileSync(path.join(directory, rawName(5)), raw);
  assert.ok(await sealSegment(directory, 5, signal));
  assert.deepEqual(readdirSync(directory), [sealedName(5)]);
  assert.ok((await bytesOf(directory, 5)).equals(raw));
  const sealed = path.join(directory, sealedName(5));
  assert.ok(readFileSync(sealed).length < raw.length / 4);
  if (!existsSync('/usr/bin/zstd')) return t.diagnostic('zstd is not installed: not read by it');
  assert.ok(execFileSync('/usr/bin/zstd', ['-dc', sealed], { maxBuffer: 1 << 26 }).equals(raw));
});

test('a segment that a crash of the machine has torn stays as it is', async (t) => {
  const directory = makeDirectory(t);
  const raw = segmentAt(0);
  const other = Buffer.concat([segmentAt(0), segmentAt(1)]);
  for (const torn of [raw.subarray(0, -1), Buffer.alloc(0), Buffer.alloc(40), other]) {
    writeFileSync(path.join(directory, rawName(0)), torn);
    assert.equal(await sealSegment(directory, 0, signal), false);
    assert.deepEqual(readdirSync(directory), [rawName(0)]);
    assert.ok(readFileSync(path.join(directory, rawName(0))).equals(torn));
  }
});

test('killed at any moment, sealing leaves each segment whole, and the next one ends it', async (t) => {
  const directory = makeDirectory(t);
  const bases = Array.from({ length: SEGMENTS }, (_, at) => at * 1_000_000);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const log = path.join(directory, String(kill));
    mkdirSync(log);
    for (const base of bases) writeFileSync(path.join(log, rawName(base)), segmentAt(base));
    await killWhileSealing(log, randomInt(1, SEGMENTS * 3));
    const left = await listSegments(log);
    assert.deepEqual(
      left.map(({ base }) => base),
      bases,
    );
    for (const { base } of left) assert.ok((await bytesOf(log, base)).equals(segmentAt(base)));
    for (const { base, isRaw } of left) if (isRaw) await sealSegment(log, base, signal);
    assert.deepEqual(readdirSync(log).toSorted(), bases.map(sealedName));
    const [first = 0] = bases;
    assert.ok((await bytesOf(log, first)).equals(segmentAt(first)));
  }
});

/** A process seals a log, and is killed when so many names have changed there. */
async function killWhileSealing(directory: string, changes: number): Promise<void> {
  const script = `
    import { sealSegment } from ${JSON.stringify(path.join(import.meta.dirname, 'seal.ts'))};
    const { signal } = new AbortController();
    for (const base of ${JSON.stringify((await listSegments(directory)).map(({ base }) => base))}) {
      await sealSegment(${JSON.stringify(directory)}, base, signal);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);
  let seen = 0;
  const watcher = watch(directory, () => {
    seen += 1;
    if (seen === changes) child.kill('SIGKILL');
  });
  await once(child, 'exit');
  watcher.close();
  assert.equal(child.signalCode, 'SIGKILL', 'it was done before it was killed');
}
