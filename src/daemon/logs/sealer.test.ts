import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { formatHeader } from '../../shared/log-record.ts';
import { sealSegments } from './sealer.ts';
import { listSegments, rawName, sealedName } from './segments.ts';

const SEGMENTS = 8;
const SEGMENT_BYTES = 512 * 1024;

const payload = randomBytes(SEGMENT_BYTES);
const bases = Array.from({ length: SEGMENTS }, (_, at) => at * SEGMENT_BYTES);

/** A segment of one record. */
function segmentAt(position: number): Buffer {
  const header = { stream: 'stdout', timeNs: 1n, position, length: payload.length } as const;
  return Buffer.concat([formatHeader(header), payload]);
}

function makeLog(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-sealer-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const base of bases) writeFileSync(path.join(directory, rawName(base)), segmentAt(base));
  return directory;
}

/** Of each thread of this process, how far it lets others go first. */
function niceOfThreads(): number[] {
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
      return [Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
    } catch {
      return []; // it has ended
    }
  });
}

test('a long log is sealed by a thread that lets all others go first', async (t) => {
  const directory = makeLog(t);
  let most = 0;
  const watcher = watch(directory, () => {
    most = Math.max(most, ...niceOfThreads());
  });
  await sealSegments({ directory, bases }, new AbortController().signal);
  watcher.close();
  assert.equal(most, 10);
  assert.deepEqual(readdirSync(directory).toSorted(), bases.map(sealedName));
  for (const base of bases) {
    const sealed = readFileSync(path.join(directory, sealedName(base)));
    assert.ok(zstdDecompressSync(sealed).equals(segmentAt(base)));
  }
});

test('sealing that is cut off leaves every segment, and is taken up again', async (t) => {
  const directory = makeLog(t);
  const stopping = new AbortController();
  const watcher = watch(directory, () => stopping.abort());
  await assert.rejects(sealSegments({ directory, bases }, stopping.signal), { name: 'AbortError' });
  watcher.close();
  const left = await listSegments(directory);
  assert.deepEqual(
    left.map(({ base }) => base),
    bases,
  );
  assert.ok(left.some(({ isRaw }) => isRaw));
  await sealSegments({ directory, bases }, new AbortController().signal);
  assert.deepEqual(readdirSync(directory).toSorted(), bases.map(sealedName));
});
