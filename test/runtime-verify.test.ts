// Whatever is changed in an installed runtime is found and named (S1-13).

import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Catalogue } from '../src/daemon/runtimes/catalogue.ts';
import { openSigningKey, signBytes } from '../src/daemon/runtimes/signature.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { runRnx } from './rnx.ts';
import { openTrees, scratch, smallTree, stageTree, writeTree } from './small-tree.ts';

const skip = cannotRun();

/** Installs the small tree, changes it, and looks through it. */
async function verifyAfter(t: TestContext, change: (tree: string) => void) {
  const directory = scratch(t);
  const trees = openTrees(directory);
  const staged = await stageTree(trees);
  const installed = await trees.install(staged, { name: 'small', version: '1.0.0' });
  change(installed.directory);
  const runtime = new Catalogue(trees.places.root).get('small');
  return trees.verify(runtime);
}

const lines = async (t: TestContext, change: (tree: string) => void) => {
  const { findings, signature, findingCount } = await verifyAfter(t, change);
  assert.equal(findingCount, findings.length);
  return [signature.is, ...findings.map((found) => `${found.path} ${found.message}`)];
};

test('a runtime that nobody touched is sound', { skip }, async (t) => {
  const verdict = await verifyAfter(t, () => {});
  assert.deepEqual([verdict.findings, verdict.notes, verdict.signature.is], [[], [], 'trusted']);
  assert.equal(
    verdict.bytes,
    Object.values(smallTree).reduce(
      (sum, text) => sum + (text.startsWith('->') ? 0 : text.length),
      0,
    ),
  );
});

const tool = 'isolated/bin/tool';
const changes: Readonly<Record<string, readonly [(tree: string) => void, RegExp]>> = {
  'a flipped bit': [
    (tree) => {
      const bytes = readFileSync(path.join(tree, tool));
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      writeFileSync(path.join(tree, tool), bytes);
    },
    /^isolated\/bin\/tool has another content$/,
  ],
  'a file that has grown': [
    (tree) => appendFileSync(path.join(tree, tool), 'x'),
    /^isolated\/bin\/tool has \d+ bytes, not \d+$/,
  ],
  'an added file': [
    (tree) => writeFileSync(path.join(tree, 'isolated/new'), ''),
    /^isolated\/new was added$/,
  ],
  'an added folder': [
    (tree) => mkdirSync(path.join(tree, 'isolated/usr/new')),
    /^isolated\/usr\/new was added$/,
  ],
  'a file beside the tree': [
    (tree) => writeFileSync(path.join(tree, 'new'), ''),
    /^new was added$/,
  ],
  'a missing file': [
    (tree) => unlinkSync(path.join(tree, 'isolated/lib/data')),
    /^isolated\/lib\/data is missing$/,
  ],
  'other permissions': [
    (tree) => chmodSync(path.join(tree, tool), 0o777),
    /^isolated\/bin\/tool has permissions 0777, not 0755$/,
  ],
  'a set-id bit': [
    (tree) => chmodSync(path.join(tree, tool), 0o4755),
    /^isolated\/bin\/tool has permissions 4755, not 0755$/,
  ],
  'a folder’s permissions': [
    (tree) => chmodSync(path.join(tree, 'isolated/lib'), 0o777),
    /^isolated\/lib has permissions 0777, not 0755$/,
  ],
  'another owner': [
    (tree) => chownSync(path.join(tree, tool), 7, 7),
    /^isolated\/bin\/tool belongs to 7:7, not to 0:0$/,
  ],
  'another owner of a link': [
    (tree) => lchownSync(path.join(tree, 'isolated/etc/tool'), 7, 0),
    /^isolated\/etc\/tool belongs to 7:0, not to 0:0$/,
  ],
  'another target of a link': [
    (tree) => {
      unlinkSync(path.join(tree, 'isolated/etc/tool'));
      symlinkSync('/bin/other', path.join(tree, 'isolated/etc/tool'));
    },
    /^isolated\/etc\/tool links to \/bin\/other, not to \/bin\/tool$/,
  ],
  'a link in the place of a file': [
    (tree) => {
      unlinkSync(path.join(tree, tool));
      symlinkSync('/bin/sh', path.join(tree, tool));
    },
    /^isolated\/bin\/tool is a link, not a file$/,
  ],
  'another runtime.yml': [
    (tree) => appendFileSync(path.join(tree, 'runtime.yml'), '#'),
    /^runtime\.yml has \d+ bytes, not \d+$/,
  ],
  'no signature': [
    (tree) => unlinkSync(path.join(tree, 'manifest.sig')),
    /^manifest\.sig it has no signature$/,
  ],
  'a signature that is none': [
    (tree) => writeFileSync(path.join(tree, 'manifest.sig'), '{}'),
    /^manifest\.sig the signature cannot be read/,
  ],
  'no manifest': [
    (tree) => unlinkSync(path.join(tree, 'manifest.json')),
    /^manifest\.json is missing/,
  ],
};

for (const [what, [change, finding]] of Object.entries(changes)) {
  test(`${what} is found and named`, { skip }, async (t) => {
    const [, ...found] = await lines(t, change);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', finding);
  });
}

test('a manifest that was changed with the tree is not what was signed', { skip }, async (t) => {
  const found = await lines(t, (tree) => {
    const file = path.join(tree, 'manifest.json');
    const text = readFileSync(file, 'utf8');
    chmodSync(path.join(tree, tool), 0o777);
    writeFileSync(file, text.replace('"mode":"0755","size"', '"mode":"0777","size"'));
  });
  assert.equal(found[0], 'wrong');
  assert.match(found.join('\n'), /its signature is wrong/);
});

test('a tree that somebody else signed is not trusted until their key is', { skip }, async (t) => {
  const other = openSigningKey(path.join(scratch(t), 'other.pem'));
  const found = await lines(t, (tree) => {
    const manifest = readFileSync(path.join(tree, 'manifest.json'));
    writeFileSync(path.join(tree, 'manifest.sig'), signBytes(manifest, other));
  });
  assert.equal(found[0], 'untrusted');
  assert.match(found[1] ?? '', /is not trusted here \(runtime\.trustedKeys\)/);
});

test('a version that passes for another is found', { skip }, async (t) => {
  const [, ...found] = await lines(t, (tree) => renameSync(tree, path.join(tree, '../2.0.0')));
  assert.deepEqual(found, ['manifest.json is that of small@1.0.0, and not of small@2.0.0']);
});

test('owners that an unpacking program did not keep are a note', { skip }, async (t) => {
  const { findings, notes } = await verifyAfter(t, (tree) =>
    chownSync(path.join(tree, 'isolated/lib/data'), 0, 0),
  );
  assert.deepEqual(findings, []);
  assert.match(notes.join(), /^1 files belong to root/);
});

test('rnx runtime verify names what is wrong, and ends with 1 then', { skip }, async (t) => {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const key = path.join(daemon.directory, 'state/runtime-signing-key.pem');
  const keys = { signing: openSigningKey(key), trusted: [] };
  const trees = openTrees(daemon.directory, { keys });
  const staged = await stageTree(trees);
  const { directory } = await trees.install(staged, { name: 'small', version: '1.0.0' });
  const sound = await runRnx(daemon, 'operator', 'runtime', 'verify');
  assert.deepEqual([sound.code, sound.err], [0, '']);
  assert.match(
    sound.out,
    /^✓ small@1\.0\.0: as it was signed by key [0-9a-f]{32} \(\d+ entries, .*\)\n$/,
  );
  writeFileSync(path.join(directory, 'isolated/evil'), '');
  const changed = await runRnx(daemon, 'operator', 'runtime', 'verify', 'small');
  assert.equal(changed.code, 1);
  assert.match(
    changed.out,
    /^✗ small@1\.0\.0: NOT as it was signed .*\n {2}isolated\/evil: was added\n$/,
  );
  const json = await runRnx(daemon, 'operator', '--json', 'runtime', 'verify');
  const [verdict] = JSON.parse(json.out).runtimes;
  assert.deepEqual(verdict.findings, [{ path: 'isolated/evil', message: 'was added' }]);
  // Unpacked by hand, without a manifest.
  rmSync(path.join(directory, 'isolated/evil'));
  writeTree(path.join(trees.places.root, 'flat'), {
    ...smallTree,
    'runtime.yml': 'name: flat\nversion: "1"\n',
  });
  const all = await runRnx(daemon, 'operator', 'runtime', 'verify');
  assert.equal(all.code, 1);
  assert.match(all.out, /✗ flat@1: .*\n {2}manifest\.json: is missing.*\n✓ small@1\.0\.0/s);
  const unknown = await runRnx(daemon, 'operator', 'runtime', 'verify', 'smal');
  assert.match(unknown.err, /runtime not found: smal \(did you mean small\?\)/);
});
