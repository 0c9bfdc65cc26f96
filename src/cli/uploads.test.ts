import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { progressBar } from './progress.ts';
import { collectUploads, fitsRequest, inlineUploads, totalBytes, uploadParts } from './uploads.ts';

let root = '';
const at = (...parts: string[]) => path.join(root, ...parts);

before(() => {
  root = mkdtempSync(path.join(tmpdir(), 'rnx-uploads-'));
  mkdirSync(at('project', 'src'), { recursive: true });
  mkdirSync(at('project', 'empty'));
  writeFileSync(at('project', 'run.sh'), '#!/bin/sh\n');
  chmodSync(at('project', 'run.sh'), 0o755);
  chmodSync(at('project', 'empty'), 0o750);
  writeFileSync(at('project', 'src', 'a.txt'), 'aaa');
  chmodSync(at('project', 'src', 'a.txt'), 0o640);
  writeFileSync(at('data.bin'), Buffer.alloc(700_000, 7));
});

after(() => rmSync(root, { recursive: true }));

const described = (files: ReturnType<typeof collectUploads>) =>
  files.map((file) => `${file.path}${file.isDirectory ? '/' : ''} ${file.mode.toString(8)}`);

test('S0-12 a file arrives under its base name, with its executable bits', () => {
  assert.deepEqual(described(collectUploads([at('project', 'run.sh')], [])), ['run.sh 755']);
});

test('a folder given to --upload arrives under its name, one given to --upload-dir by its content', () => {
  const content = ['empty/ 750', 'run.sh 755', 'src/ 755', 'src/a.txt 640'];
  assert.deepEqual(described(collectUploads([], [at('project')])), content);
  assert.deepEqual(described(collectUploads([at('project')], [])), [
    'project/ 755',
    ...content.map((line) => `project/${line}`),
  ]);
});

test('folders may be given together when their files do not meet', () => {
  mkdirSync(at('other', 'src'), { recursive: true });
  writeFileSync(at('other', 'src', 'b.txt'), '');
  const files = collectUploads([], [at('project'), at('other')]).map((file) => file.path);
  assert.deepEqual(files, ['empty', 'run.sh', 'src', 'src/a.txt', 'src/b.txt']);
});

test('two files of one name are refused, and both are named', () => {
  assert.throws(() => collectUploads([at('project', 'run.sh')], [at('project')]), {
    kind: 'invalid',
    message: /run\.sh arrives as run\.sh, and so does .*run\.sh/,
  });
});

test('what is not there, or is no file, is named with its flag', () => {
  assert.throws(() => collectUploads([at('nope')], []), {
    kind: 'not-found',
    message: `--upload: there is no ${at('nope')}`,
  });
  assert.throws(
    () => collectUploads([], [at('data.bin')]),
    /--upload-dir: .*data\.bin is not a folder/,
  );
  assert.throws(() => collectUploads(['/dev/null'], []), /neither a file nor a folder/);
});

test('a link to a file is followed, a link to a folder is refused', () => {
  mkdirSync(at('links'));
  symlinkSync(at('data.bin'), at('links', 'file'));
  assert.deepEqual(
    collectUploads([], [at('links')]).map((file) => [file.path, file.sizeBytes]),
    [['file', 700_000]],
  );
  symlinkSync('..', at('links', 'up'));
  assert.throws(() => collectUploads([], [at('links')]), /links\/up is a link to a folder/);
});

test('what fits the request travels inside it', () => {
  const files = collectUploads([], [at('project')]);
  assert.equal(fitsRequest(files), true);
  const contents = inlineUploads(files).map(({ path: name, content }) => [
    name,
    content?.toString(),
  ]);
  assert.deepEqual(contents, [
    ['empty', undefined],
    ['run.sh', '#!/bin/sh\n'],
    ['src', undefined],
    ['src/a.txt', 'aaa'],
  ]);
  assert.equal(
    fitsRequest(
      Array.from({ length: 6 }, () => collectUploads([at('data.bin')], [])[0] ?? assert.fail()),
    ),
    false,
  );
});

test('what does not is sent in parts, each file behind its header', async () => {
  const files = collectUploads([at('data.bin')], [at('project')]);
  const received: { path: string; bytes: number }[] = [];
  const progress: number[] = [];
  for await (const { header, data } of uploadParts(files, (bytes) => progress.push(bytes))) {
    if (header) received.push({ path: header.path ?? '', bytes: 0 });
    const last = received.at(-1);
    if (data && last) last.bytes += data.length;
  }
  assert.deepEqual(received, [
    { path: 'data.bin', bytes: 700_000 },
    { path: 'empty', bytes: 0 },
    { path: 'run.sh', bytes: 10 },
    { path: 'src', bytes: 0 },
    { path: 'src/a.txt', bytes: 3 },
  ]);
  assert.equal(progress.at(-1), totalBytes(files));
});

test('a file that is cut short while it is sent ends the upload', async () => {
  writeFileSync(at('short.bin'), Buffer.alloc(600_000));
  const files = collectUploads([at('short.bin')], []);
  await assert.rejects(
    async () => {
      for await (const part of uploadParts(files, () => {})) {
        if (part.header) truncateSync(at('short.bin'), 100_000);
      }
    },
    { kind: 'invalid', message: /short\.bin was cut short/ },
  );
});

test('progress is a bar with what is done and what there is', () => {
  assert.equal(progressBar(0, 2 ** 20), `[${' '.repeat(30)}]   0%  0 B of 1 MB`);
  assert.equal(
    progressBar(2 ** 19, 2 ** 20),
    `[${'#'.repeat(15)}${' '.repeat(15)}]  50%  512 KB of 1 MB`,
  );
  assert.equal(progressBar(2 ** 20, 2 ** 20), `[${'#'.repeat(30)}] 100%  1 MB of 1 MB`);
});
