import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { keptNames, patiently, type UploadPart, Uploads } from './uploads.ts';

const me = { name: 'me' };

function make(t: TestContext, maxBytes = 1000, maxFiles = 5, reserveBytes = 0) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-uploads-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const uploads = new Uploads(directory, { maxBytes, maxFiles, reserveBytes });
  const left = () => readdirSync(directory, { recursive: true }).length - 2;
  return { uploads, left };
}

async function* parts(...all: UploadPart[]): AsyncGenerator<UploadPart> {
  yield* all;
}

function file(name: string, size: number, mode = 0): UploadPart {
  return { header: { path: name, mode, isDirectory: false, size } };
}

test('a streamed upload reaches its job with content, folders and executable bits', async (t) => {
  const { uploads } = make(t);
  const sent = await uploads.receive(
    parts(
      { header: { path: 'empty', mode: 0, isDirectory: true, size: 0 } },
      file('bin/run.sh', 6, 0o755),
      { data: Buffer.from('abc') },
      { data: Buffer.from('def') },
    ),
    me,
  );
  assert.deepEqual([sent.files, sent.bytes], [2, 6]);
  const staged = await uploads.stage('job', [], sent.id, me);
  assert.ok(staged !== undefined);
  assert.deepEqual(staged.names, ['empty', 'bin/run.sh']);
  const target = path.join(staged.directory, 'bin/run.sh');
  assert.equal(readFileSync(target, 'utf8'), 'abcdef');
  assert.equal(statSync(target).mode & 0o777, 0o755);
  assert.ok(statSync(path.join(staged.directory, 'empty')).isDirectory());
});

test('only the client that sent an upload may claim it, and only once', async (t) => {
  const { uploads } = make(t);
  const { id } = await uploads.receive(parts(file('a', 0)), me);
  await assert.rejects(uploads.stage('job', [], id, { name: 'other' }), { kind: 'not-found' });
  await uploads.stage('job', [], id, me);
  await assert.rejects(uploads.stage('job2', [], id, me), { kind: 'not-found' });
});

/** An upload that says that it has begun, and goes on when it is let. */
function held() {
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  async function* sent(): AsyncGenerator<UploadPart> {
    yield file('a', 0);
    begun.resolve();
    await go.promise;
  }
  return { sent: sent(), begun: begun.promise, go: () => go.resolve() };
}

test('a client has so many uploads under way or waiting, and leaves room for others', async (t) => {
  const { uploads, left } = make(t);
  const own = Array.from({ length: 8 }, held);
  const received = own.map(({ sent }) => uploads.receive(sent, me));
  await Promise.all(own.map(({ begun }) => begun));
  for (let count = 0; count < 8; count += 1) await uploads.receive(parts(file('a', 0)), me);
  const oneMore = uploads.receive(parts(file('a', 0)), me);
  await assert.rejects(oneMore, { kind: 'exhausted', message: /16 of them of me/ });
  await uploads.receive(parts(file('a', 0)), { name: 'other' });
  for (const { go } of own) go();
  const [first] = await Promise.all(received);
  await uploads.stage('job', [], first?.id ?? '', me);
  await uploads.receive(parts(file('a', 0)), me);
  // Each is a directory with one file.
  assert.equal(left(), 2 * 18);
});

test('an upload of which nothing more comes is given up', async () => {
  const { sent } = held();
  const got: UploadPart[] = [];
  const reading = async () => {
    for await (const part of patiently(sent, 10)) got.push(part);
  };
  await assert.rejects(reading, { kind: 'exhausted', message: /nothing of the upload came/ });
  assert.equal(got.length, 1);
});

test('an upload leaves the last of its disk free', async (t) => {
  const { uploads, left } = make(t, 1000, 5, Number.MAX_SAFE_INTEGER);
  const sent = parts(file('a', 1), { data: Buffer.from('1') });
  await assert.rejects(uploads.receive(sent, me), { kind: 'exhausted', message: /minFreeBytes/ });
  assert.equal(left(), 0);
});

test('a bad upload is refused and leaves nothing behind', async (t) => {
  const { uploads, left } = make(t);
  const data = { data: Buffer.from('12345') };
  const bad: [string, UploadPart[]][] = [
    ['invalid', [file('../out', 5), data]],
    ['invalid', [file('/etc/passwd', 5), data]],
    ['invalid', [file('a//b', 5), data]],
    ['invalid', [data]],
    ['invalid', [file('short', 9), data]],
    ['invalid', [file('long', 2), data]],
    ['invalid', [file('twice', 5), data, file('twice', 5), data]],
    ['invalid', [file('a', 0), file('a/b', 0)]],
    ['invalid', [file('a', 0), file('a/b/c', 0)]],
    ['invalid', [file('a', 0), { header: { path: 'a', mode: 0, isDirectory: true, size: 0 } }]],
    ['invalid', [file('negative', -1)]],
    ['exhausted', [file('big', 2000), { data: Buffer.alloc(2000) }]],
    ['exhausted', ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => file(name, 0))],
  ];
  for (const [kind, sent] of bad) {
    await assert.rejects(uploads.receive(parts(...sent), me), { kind });
    assert.equal(left(), 0);
  }
});

test('a job remembers the first names of its uploads, and how many there were', () => {
  assert.deepEqual(keptNames(['a', 'b/c']), { uploads: ['a', 'b/c'], uploadCount: 2 });
  const many = Array.from({ length: 100_000 }, (_, at) => `folder/${at}`);
  const { uploads, uploadCount } = keptNames(many);
  assert.equal(uploadCount, many.length);
  assert.ok(uploads.length > 1000 && Buffer.byteLength(uploads.join('')) <= 64 * 1024);
  assert.deepEqual(uploads, many.slice(0, uploads.length));
});
