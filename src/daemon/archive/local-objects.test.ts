import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import { LocalObjects } from './local-objects.ts';
import { type Source, sourceOf } from './objects.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-objects-'));
const objects = new LocalObjects(path.join(directory, 'archive'));
const { signal } = new AbortController();

beforeEach(() => mkdirSync(objects.place));
afterEach(() => rmSync(objects.place, { recursive: true }));
after(() => rmSync(directory, { recursive: true }));

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of objects.list(prefix)) found.push(key);
  return found.toSorted();
}

async function text(key: string, from: number, to: number): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of objects.get(key, from, to, signal)) parts.push(part);
  return Buffer.concat(parts).toString();
}

test('an object in a directory comes back, whole and in part, and is gone when deleted', async () => {
  await objects.put('a/one', sourceOf(Buffer.from('0123456789')), signal);
  await objects.put('a/two', sourceOf(Buffer.from('')), signal);
  await objects.put('b/one', sourceOf(Buffer.from('x')), signal);
  await objects.put('a/one', sourceOf(Buffer.from('abcdefghij')), signal);
  assert.equal(await text('a/one', 0, 10), 'abcdefghij');
  assert.equal(await text('a/one', 3, 5), 'de');
  assert.deepEqual(await keys('a/'), ['a/one', 'a/two']);
  assert.deepEqual(await keys('missing/'), []);
  await assert.rejects(text('a/one', 5, 11), /has no bytes 5 to 11/);
  await assert.rejects(text('c', 0, 1), (error: JobletError) => error.kind === 'not-found');
  for (const key of ['a/one', 'a/two', 'a/two']) await objects.delete(key);
  assert.deepEqual(readdirSync(objects.place), ['b']);
});

test('what is not whole is no object, and what a try has left goes', async () => {
  const cut: Source = {
    bytes: 3 << 20,
    sha256: '',
    read: async (_, offset) => {
      if (offset > 0) throw new Error('the disk is gone');
    },
  };
  await assert.rejects(objects.put('a/cut', cut, signal), /the disk is gone/);
  assert.deepEqual(await keys('a/'), []);
  await objects.discardUnfinished('a/');
  assert.deepEqual(readdirSync(path.join(objects.place, 'a')), []);
});

test('however big an object is, a piece of it is in memory at a time', async () => {
  const places = new Map<ArrayBufferLike, number>();
  const big: Source = {
    bytes: 5_000_000,
    sha256: '',
    read: async (into, offset) => {
      into.fill(97 + (offset % 17));
      places.set(into.buffer, into.buffer.byteLength);
    },
  };
  await objects.put('a/big', big, signal);
  assert.equal(await text('a/big', 262_143, 262_145), String.fromCharCode(97, 97 + (262_144 % 17)));
  assert.deepEqual([...places.values()], [256 * 1024]);
});

test('no key leads out of the directory', async () => {
  const source = sourceOf(Buffer.from('x'));
  await assert.rejects(objects.put('../x', source, signal), /leads out of/);
  await assert.rejects(objects.put('a/../../x', source, signal), JobletError);
});

test('a disk that is not mounted is no empty archive', async () => {
  const unmounted = new LocalObjects(path.join(directory, 'mount/joblet'));
  const source = sourceOf(Buffer.from('x'));
  const isMissing = (error: JobletError) =>
    error.kind === 'unavailable' &&
    /there is no directory .*mount what belongs there/.test(error.message);
  await assert.rejects(unmounted.put('a/x', source, signal), isMissing);
  await assert.rejects(unmounted.list('a/').next(), isMissing);
  await assert.rejects(unmounted.get('a/x', 0, 1, signal).next(), isMissing);
  assert.deepEqual(readdirSync(directory), ['archive']);
});
