import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Entry,
  formatManifest,
  linkProblem,
  type Manifest,
  parseManifest,
  treePathProblem,
} from './manifest.ts';

const sha256 = 'ab'.repeat(32);
const owned = { uid: 0, gid: 0 };
const entries: readonly Entry[] = [
  { type: 'folder', path: 'isolated', mode: 0o755, ...owned },
  { type: 'file', path: 'isolated/größe "x"\n', mode: 0o644, size: 3, sha256, ...owned },
  { type: 'link', path: 'isolated/link', target: '/bin/sh', uid: 7, gid: 42 },
  { type: 'file', path: 'runtime.yml', mode: 0, size: 0, sha256, ...owned },
];
const manifest: Manifest = { name: 'small', version: '1.0.0', specification: '', entries };

const parse = (text: string) => parseManifest(Buffer.from(text));

/** The manifest with one entry more, which takes its place in the order. */
function withEntry(entry: object): string {
  const all = [...entries, entry as Entry].sort((a, b) => (a.path < b.path ? -1 : 1));
  return formatManifest({ ...manifest, entries: all });
}

test('a manifest is read as it was written', () => {
  assert.deepEqual(parse(formatManifest(manifest)), manifest);
  const built = { ...manifest, specification: sha256 };
  assert.deepEqual(parse(formatManifest(built)), built);
});

test('what could be a second spelling of a manifest is none', () => {
  const text = formatManifest(manifest);
  const spaced = text.replace(',"version"', ', "version"');
  const doubled = text.replace('"name":"small"', '"name":"other","name":"small"');
  for (const other of [spaced, doubled, `${text}\n`, text.replace('"uid":0', '"uid":0.0')]) {
    assert.throws(() => parse(other), { kind: 'invalid' });
  }
});

const file = { type: 'file', mode: 0o644, size: 0, sha256, ...owned };
const refused: Readonly<Record<string, object>> = {
  'an absolute path': { ...file, path: '/etc/passwd' },
  'a path that climbs': { ...file, path: 'isolated/../x' },
  'a path that stands there twice': { ...file, path: 'isolated/link' },
  'a path in no folder': { ...file, path: 'nowhere/x' },
  'a path in a link': { ...file, path: 'isolated/link/x' },
  'a path in a file': { ...file, path: 'runtime.yml/x' },
  'the manifest itself': { ...file, path: 'manifest.json' },
  'a set-id bit': { ...file, path: 'isolated/x', mode: 0o4755 },
  'an owner that no job has': { ...file, path: 'isolated/x', uid: 65_536 },
  'a negative size': { ...file, path: 'isolated/x', size: -1 },
  'a digest that is none': { ...file, path: 'isolated/x', sha256: 'zz' },
  'a link that climbs out': { ...owned, type: 'link', path: 'isolated/x', target: '../../y' },
  'a link that leads out': { ...owned, type: 'link', path: 'x', target: '/etc/passwd' },
  'a device': { ...owned, type: 'device', path: 'isolated/x', mode: 0o644 },
};

for (const [what, entry] of Object.entries(refused)) {
  test(`a manifest with ${what} is refused`, () => {
    assert.throws(() => parse(withEntry(entry)), { kind: 'invalid' });
  });
}

test('names and versions are words that are safe as folders', () => {
  for (const [name, version] of [
    ['../x', '1'],
    ['x..y', '1'],
    ['', '1'],
    ['.x', '1'],
    ['x', ''],
    ['x', '..'],
    ['x', 'latest'],
    ['x', '1/2'],
  ] as const) {
    assert.throws(() => parse(formatManifest({ ...manifest, name, version })), /is not one/);
  }
});

test('only links that lead out of a tree are refused', () => {
  const good = ['x', './x', '../x', '/etc/x', 'a/../../x', '/../x'];
  assert.deepEqual(
    good.map((target) => linkProblem('isolated/usr/link', target)),
    good.map(() => undefined),
  );
  for (const target of ['', '../../x', '../../../etc/passwd', 'a/../../../x', 'x\0']) {
    assert.notEqual(linkProblem('isolated/usr/link', target), undefined, target);
  }
  assert.equal(linkProblem('bin/python', 'python3'), undefined);
});

test('paths are relative, of whole parts, and text', () => {
  for (const name of ['a', 'a/b', '...', ' ', 'a\n'])
    assert.equal(treePathProblem(name), undefined);
  for (const name of ['', '/', '/a', 'a/', 'a//b', './a', 'a/.', '..', 'a/../b', '\0', '\ud800']) {
    assert.notEqual(treePathProblem(name), undefined, JSON.stringify(name));
  }
});
