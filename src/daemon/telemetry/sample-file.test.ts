import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { appendLines, readLines } from './sample-file.ts';
import { firstUsage } from './series.ts';

async function timesOf(...read: Parameters<typeof readLines>): Promise<number[]> {
  const times: number[] = [];
  for await (const line of readLines(...read)) if ('sample' in line) times.push(line.sample.atMs);
  return times;
}

test('samples whose files are not here any more are read where they are', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-samples-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const text = (atMs: number) => `${JSON.stringify({ sample: firstUsage(atMs) })}\n`;
  const archived = new Map([
    ['metrics.jsonl', text(20)],
    ['metrics.old.jsonl', `${text(10)}torn`],
  ]);
  const elsewhere = async (name: string) => archived.get(name);
  assert.deepEqual(await timesOf(directory, elsewhere), [10, 20]);
  assert.deepEqual(await timesOf(directory), []);
  appendLines(directory, [{ sample: firstUsage(30) }]);
  assert.deepEqual(await timesOf(directory, elsewhere), [10, 30]);
});
