// Installed trees of runtimes on a real file system: shared, whole or absent, and of what is allowed.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Contents } from '../src/daemon/runtimes/contents.ts';
import { digestOf } from '../src/daemon/runtimes/digest.ts';
import type { Trees } from '../src/daemon/runtimes/trees.ts';
import { Uses } from '../src/daemon/runtimes/uses.ts';
import { JobletError } from '../src/shared/errors.ts';
import { Disk } from './disk.ts';
import { cannotRun } from './harness.ts';
import { namesBelow, openTrees, scratch, smallTree, stageTree, writeTree } from './small-tree.ts';

const skip = cannotRun();

/** As the catalogue names a tree. */
function idOf(directory: string): string {
  const { dev, ino } = lstatSync(directory, { bigint: true });
  return `${dev}:${ino}`;
}

const inodeOf = (...parts: string[]) => lstatSync(path.join(...parts)).ino;

/** Files in the store, and what is on its way. */
function leftIn({ places }: Trees): string[] {
  const stored = namesBelow(places.store).filter((name) => name.includes('-'));
  return [...stored, ...readdirSync(places.staging), ...readdirSync(places.retired)];
}

async function install(trees: Trees, version = '1.0.0', files = smallTree, force = false) {
  return trees.install(await stageTree(trees, files), { name: 'small', version, force });
}

test('what runtimes have in common lies on the disk once, and goes with the last of them', {
  skip,
}, async (t) => {
  const trees = openTrees(scratch(t));
  const one = await install(trees, '1.0.0');
  const two = await install(trees, '2.0.0', { ...smallTree, 'isolated/lib/more': 'more' });
  assert.equal(two.newBytes, 4);
  for (const name of ['isolated/bin/tool', 'isolated/lib/empty', 'runtime.yml']) {
    assert.equal(inodeOf(one.directory, name), inodeOf(two.directory, name), name);
  }
  assert.equal(readlinkSync(path.join(two.directory, 'isolated/etc/tool')), '/bin/tool');
  assert.equal(await trees.remove(two.directory, 'small', '2.0.0'), 4);
  assert.equal(
    readFileSync(path.join(one.directory, 'isolated/bin/tool'), 'utf8'),
    smallTree['isolated/bin/tool'],
  );
  assert.equal(await trees.remove(one.directory, 'small', '1.0.0'), one.bytes);
  assert.deepEqual(leftIn(trees), []);
  assert.ok(!existsSync(path.dirname(one.directory)), 'the folder of its name goes too');
});

test('the same tree has the same manifest, byte for byte, wherever and whenever it is made', {
  skip,
}, async (t) => {
  const manifests = [];
  for (const place of [scratch(t), scratch(t)]) {
    const { directory } = await install(openTrees(place));
    manifests.push(readFileSync(path.join(directory, 'manifest.json'), 'utf8'));
    const times = namesBelow(directory).map(
      (name) => lstatSync(path.join(directory, name)).mtimeMs,
    );
    assert.deepEqual([...new Set(times)], [Date.UTC(1980, 0, 1)]);
  }
  assert.equal(manifests[0], manifests[1]);
});

test('S0-54 set-id bits and capabilities of files do not get into a runtime', {
  skip,
}, async (t) => {
  const trees = openTrees(scratch(t));
  const staged = await stageTree(trees);
  const tool = path.join(staged, 'isolated/bin/tool');
  const capability =
    "import os,sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))";
  execFileSync('python3', ['-c', capability, path.join(staged, 'isolated/usr/bin/other')]);
  chmodSync(tool, 0o6755);
  chmodSync(path.join(staged, 'isolated/lib'), 0o3775);
  const { directory } = await trees.install(staged, { name: 'small', version: '1.0.0' });
  assert.equal(lstatSync(path.join(directory, 'isolated/bin/tool')).mode & 0o7777, 0o755);
  assert.equal(lstatSync(path.join(directory, 'isolated/lib')).mode & 0o7777, 0o775);
  assert.equal(lstatSync(path.join(directory, 'isolated/lib/data')).gid, 42);
  const list = 'import os,sys; print(os.listxattr(sys.argv[1]))';
  const other = path.join(directory, 'isolated/usr/bin/other');
  assert.equal(execFileSync('python3', ['-c', list, other], { encoding: 'utf8' }), '[]\n');
});

const misfits: readonly (readonly [what: string, refusal: RegExp, make: (root: string) => void])[] =
  [
    [
      'a device',
      /isolated\/x is a device/,
      (root) => execFileSync('mknod', [`${root}/isolated/x`, 'c', '1', '3']),
    ],
    [
      'a named pipe',
      /isolated\/x is a named pipe/,
      (root) => execFileSync('mkfifo', [`${root}/isolated/x`]),
    ],
    [
      'a link that leads out of it',
      /leads out/,
      (root) => writeTree(root, { x: '-> /etc/passwd' }),
    ],
    [
      'an owner that no job has',
      /belongs to 70000:0/,
      (root) => execFileSync('chown', ['70000:0', `${root}/isolated/bin/tool`]),
    ],
    [
      'a name that is no text',
      /no text in UTF-8/,
      (root) =>
        writeFileSync(Buffer.concat([Buffer.from(`${root}/isolated/`), Buffer.from([0xff])]), ''),
    ],
    ['no runtime.yml', /no file runtime.yml/, (root) => rmSync(`${root}/runtime.yml`)],
  ];

for (const [what, refusal, make] of misfits) {
  test(`a tree with ${what} is refused, and nothing of it stays`, { skip }, async (t) => {
    const trees = openTrees(scratch(t));
    const staged = await stageTree(trees);
    make(staged);
    await assert.rejects(trees.install(staged, { name: 'small', version: '1.0.0' }), refusal);
    assert.deepEqual(leftIn(trees), []);
    assert.deepEqual(
      readdirSync(trees.places.root).filter((name) => !name.startsWith('.')),
      [],
    );
  });
}

test('a link that climbs above the root is written as a job reads it', { skip }, async (t) => {
  const trees = openTrees(scratch(t));
  const files = {
    ...smallTree,
    'isolated/usr/x': '-> ../../../bin/tool',
    'isolated/usr/y': '-> ../bin/tool',
  };
  const { directory } = await install(trees, '1.0.0', files);
  assert.equal(readlinkSync(path.join(directory, 'isolated/usr/x')), '/bin/tool');
  assert.equal(readlinkSync(path.join(directory, 'isolated/usr/y')), '../bin/tool');
});

test('names that are paths are refused', { skip }, async (t) => {
  const trees = openTrees(scratch(t));
  for (const [name, version] of [
    ['../x', '1.0.0'],
    ['x', '../1'],
    ['x/y', '1'],
    ['.store', '1'],
    ['', '1'],
    ['x', ''],
  ] as const) {
    const staged = await stageTree(trees);
    await assert.rejects(trees.install(staged, { name, version }), JobletError);
    assert.ok(!existsSync(staged));
  }
  assert.deepEqual(leftIn(trees), []);
});

test('S0-16 a version that is there is replaced only when that is asked for; jobs in it keep their tree', {
  skip,
}, async (t) => {
  const uses = new Uses();
  const trees = openTrees(scratch(t), { uses });
  const { directory } = await install(trees);
  const before = inodeOf(directory);
  uses.hold('job', { id: idOf(directory) });
  await assert.rejects(install(trees), { kind: 'exists' });
  assert.equal(inodeOf(directory), before);
  const again = await install(trees, '1.0.0', { ...smallTree, 'isolated/lib/data': 'new' }, true);
  assert.deepEqual([again.replaced, again.newBytes], [true, 3]);
  const [retired = ''] = readdirSync(trees.places.retired);
  assert.equal(inodeOf(trees.places.retired, retired), before);
  const old = path.join(trees.places.retired, retired, 'isolated/lib/data');
  assert.equal(readFileSync(old, 'utf8'), 'data');
  assert.equal(readFileSync(path.join(directory, 'isolated/lib/data'), 'utf8'), 'new');
  uses.release('job');
  // Behind what the end of the job began.
  await uses.whenFree({ id: idOf(directory) });
  await trees.discardRetired();
  assert.deepEqual(readdirSync(trees.places.retired), []);
});

test('a runtime that was unpacked flat is in nobody’s way once --force is said', {
  skip,
}, async (t) => {
  const trees = openTrees(scratch(t));
  writeTree(path.join(trees.places.root, 'small'), smallTree);
  await assert.rejects(install(trees), /unpacked without a folder for its version/);
  const { directory } = await install(trees, '1.0.0', smallTree, true);
  assert.deepEqual(readdirSync(path.dirname(directory)), ['1.0.0']);
  assert.deepEqual(readdirSync(trees.places.retired), []);
});

test('a content goes on in another inode when the first has all the links it can have', {
  skip,
}, (t) => {
  const directory = scratch(t);
  const store = path.join(directory, 'store');
  mkdirSync(store);
  const contents = new Contents(store);
  const file = (name: string) => path.join(directory, name);
  writeFileSync(file('first'), 'x');
  const content = { sha256: digestOf(file('first')), mode: 0o644, uid: 0, gid: 0, size: 1 };
  assert.equal(contents.keep(file('first'), content), 1);
  mkdirSync(file('links'));
  // ext4 has 65000 at most; others may have no limit, and then this proves nothing.
  for (let count = 2; count < 65_000; count += 1) linkSync(file('first'), file(`links/${count}`));
  for (const [name, newBytes] of [
    ['second', 1],
    ['third', 0],
  ] as const) {
    writeFileSync(file(name), 'x');
    assert.equal(
      contents.keep(file(name), content),
      lstatSync(file('first')).nlink < 65_000 ? 0 : newBytes,
    );
    assert.equal(readFileSync(file(name), 'utf8'), 'x');
  }
});

test('a content that was damaged is not given to the next tree', { skip }, async (t) => {
  const trees = openTrees(scratch(t));
  const { directory } = await install(trees);
  const damaged = path.join(directory, 'isolated/bin/tool');
  writeFileSync(damaged, smallTree['isolated/bin/tool']?.replace('echo', 'ecHo') ?? '');
  await install(trees, '1.0.0', smallTree, true);
  assert.equal(readFileSync(damaged, 'utf8'), smallTree['isolated/bin/tool']);
});

test('a disk that fills up is named, and nothing of the tree stays on it', { skip }, async (t) => {
  const disk = new Disk(16);
  t.after(() => disk.remove());
  const trees = openTrees(disk.directory);
  await install(trees);
  const before = leftIn(trees);
  // It lies elsewhere, and comes over in the course of the installation.
  const staged = path.join(scratch(t), 'staged');
  writeTree(staged, smallTree);
  writeFileSync(path.join(staged, 'isolated/big'), Buffer.alloc(20 << 20, 'big'));
  await assert.rejects(trees.install(staged, { name: 'small', version: '2.0.0' }), {
    kind: 'exhausted',
    message: /is full \(ENOSPC\)/,
  });
  assert.deepEqual(leftIn(trees), before);
  assert.ok(!existsSync(staged));
  rmSync(path.join(trees.places.root, 'small'), { recursive: true });
});

test('a tree that comes from another disk arrives as it is', { skip }, async (t) => {
  const disk = new Disk(16);
  t.after(() => disk.remove());
  const here = openTrees(scratch(t));
  const there = openTrees(disk.directory);
  const manifests = [];
  for (const trees of [here, there]) {
    const staged = await stageTree(here);
    const { directory } = await trees.install(staged, { name: 'small', version: '1.0.0' });
    manifests.push(readFileSync(path.join(directory, 'manifest.json'), 'utf8'));
  }
  assert.equal(manifests[0], manifests[1]);
});

test('an installation that is canceled leaves nothing', { skip }, async (t) => {
  const trees = openTrees(scratch(t));
  const staged = await stageTree(trees, manyFiles(200));
  const canceling = new AbortController();
  const installing = trees.install(
    staged,
    { name: 'small', version: '1.0.0' },
    { signal: canceling.signal, progress: () => canceling.abort() },
  );
  await assert.rejects(installing, /canceled/);
  assert.deepEqual(leftIn(trees), []);
});

function manyFiles(count: number): Record<string, string> {
  const files = Array.from({ length: count }, (_, at) => [
    `isolated/lib/${at}`,
    `file ${at}`.repeat(500),
  ]);
  return { ...smallTree, ...Object.fromEntries(files) };
}

test('the thread that answers calls does little for a tree of many files', { skip }, async (t) => {
  const trees = openTrees(scratch(t));
  const staged = await stageTree(trees, manyFiles(3000));
  const before = process.threadCpuUsage();
  await trees.install(staged, { name: 'small', version: '1.0.0' });
  const { user, system } = process.threadCpuUsage(before);
  assert.ok((user + system) / 1000 < 250, `${(user + system) / 1000} ms`);
});

test('an installation that is killed leaves the old tree or the new one, and nothing else', {
  skip,
}, async (t) => {
  const directory = scratch(t);
  const rounds = 6;
  await install(openTrees(directory), '2.0.0');
  let installed = 0;
  for (let round = 0; round < rounds; round += 1) {
    const trees = openTrees(directory);
    const staged = await stageTree(trees, manyFiles(300));
    const child = spawn(
      process.execPath,
      [path.join(import.meta.dirname, 'kill-install.ts'), directory, staged],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const over = once(child, 'exit');
    // The last one ends when it is done.
    const enough = round < rounds - 1 ? round * 20 : Number.POSITIVE_INFINITY;
    let lines = 0;
    for await (const line of createInterface(child.stdout)) {
      lines += 1;
      if (lines > enough || line === 'installed') child.kill('SIGKILL');
    }
    await over;
    const after = openTrees(directory);
    await after.recover();
    await after.discardRetired();
    const place = path.join(after.places.root, 'small/2.0.0');
    const files = namesBelow(path.join(place, 'isolated/lib')).length;
    assert.ok(files === 2 || files === 302, `${files} files`);
    if (files === 302) installed += 1;
    assert.deepEqual(readdirSync(after.places.staging), []);
    const stored = namesBelow(after.places.store).filter((name) => name.includes('-'));
    for (const name of stored) assert.ok(statSync(path.join(after.places.store, name)).nlink > 1);
  }
  assert.ok(installed > 0, 'the last one was done');
});
