// Packs: a runtime in one file, which any node installs or simply unpacks, and what is refused of those
// that somebody has tampered with.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type PackFormat, packFormats } from '../src/daemon/runtimes/pack.ts';
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../src/shared/tar-writer.ts';
import { cannotRun } from './harness.ts';
import { openInstalls, scratch, smallTree, stageTree, writeTree } from './small-tree.ts';

const skip = cannotRun();
const LONG = `isolated/${'long/'.repeat(30)}name`;
const files = {
  ...smallTree,
  'isolated/usr/bin/same': smallTree['isolated/bin/tool'] ?? '',
  [LONG]: 'long',
};
const any = { spec: '', force: false };

/** Installs a tree on a node of its own, and packs it. */
async function packed(t: TestContext, format: PackFormat, version = '1.0.0', tree = files) {
  const node = openInstalls(scratch(t));
  const staged = await stageTree(node.trees, tree);
  const { directory } = await node.trees.install(staged, { name: 'small', version });
  const { file, sha256 } = await node.installs.pack(`small@${version}`, format);
  return { node, directory, file, sha256 };
}

/** What a node has of runtimes, and of what was to become some. */
function leftIn(root: string): string[] {
  const here = readdirSync(root).flatMap((name) => {
    const inside = ['.staging', '.store', '.retired'].includes(name)
      ? readdirSync(path.join(root, name), { recursive: true })
      : [name];
    return inside.map(String).filter((entry) => !/^[0-9a-f]{2}$/.test(entry));
  });
  return here;
}

const manifestOf = (directory: string) =>
  readFileSync(path.join(directory, 'manifest.json'), 'utf8');

for (const format of packFormats) {
  test(`S0-29 a ${format} pack installs elsewhere as what it was, and is the same each time`, {
    skip,
  }, async (t) => {
    const { node, directory, file, sha256 } = await packed(t, format);
    assert.equal((await node.installs.pack('small', format)).sha256, sha256);
    const other = openInstalls(scratch(t), { trusted: [node.key] });
    const installed = await other.installs.fromPack(file, any);
    assert.equal(installed.runtime, 'small@1.0.0');
    assert.equal(manifestOf(installed.directory), manifestOf(directory));
    assert.equal(lstatSync(path.join(installed.directory, 'isolated/lib/data')).gid, 42);
    const verdict = await other.trees.verify(other.catalogue.get('small'));
    assert.deepEqual([verdict.findings, verdict.notes], [[], []]);
    await assert.rejects(other.installs.fromPack(file, any), { kind: 'exists' });
    await other.installs.fromPack(file, { ...any, force: true });
    assert.deepEqual(readdirSync(other.trees.places.staging), []);
  });
}

const unpackers: Readonly<Record<PackFormat, readonly string[]>> = {
  zip: ['unzip', '-q', 'PACK', '-d', 'TARGET'],
  'tar.zst': ['tar', '--zstd', '-xf', 'PACK', '-C', 'TARGET'],
};

for (const format of packFormats) {
  test(`S0-26 S0-28 S1-14 unpacking a ${format} pack with the programs of the system is all there is to deploying it`, {
    skip,
  }, async (t) => {
    const { node, file } = await packed(t, format);
    const other = openInstalls(scratch(t), { trusted: [node.key] });
    const [program = '', ...args] = unpackers[format].map((word) =>
      word.replace('PACK', file).replace('TARGET', other.trees.places.root),
    );
    execFileSync(program, args);
    const runtime = other.catalogue.get('small');
    assert.deepEqual([runtime.version, runtime.problem], ['1.0.0', '']);
    const inside = (name: string) => path.join(runtime.directory, 'isolated', name);
    assert.equal(readlinkSync(inside('etc/tool')), '/bin/tool');
    assert.equal(lstatSync(inside('bin/tool')).mode & 0o7777, 0o755);
    const isTar = format === 'tar.zst';
    assert.equal(
      lstatSync(inside('bin/tool')).ino === lstatSync(inside('usr/bin/same')).ino,
      isTar,
    );
    const { findings, notes } = await other.trees.verify(runtime);
    assert.deepEqual(findings, []);
    assert.equal(notes.length, isTar ? 0 : 1, 'zip keeps no owners');
  });
}

test('a pack that nobody signed, or somebody else did, is refused; with a trusted key it is not', {
  skip,
}, async (t) => {
  const { node, file } = await packed(t, 'tar.zst');
  const other = openInstalls(scratch(t));
  await assert.rejects(other.installs.fromPack(file, any), {
    kind: 'denied',
    message: /not trusted here/,
  });
  const unsigned = repack(file, (entry) =>
    entry.path.endsWith('manifest.sig') ? undefined : entry,
  );
  await assert.rejects(other.installs.fromPack(unsigned, any), {
    kind: 'denied',
    message: /has no signature/,
  });
  assert.deepEqual(leftIn(other.trees.places.root), []);
  const lax = openInstalls(scratch(t), { requireSignatures: false });
  await lax.installs.fromPack(unsigned, any);
  const verdict = await lax.trees.verify(lax.catalogue.get('small'));
  assert.equal(verdict.signature.is, 'trusted', 'it is signed here then');
  await assert.doesNotReject(node.installs.fromPack(file, { ...any, force: true }));
});

/** An entry with its bytes. */
type Whole = TarEntry & { data: Buffer };

/** Changes a pack that we have written, entry by entry. */
function repack(file: string, change: (entry: Whole) => Whole | undefined): string {
  const bytes = zstdDecompressSync(readFileSync(file));
  const entries: Whole[] = [];
  for (let at = 0; bytes[at] !== 0; ) {
    const field = (start: number, length: number) =>
      bytes.toString('utf8', at + start, at + start + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(field(124, 11), 8);
    const data = bytes.subarray(at + 512, at + 512 + size);
    const kind = field(156, 1);
    const record = /path=(.*)\n/.exec(
      entries.at(-1)?.path === 'pax' ? String(entries.pop()?.data) : '',
    );
    const types: Readonly<Record<string, TarEntry['type']>> = {
      0: 'file',
      1: 'copy',
      2: 'link',
      5: 'folder',
    };
    entries.push({
      path: (record?.[1] ?? field(0, 100)).replace(/\/$/, ''),
      type: types[kind] ?? 'file',
      mode: Number.parseInt(field(100, 7), 8),
      uid: Number.parseInt(field(108, 7), 8),
      gid: Number.parseInt(field(116, 7), 8),
      time: 0,
      size,
      target: field(157, 100),
      data,
    });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  const target = path.join(path.dirname(file), 'changed.tar.zst');
  writeFileSync(
    target,
    zstdCompressSync(tarBytes(entries.flatMap((entry) => change(entry) ?? []))),
  );
  return target;
}

function tarBytes(entries: readonly Whole[]): Buffer {
  const parts = entries.flatMap((entry) => [
    tarHeader({ ...entry, size: entry.data.length }),
    entry.data,
    tarPadding(entry.data.length),
  ]);
  return Buffer.concat([...parts, tarEnd()]);
}

const tampered: Readonly<Record<string, readonly [(entry: Whole) => Whole | undefined, RegExp]>> = {
  'one flipped byte': [
    (entry) => {
      if (!entry.path.endsWith('lib/data')) return entry;
      return { ...entry, data: Buffer.from('dbta') };
    },
    /isolated\/lib\/data is not what was signed/,
  ],
  'a flipped byte in its manifest': [
    (entry) => {
      if (!entry.path.endsWith('manifest.json')) return entry;
      return { ...entry, data: Buffer.from(entry.data.toString().replace('0755', '0777')) };
    },
    /its signature is wrong/,
  ],
  'a file more': [
    (entry) =>
      entry.path.endsWith('lib/data')
        ? { ...entry, path: entry.path.replace('data', 'evil') }
        : entry,
    /lib\/evil" is not what its manifest says/,
  ],
  'a file less': [
    (entry) => (entry.path.endsWith('lib/data') ? undefined : entry),
    /isolated\/lib\/data is not what was signed/,
  ],
  'other permissions': [
    (entry) =>
      entry.path.endsWith('bin/tool') && entry.type === 'file' ? { ...entry, mode: 0o777 } : entry,
    /bin\/tool is not what was signed/,
  ],
  'a bigger file': [
    (entry) => (entry.path.endsWith('lib/data') ? { ...entry, data: Buffer.alloc(5000) } : entry),
    /is not what its manifest says/,
  ],
  'another target of a link': [
    (entry) => (entry.type === 'link' ? { ...entry, target: '/bin/evil' } : entry),
    /etc\/tool is not what was signed/,
  ],
};

for (const [what, [change, refusal]] of Object.entries(tampered)) {
  test(`a pack with ${what} is refused, and nothing of it stays`, { skip }, async (t) => {
    const { node, file } = await packed(t, 'tar.zst');
    const other = openInstalls(scratch(t), { trusted: [node.key] });
    await assert.rejects(other.installs.fromPack(repack(file, change), any), refusal);
    assert.deepEqual(leftIn(other.trees.places.root), []);
  });
}

test('a pack that is cut off or has a flipped bit is damaged', { skip }, async (t) => {
  for (const format of packFormats) {
    const { node, file } = await packed(t, format);
    const other = openInstalls(scratch(t), { trusted: [node.key] });
    const bytes = readFileSync(file);
    const flipped = Buffer.from(bytes);
    const middle = Math.floor(bytes.length / 2);
    flipped[middle] = (flipped[middle] ?? 0) ^ 0x10;
    for (const bad of [bytes.subarray(0, -40), flipped, bytes.subarray(0, 10), Buffer.alloc(0)]) {
      writeFileSync(`${file}.bad`, bad);
      await assert.rejects(other.installs.fromPack(`${file}.bad`, any), (error: { kind: string }) =>
        ['invalid', 'denied'].includes(error.kind),
      );
    }
    assert.deepEqual(leftIn(other.trees.places.root), []);
  }
});

const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, time: 0, target: '' } as const;
const runtimeYml: Whole = {
  ...plain,
  path: 'x/runtime.yml',
  data: Buffer.from('name: x\nversion: 1.0.0\n'),
};
const file = (name: string, other: Partial<Whole> = {}): Whole => ({
  ...plain,
  path: name,
  data: Buffer.from('x'),
  ...other,
});
const link = (name: string, target: string): Whole => ({
  ...plain,
  type: 'link',
  path: name,
  target,
  data: Buffer.alloc(0),
});

const evil: Readonly<Record<string, readonly [readonly Whole[], RegExp]>> = {
  'an absolute path': [[file('/tmp/evil')], /has an absolute path/],
  'a path that climbs': [[file('x/../../evil')], /has a path with `\.\.`/],
  'a file through a link': [
    [link('x/isolated/a', '/tmp'), file('x/isolated/a/evil')],
    /is a link, and cannot hold/,
  ],
  'a file in the place of a link': [
    [link('x/isolated/a', '/tmp/evil'), file('x/isolated/a')],
    /stands there twice/,
  ],
  'an entry twice': [[file('x/isolated/a'), file('x/isolated/a')], /stands there twice/],
  'a link that climbs out': [
    [link('x/isolated/a', '../../../etc/passwd')],
    /leads out of the tree/,
  ],
  'a link beside its tree': [[link('x/a', '/etc/passwd')], /leads out of the tree/],
  'another name for a file of the host': [
    [{ ...link('x/isolated/a', '/etc/passwd'), type: 'copy' }],
    /which is no file of the pack/,
  ],
  'another name for a link': [
    [
      link('x/isolated/a', '/etc/passwd'),
      { ...link('x/isolated/b', 'x/isolated/a'), type: 'copy' },
    ],
    /which is no file of the pack/,
  ],
  'a set-uid file': [[file('x/isolated/a', { mode: 0o4755 })], /has a set-id bit/],
  'an owner that no job has': [[file('x/isolated/a', { uid: 70_000 })], /belongs to 70000:0/],
  'a file beside its folder': [[file('y')], /is not in the folder of its runtime\.yml/],
  'too many files': [
    Array.from({ length: 60 }, (_, at) => file(`x/isolated/${at}`)),
    /at most 50 files/,
  ],
  'too many bytes': [[file('x/isolated/a', { data: Buffer.alloc(2 << 20) })], /at most 1 MB/],
};

for (const [what, [entries, refusal]] of Object.entries(evil)) {
  test(`a pack with ${what} is refused, and nothing of it stays`, { skip }, async (t) => {
    const directory = scratch(t);
    const node = openInstalls(directory, {
      requireSignatures: false,
      limits: { maxFiles: 50, maxBytes: 1 << 20 },
    });
    const pack = path.join(directory, 'evil.tar');
    writeFileSync(pack, tarBytes([runtimeYml, ...entries]));
    await assert.rejects(node.installs.fromPack(pack, any), refusal);
    assert.deepEqual(leftIn(node.trees.places.root), []);
    assert.ok(!existsSync('/tmp/evil'));
  });
}

test('devices and pipes in a tar archive are refused', { skip }, async (t) => {
  const directory = scratch(t);
  const node = openInstalls(directory, { requireSignatures: false });
  for (const [kind, what] of [
    ['p', 'named pipe'],
    ['c', 'device'],
    ['b', 'device'],
  ] as const) {
    const folder = path.join(directory, kind, 'x');
    mkdirSync(folder, { recursive: true });
    writeTree(folder, smallTree);
    execFileSync('mknod', [
      path.join(folder, 'isolated/a'),
      kind,
      ...(kind === 'p' ? [] : ['1', '3']),
    ]);
    const pack = path.join(directory, `${kind}.tar`);
    execFileSync('tar', ['-cf', pack, '-C', path.dirname(folder), 'x']);
    await assert.rejects(node.installs.fromPack(pack, any), new RegExp(`is a ${what}`));
  }
  assert.deepEqual(leftIn(node.trees.places.root), []);
});

const zips: Readonly<
  Record<string, readonly [readonly (readonly [string, number, string])[], RegExp]>
> = {
  'an absolute path': [[['/tmp/evil', 0o100644, '']], /absolute path/],
  'a path that climbs': [[['x/../../evil', 0o100644, '']], /relative path|`\.\.`/],
  'a backslash that climbs': [
    [['x\\..\\..\\evil', 0o100644, '']],
    /characters in fileName|relative path|not in the folder/,
  ],
  'an entry twice': [
    [
      ['x/a', 0o100644, ''],
      ['x/a', 0o100644, ''],
    ],
    /stands there twice/,
  ],
  'a file through a link': [
    [
      ['x/isolated/a', 0o120777, '/tmp'],
      ['x/isolated/a/evil', 0o100644, ''],
    ],
    /cannot hold/,
  ],
  'a link that climbs out': [[['x/isolated/a', 0o120777, '../../../etc']], /leads out/],
  'a device': [[['x/isolated/a', 0o020644, '']], /neither a file nor a folder nor a link/],
  'a set-uid file': [[['x/isolated/a', 0o104755, '']], /has a set-id bit/],
};

for (const [what, [entries, refusal]] of Object.entries(zips)) {
  test(`a zip pack with ${what} is refused, and nothing of it stays`, { skip }, async (t) => {
    const directory = scratch(t);
    const node = openInstalls(directory, { requireSignatures: false });
    const pack = path.join(directory, 'evil.zip');
    writeZip(pack, entries);
    await assert.rejects(node.installs.fromPack(pack, any), refusal);
    assert.deepEqual(leftIn(node.trees.places.root), []);
  });
}

/** Writes a zip file of entries as no honest program would, behind a runtime.yml. */
function writeZip(pack: string, entries: readonly (readonly [string, number, string])[]): void {
  const lines = [['x/runtime.yml', 0o100644, 'name: x\nversion: 1.0.0\n'], ...entries].map(
    (entry) => JSON.stringify(entry),
  );
  execFileSync('python3', [path.join(import.meta.dirname, 'evil_zip.py'), pack], {
    input: lines.join('\n'),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
}

test('a zip pack of empty files alone is given up when nobody wants it any more', {
  skip,
}, async (t) => {
  const directory = scratch(t);
  const node = openInstalls(directory, { requireSignatures: false });
  const pack = path.join(directory, 'many.zip');
  writeZip(
    pack,
    Array.from({ length: 5000 }, (_, at) => [`x/isolated/${at}`, 0o100644, ''] as const),
  );
  const controller = new AbortController();
  const report = ({ done }: { readonly done: number }) => {
    if (done > 0) controller.abort();
  };
  await assert.rejects(
    node.installs.fromPack(pack, any, { signal: controller.signal, report }),
    /canceled; nothing of it is left/,
  );
  assert.deepEqual(leftIn(node.trees.places.root), []);
});

test('a pack that is little and becomes big is refused before it does', { skip }, async (t) => {
  const directory = scratch(t);
  const node = openInstalls(directory, { requireSignatures: false });
  const zeros = file('x/isolated/a', { data: Buffer.alloc(128 << 20) });
  const tar = path.join(directory, 'bomb.tar.zst');
  writeFileSync(tar, zstdCompressSync(tarBytes([runtimeYml, zeros])));
  const zip = path.join(directory, 'bomb.zip');
  mkdirSync(path.join(directory, 'x'));
  writeTree(path.join(directory, 'x'), { 'runtime.yml': 'name: x\nversion: 1.0.0\n' });
  writeFileSync(path.join(directory, 'x/zeros'), zeros.data);
  execFileSync('zip', ['-q', '-r', zip, 'x'], { cwd: directory });
  for (const bomb of [tar, zip]) {
    await assert.rejects(node.installs.fromPack(bomb, any), {
      kind: 'exhausted',
      message: /200 times its size/,
    });
  }
  assert.deepEqual(leftIn(node.trees.places.root), []);
});

test('a step back is refused unless it is asked for by its version, or with --force', {
  skip,
}, async (t) => {
  const { node, file: old } = await packed(t, 'tar.zst', '1.9.0');
  const staged = await stageTree(node.trees);
  await node.trees.install(staged, { name: 'small', version: '1.10.0' });
  const other = openInstalls(scratch(t), { trusted: [node.key] });
  const newer = await node.installs.pack('small@1.10.0', 'tar.zst');
  await other.installs.fromPack(newer.file, any);
  await assert.rejects(other.installs.fromPack(old, any), {
    kind: 'wrong-state',
    message: /older than small@1\.10\.0/,
  });
  await assert.rejects(
    other.installs.fromPack(old, { spec: 'other', force: false }),
    /holds small@1\.9\.0, not other/,
  );
  await other.installs.fromPack(old, { spec: 'small@1.9.0', force: false });
  assert.equal(other.catalogue.get('small').version, '1.10.0');
  assert.equal(other.catalogue.get('small@1.9.0').version, '1.9.0');
});

test('what is damaged on the disk is not packed', { skip }, async (t) => {
  const { node, directory } = await packed(t, 'zip');
  writeFileSync(path.join(directory, 'isolated/lib/data'), 'dbta');
  for (const format of packFormats) {
    await assert.rejects(
      node.installs.pack('small', format),
      /isolated\/lib\/data is not what was installed/,
    );
  }
  assert.ok(readdirSync(node.trees.places.staging).length === 1, 'only the first pack is there');
});
