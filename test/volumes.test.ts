// Volumes as their owner sees them: made, listed, resized, removed, and still there after whatever
// happens to the daemon. What jobs see of them is in volume-jobs.test.ts.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { VolumeDetail } from '../src/client/messages.ts';
import {
  createVolume,
  inspectVolume,
  listVolumes,
  removeVolume,
  resizeVolume,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const skip = cannotRun();
const MB = 2 ** 20;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ volumes: { max_size_bytes: '2GB', max_memory_bytes: '64MB' } });
});

after(async () => {
  if (skip !== false) return;
  for (const { name } of await list()) await remove(name);
  await daemon.stop();
});

const create = (name: string, size = '', type = '') =>
  daemon.as('operator').unary(createVolume, { name, size, type });
const remove = (name: string) => daemon.as('admin').unary(removeVolume, { name });
const inspect = (name: string) => daemon.as('viewer').unary(inspectVolume, { name });
const resize = (name: string, size: string) =>
  daemon.as('operator').unary(resizeVolume, { name, size });
const list = async () => (await daemon.as('viewer').unary(listVolumes, {})).volumes;

const homeOf = (name: string) => path.join(daemon.directory, 'volumes', name);
const fileIn = (name: string, file: string) => path.join(homeOf(name), 'mount/files', file);

/** Bytes of one file that a volume takes from somebody for whom nothing is held back. */
function fill(name: string): number {
  const file = fileIn(name, 'filler');
  const fd = openSync(file, 'w');
  const dd = ['--reuid=65534', 'dd', 'if=/dev/zero', 'bs=64k'];
  const { stderr } = spawnSync('setpriv', dd, { stdio: ['ignore', fd, 'pipe'], encoding: 'utf8' });
  assert.match(stderr, /No space left/);
  const { size } = fstatSync(fd);
  closeSync(fd);
  rmSync(file);
  return size;
}

test('S2-9 volumes are made with a size and a type, and listed by name', { skip }, async () => {
  assert.deepEqual(await create('datasets', '1.5GB'), {
    name: 'datasets',
    size: '1536MB',
    type: 'filesystem',
    path: homeOf('datasets'),
  });
  assert.equal((await create('scratch', '16MB', 'memory')).type, 'memory');
  assert.equal((await create('by-default')).size, '1GB');
  const volumes = await list();
  assert.deepEqual(
    volumes.map(({ name, jobCount, problem }) => [name, jobCount, problem]),
    [
      ['by-default', 0, ''],
      ['datasets', 0, ''],
      ['scratch', 0, ''],
    ],
  );
  const [, datasets] = volumes as [VolumeDetail, VolumeDetail];
  assert.equal(Number(datasets.sizeBytes), 1536 * MB);
  assert.ok(Number(datasets.usedBytes) < MB);
  assert.ok(Math.abs(Date.parse(datasets.createdTime) - Date.now()) < 60_000);
  await Promise.all(['datasets', 'scratch', 'by-default'].map(remove));
  assert.deepEqual(await list(), []);
  assert.equal(existsSync(homeOf('datasets')), false);
});

test('what is no name, no size and no type is refused, all of it at once', { skip }, async () => {
  for (const [name, size, type, words] of [
    ['', '1MB', '', /name: must start/],
    ['../up', '1MB', '', /name: must start/],
    ['a/b', '1MB', '', /name: must start/],
    ['.hidden', '1MB', '', /name: must start/],
    ['x'.repeat(64), '1MB', '', /name: has 64 characters/],
    ['fine', 'huge', '', /size: "huge" is not a size; write it as 512MB, 1.5GB or 4096/],
    ['fine', '-1GB', '', /size: "-1GB" is not a size/],
    ['fine', '0', '', /size: 0 is not from 1 MB to 2 GB/],
    ['fine', '3GB', '', /size: 3GB is not from 1 MB to 2 GB \(volumes.max_size_bytes\)/],
    [
      'fine',
      '1MB',
      'floppy',
      /type: "floppy" is no type of volume; there is filesystem and memory/,
    ],
    ['/', 'huge', 'floppy', /name: .*type: .*size: /],
  ] as const) {
    await assert.rejects(create(name, size, type), { kind: 'invalid', message: words });
  }
  await assert.rejects(inspect('missing'), {
    kind: 'not-found',
    message: /volume not found: missing/,
  });
  assert.deepEqual(await list(), []);
});

test('a name that is taken is refused, and what has it stays as it was', { skip }, async () => {
  await create('taken', '8MB');
  writeFileSync(fileIn('taken', 'kept'), 'kept');
  await assert.rejects(create('taken', '16MB'), {
    kind: 'exists',
    message: /already exists: taken/,
  });
  assert.equal(readFileSync(fileIn('taken', 'kept'), 'utf8'), 'kept');
  assert.equal((await inspect('taken')).size, '8MB');

  // A folder that no volume has is somebody's, and a link would lead to somebody's.
  mkdirSync(homeOf('folder'));
  writeFileSync(path.join(homeOf('folder'), 'file'), 'theirs');
  symlinkSync(daemon.directory, homeOf('link'));
  for (const name of ['folder', 'link']) {
    await assert.rejects(create(name, '8MB'), { kind: 'exists', message: /move that away first/ });
  }
  assert.equal(readFileSync(path.join(homeOf('folder'), 'file'), 'utf8'), 'theirs');
  assert.ok(existsSync(path.join(daemon.directory, 'state')));
  execFileSync('rm', ['-r', homeOf('folder'), homeOf('link')]);
  await remove('taken');
});

test('a volume holds what its size says, within a twentieth', { skip }, async () => {
  for (const [size, bytes, type] of [
    ['10MB', 10 * MB, 'filesystem'],
    ['100MB', 100 * MB, 'filesystem'],
    ['600MB', 600 * MB, 'filesystem'],
    ['16MB', 16 * MB, 'memory'],
  ] as const) {
    await create('full', size, type);
    const held = fill('full');
    assert.ok(Math.abs(held - bytes) <= bytes / 20, `${size} ${type} held ${held} bytes`);
    await remove('full');
  }
});

test('a volume grows and shrinks, and refuses what its files do not fit into', {
  skip,
}, async () => {
  for (const type of ['filesystem', 'memory']) {
    await create('elastic', '12MB', type);
    const content = Buffer.alloc(6 * MB, 'x');
    writeFileSync(fileIn('elastic', 'file'), content);
    assert.equal((await resize('elastic', '40MB')).size, '40MB');
    const grown = fill('elastic') + content.length;
    assert.ok(Math.abs(grown - 40 * MB) <= 2 * MB, `${type} of 40 MB held ${grown} bytes`);
    await assert.rejects(resize('elastic', '2MB'), {
      kind: 'wrong-state',
      message: /cannot be smaller; delete some of it first/,
    });
    assert.equal((await resize('elastic', '10MB')).size, '10MB');
    const shrunk = fill('elastic') + content.length;
    assert.ok(Math.abs(shrunk - 10 * MB) <= MB / 2, `${type} of 10 MB held ${shrunk} bytes`);
    assert.deepEqual(readFileSync(fileIn('elastic', 'file')), content);
    await remove('elastic');
  }
});

test('what does not fit when it is copied is said in a few words, however long its path', {
  skip,
}, async () => {
  await create('deep', '300MB');
  // More files than a smaller one can have, below a path of 4 kB.
  const script = `
import os
for _ in range(15):
    os.mkdir('d' * 250); os.chdir('d' * 250)
for n in range(17000):
    os.symlink('x', 'f%d' % n)
`;
  execFileSync('python3', ['-c', script], { cwd: fileIn('deep', '') });
  await assert.rejects(resize('deep', '40MB'), {
    kind: 'wrong-state',
    message: 'volume deep cannot be resized: its files do not fit into 40 MB; delete some first',
  });
  assert.equal((await inspect('deep')).problem, '');
  await remove('deep');
});

test('memory volumes together stay within their bound', { skip }, async () => {
  await create('first', '40MB', 'memory');
  const refused = { kind: 'exhausted', message: /of at most 64 MB \(volumes.max_memory_bytes\)/ };
  await assert.rejects(create('second', '40MB', 'memory'), refused);
  await assert.rejects(resize('first', '65MB'), refused);
  await remove('first');
});

test('volumes outlive the daemon, also when it is killed', { skip }, async () => {
  await create('lasting', '16MB');
  writeFileSync(fileIn('lasting', 'file'), 'still here');
  await daemon.end();
  // Nothing of it stays mounted.
  assert.deepEqual(mountsOf('lasting'), []);
  await daemon.restart();
  assert.equal((await inspect('lasting')).problem, '');
  assert.equal(readFileSync(fileIn('lasting', 'file'), 'utf8'), 'still here');
  await daemon.kill();
  await daemon.restart();
  await list();
  assert.equal(readFileSync(fileIn('lasting', 'file'), 'utf8'), 'still here');
  assert.equal(mountsOf('lasting').length, 1);
  await remove('lasting');
});

test('a daemon that is killed while it makes or removes volumes leaves none by halves', {
  skip,
}, async () => {
  // What it had acknowledged by then is there; the rest is not.
  const made: string[] = [];
  const creating = [0, 1, 2, 3].map((n) =>
    create(`half-${n}`, '8MB').then(({ name }) => made.push(name)),
  );
  await Promise.any(creating);
  await daemon.kill();
  await Promise.allSettled(creating);
  await daemon.restart();
  const names = (await list()).map(({ name, problem }) => `${name}${problem}`);
  assert.deepEqual(
    made.filter((name) => !names.includes(name)),
    [],
  );
  for (const name of names) assert.ok(existsSync(fileIn(name, '.')));
  const removing = names.map(remove);
  await Promise.race(removing);
  await daemon.kill();
  await Promise.allSettled(removing);
  await daemon.restart();
  for (const { name } of await list()) await remove(name);
  for (const n of [0, 1, 2, 3]) {
    assert.equal(existsSync(homeOf(`half-${n}`)), false);
    assert.deepEqual(mountsOf(`half-${n}`), []);
  }
});

test('a damaged image is named, and neither mounted nor made anew', { skip }, async () => {
  await create('damaged', '8MB');
  await daemon.end();
  const image = path.join(homeOf('damaged'), 'volume.img');
  truncateSync(image, 4096);
  await daemon.restart();
  const { problem } = await inspect('damaged');
  assert.match(problem, /its file system is damaged; look at it with: e2fsck -f/);
  assert.equal((await list()).length, 1);
  await remove('damaged');
});

test('who may do what with volumes', { skip }, async () => {
  const viewer = daemon.as('viewer');
  const developer = daemon.as('developer');
  const operator = daemon.as('operator');
  const denied = { kind: 'denied' };
  for (const api of [viewer, developer]) {
    await assert.rejects(api.unary(createVolume, { name: 'mine', size: '8MB' }), denied);
  }
  await operator.unary(createVolume, { name: 'mine', size: '8MB' });
  for (const api of [viewer, developer]) {
    await assert.rejects(api.unary(resizeVolume, { name: 'mine', size: '16MB' }), denied);
  }
  for (const api of [viewer, developer, operator]) {
    await assert.rejects(api.unary(removeVolume, { name: 'mine' }), denied);
  }
  assert.equal((await list()).length, 1);
  await remove('mine');
});

function mountsOf(name: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${homeOf(name)}/`));
}
