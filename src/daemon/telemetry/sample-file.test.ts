import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type Base, nothingBefore } from './base.ts';
import { appendLines, readLines } from './sample-file.ts';
import { firstUsage } from './series.ts';

async function timesOf(...read: Parameters<typeof readLines>): Promise<number[]> {
  const times: number[] = [];
  for await (const line of readLines(...read)) if ('sample' in line) times.push(line.sample.atMs);
  return times;
}

test('what a crash has torn off takes no other sample along', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-samples-'));
  t.after(() => rmSync(directory, { recursive: true }));
  appendLines(directory, [{ sample: firstUsage(10) }]);
  appendFileSync(path.join(directory, 'metrics.jsonl'), '\n{"sample":{"atMs":20');
  appendLines(directory, [{ sample: firstUsage(30) }]);
  assert.deepEqual(await timesOf(directory), [10, 30]);
});

test('what counters stood at before a job is known however many files its samples have filled', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-samples-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const base = { ...nothingBefore, limitHits: 7 };
  const many = Array.from({ length: 1000 }, () => ({ sample: firstUsage(10) }));
  let files = 1;
  for (let bytes = 0; files < 4; ) {
    appendLines(directory, many, [{ base }]);
    const now = statSync(path.join(directory, 'metrics.jsonl'), { throwIfNoEntry: false })?.size;
    if (now === undefined || now < bytes) files += 1;
    bytes = now ?? 0;
  }
  const bases: Base[] = [];
  for await (const line of readLines(directory)) if ('base' in line) bases.push(line.base);
  assert.deepEqual(bases[0], base);
});

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
