// Registries: a folder of packs with a signed index, got by a path or by HTTPS, also from servers that
// break off, lie or are somebody else.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { publicKeyOf } from '../src/daemon/runtimes/signature.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { serveRegistry } from './registry-server.ts';
import { runRnx } from './rnx.ts';
import { openInstalls, scratch, smallTree, stageTree } from './small-tree.ts';

const skip = cannotRun();
const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

/** joblet registry ARGS. */
function joblet(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--liftoff-only', MAIN, 'registry', ...args],
    { encoding: 'utf8' },
  );
  return { status, stdout, stderr };
}

let made: Awaited<ReturnType<typeof makeRegistry>>;
const home = mkdtempSync(path.join(tmpdir(), 'joblet-registry-'));
after(() => rmSync(home, { recursive: true }));
before(async () => {
  if (!skip) made = await makeRegistry();
});

/** Packs of some versions, in a folder with an index that is signed by the same key. */
async function makeRegistry() {
  const node = openInstalls(home);
  const folder = path.join(home, 'registry');
  mkdirSync(folder);
  for (const version of ['1.9.0', '1.10.0', '2.0.0-rc1']) {
    const tree = {
      ...smallTree,
      'runtime.yml': `name: openjdk-21\nversion: ${version}\ndescription: One\nrequirements: {architectures: [x86_64, amd64, arm64]}\n`,
      'isolated/lib/noise': randomBytes(300_000).toString('base64'),
    };
    const staged = await stageTree(node.trees, tree);
    await node.trees.install(staged, { name: 'openjdk-21', version });
    const { file } = await node.installs.pack(
      `openjdk-21@${version}`,
      version === '1.9.0' ? 'zip' : 'tar.zst',
    );
    copyFileSync(file, path.join(folder, path.basename(file)));
  }
  const key = path.join(home, 'key.pem');
  const ran = joblet('make', '--key', key, folder);
  assert.equal(ran.status, 0, ran.stderr);
  return { folder, key, trusted: [node.key], said: ran.stdout };
}

/** A copy that a test may break. */
function copyOf(t: TestContext): string {
  const copy = path.join(scratch(t), 'registry');
  mkdirSync(copy);
  for (const name of readdirSync(made.folder)) {
    copyFileSync(path.join(made.folder, name), path.join(copy, name));
  }
  return copy;
}

const wish = (spec: string, force = false) => ({ spec, force });

test('joblet registry makes an index of what is there, with checksums and a signature', {
  skip,
}, async (t) => {
  const { folder, said, key } = made;
  assert.match(
    said,
    /^openjdk-21-1\.10\.0\.tar\.zst: openjdk-21@1\.10\.0\n.*registry\.json: 3 runtimes\nsigned by key [0-9a-f]{32}; .*registry\.pub\n$/s,
  );
  const index = JSON.parse(readFileSync(path.join(folder, 'registry.json'), 'utf8'));
  assert.deepEqual(
    Object.keys(index.runtimes['openjdk-21']),
    ['1.9.0', '2.0.0-rc1', '1.10.0'].toSorted(inOrder),
  );
  const entry = index.runtimes['openjdk-21']['1.9.0'];
  assert.deepEqual(entry.platforms, ['linux/amd64', 'linux/arm64']);
  assert.deepEqual(
    [entry.version, entry.description, entry.download_url],
    ['1.9.0', 'One', 'openjdk-21-1.9.0.zip'],
  );
  assert.match(entry.checksum, /^sha256:[0-9a-f]{64}$/);
  assert.equal(
    readFileSync(path.join(folder, 'registry.pub'), 'utf8'),
    publicKeyOf(readFileSync(key, 'utf8')),
  );
  assert.match(joblet('make', '--key', key, scratch(t)).stderr, /there are no packs/);
  assert.match(
    joblet('sign', '--key', key, scratch(t)).stderr,
    /make it with joblet registry make/,
  );
  const broken = copyOf(t);
  writeFileSync(path.join(broken, 'x.zip'), 'no zip');
  assert.match(joblet('make', '--key', key, broken).stderr, /x\.zip: the pack is neither/);
});

const inOrder = (a: string, b: string) =>
  ['1.9.0', '1.10.0', '2.0.0-rc1'].indexOf(a) - ['1.9.0', '1.10.0', '2.0.0-rc1'].indexOf(b);

test('a name is the latest finished version, other names and versions work, and near misses are named', {
  skip,
}, async (t) => {
  const { folder, trusted } = made;
  const addresses = [folder, pathToFileURL(folder).href, path.join(folder, 'registry.json')];
  for (const [at, spec] of ['openjdk-21', 'java:21@latest', 'openjdk-21@2.0.0-rc1'].entries()) {
    const { installs } = openInstalls(scratch(t), { trusted });
    const { runtime } = await installs.fromRegistry(wish(spec), addresses[at] ?? folder);
    assert.equal(runtime, at === 2 ? 'openjdk-21@2.0.0-rc1' : 'openjdk-21@1.10.0');
  }
  const { installs } = openInstalls(scratch(t), { trusted });
  const { runtime } = await installs.fromRegistry(wish('openjdk-21@1.9.0'), folder);
  assert.equal(runtime, 'openjdk-21@1.9.0');
  await installs.fromRegistry(wish('openjdk-21'), folder);
  await assert.rejects(installs.fromRegistry(wish('openjdk-21'), folder), { kind: 'exists' });
  await assert.rejects(
    installs.fromRegistry(wish('openjdk-22'), folder),
    /did you mean openjdk-21\?/,
  );
  await assert.rejects(installs.fromRegistry(wish('x'), '/nowhere'), /is no registry/);
  await assert.rejects(
    installs.fromRegistry(wish('x'), 'http://localhost/'),
    /is no address of a registry/,
  );
});

test('by HTTPS a download that breaks off goes on where it stopped', { skip }, async (t) => {
  const { folder, trusted } = made;
  for (const resumes of [true, false]) {
    const server = await serveRegistry(folder, { cuts: [100_000, 0, 50_000], resumes });
    t.after(() => server.stop());
    const { installs, trees, catalogue } = openInstalls(scratch(t), {
      trusted,
      ca: server.authority,
    });
    const { runtime } = await installs.fromRegistry(wish('openjdk-21'), server.address);
    assert.equal(runtime, 'openjdk-21@1.10.0');
    const ranges = server.asked.filter(({ url }) => url.includes('tar')).map(({ range }) => range);
    assert.equal(ranges.length, 4, ranges.join());
    assert.deepEqual(ranges.slice(0, 1), ['']);
    assert.match(ranges[1] ?? '', /^bytes=[1-9]\d*-$/);
    // A server that cannot go on begins again.
    if (resumes) assert.equal(ranges[2], ranges[1]);
    assert.deepEqual((await trees.verify(catalogue.get('openjdk-21'))).findings, []);
  }
});

test('a server that never gets further, or that nobody vouches for, is given up, and nothing stays', {
  skip,
}, async (t) => {
  const { folder, trusted } = made;
  const server = await serveRegistry(folder, { cuts: [0, 0, 0, 0, 0], resumes: true });
  t.after(() => server.stop());
  const { installs, trees } = openInstalls(scratch(t), { trusted, ca: server.authority });
  await assert.rejects(installs.fromRegistry(wish('openjdk-21'), server.address), {
    kind: 'unavailable',
    message: /cannot be fetched/,
  });
  const stranger = openInstalls(scratch(t), { trusted });
  await assert.rejects(stranger.installs.fromRegistry(wish('openjdk-21'), server.address), {
    kind: 'unavailable',
    message: /certificate/,
  });
  assert.deepEqual(readdirSync(trees.places.staging), []);
});

type Break = (folder: string, key: string) => void;
const breaks: Readonly<Record<string, readonly [Break, RegExp]>> = {
  'an index that was changed': [
    (folder) => change(path.join(folder, 'registry.json'), 'One', 'Two'),
    /the index .* is refused: its signature is wrong/,
  ],
  'an index without a signature': [
    (folder) => rmSync(path.join(folder, 'registry.sig')),
    /the index .* is refused: it has no signature/,
  ],
  'an index that somebody else signed': [
    (folder) => joblet('sign', '--key', path.join(folder, 'other.pem'), folder),
    /which is not trusted here/,
  ],
  'a pack that was changed': [
    (folder) => {
      const file = path.join(folder, 'openjdk-21-1.10.0.tar.zst');
      const bytes = readFileSync(file);
      bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      writeFileSync(file, bytes);
    },
    /its checksum is sha256:/,
  ],
  'a pack that is missing': [
    (folder) => rmSync(path.join(folder, 'openjdk-21-1.10.0.tar.zst')),
    /there is no .*tar\.zst, though the registry names it/,
  ],
  'a pack under the name of another version': [
    (folder, key) => {
      const file = path.join(folder, 'registry.json');
      const index = JSON.parse(readFileSync(file, 'utf8'));
      const versions = index.runtimes['openjdk-21'];
      versions['1.11.0'] = { ...versions['1.9.0'], version: '1.11.0' };
      writeFileSync(file, JSON.stringify(index));
      joblet('sign', '--key', key, folder);
    },
    /the pack holds openjdk-21@1\.9\.0, not openjdk-21@1\.11\.0/,
  ],
  'a runtime for other machines': [
    (folder, key) => {
      change(path.join(folder, 'registry.json'), /linux\/(amd64|arm64)/g, 'linux/riscv');
      joblet('sign', '--key', key, folder);
    },
    /is for linux\/riscv, linux\/riscv, and this node is/,
  ],
};

function change(file: string, from: string | RegExp, to: string): void {
  writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
}

test('what is not as the registry signed it is refused, and nothing of it stays', {
  skip,
}, async (t) => {
  const { key, trusted } = made;
  for (const [what, [make, refusal]] of Object.entries(breaks)) {
    const broken = copyOf(t);
    make(broken, key);
    const { installs, trees } = openInstalls(scratch(t), { trusted });
    await assert.rejects(installs.fromRegistry(wish('openjdk-21'), broken), refusal, what);
    assert.deepEqual(
      readdirSync(trees.places.root).toSorted(),
      ['.retired', '.staging', '.store'],
      what,
    );
    assert.deepEqual(readdirSync(trees.places.staging), [], what);
  }
});

test('an index of the first generation can be used where signatures are not required', {
  skip,
}, async (t) => {
  const folder = copyOf(t);
  rmSync(path.join(folder, 'registry.sig'));
  change(path.join(folder, 'registry.json'), /"linux\/amd64"/g, '"ubuntu-amd64"');
  const { installs } = openInstalls(scratch(t), { requireSignatures: false });
  assert.equal(
    (await installs.fromRegistry(wish('openjdk-21'), folder)).runtime,
    'openjdk-21@1.10.0',
  );
});

test('S0-15 rnx runtime install gets a name from the registry that is configured, or says where it looked; list says what there is', {
  skip,
}, async (t) => {
  const { folder } = made;
  const key = path.join(folder, 'registry.pub');
  const server = await serveRegistry(folder);
  t.after(() => server.stop());
  const ca = path.join(home, 'ca.pem');
  writeFileSync(ca, server.authority);
  const daemon = await startDaemon({
    runtime: {
      base_path: path.join(scratch(t), 'runtimes'),
      registries: [server.address],
      registryCa: ca,
      trustedKeys: [key],
    },
  });
  t.after(() => daemon.stop());
  const rnx = (...args: string[]) => runRnx(daemon, 'operator', 'runtime', 'install', ...args);
  const installed = await rnx('java:21');
  assert.equal(installed.code, 0, installed.err);
  assert.match(
    installed.err,
    /^\[1\/3\] Fetching openjdk-21@1\.10\.0\.\.\.\n\[2\/3\] Unpacking\.\.\.\n\[3\/3\] Installing\.\.\.\n$/,
  );
  const again = await rnx('openjdk-21');
  assert.match(again.err, /is installed already; --force takes its place/);
  assert.equal((await rnx('-f', 'openjdk-21')).code, 0);
  assert.match((await rnx('openjdk-21', '--registry')).err, /is installed already/);
  const list = (role: 'operator' | 'viewer', ...args: string[]) =>
    runRnx(daemon, role, 'runtime', 'list', ...args);
  assert.match(
    (await list('operator', '--registry')).out,
    /^Registry: https:.*registry\.json\nLast updated: \d{4}-.*\n\nRUNTIME +VERSIONS +LATEST +PLATFORMS +DESCRIPTION\n-+\nopenjdk-21 +2\.0\.0-rc1,1\.10\.0,1\.9\.0 +1\.10\.0 +linux\/amd64,linux\/arm64 +One\n\nFound 1 runtime\n/,
  );
  const [offer] = JSON.parse((await list('operator', '--json', `--registry=${folder}`)).out);
  assert.deepEqual(
    [offer.name, offer.latest, offer.versions.length, offer.registry],
    ['openjdk-21', '1.10.0', 3, pathToFileURL(path.join(folder, 'registry.json')).href],
  );
  assert.match(
    (await list('viewer', '--registry')).err,
    /viewer is not allowed to perform operation list_registries/,
  );
  const older = await rnx(`--registry=${folder}`, 'openjdk-21@1.9.0');
  assert.match(older.out, /Runtime openjdk-21@1\.9\.0 installed/);
  const unknown = await rnx('opnjdk-21');
  assert.match(
    unknown.err,
    /runtime not found: opnjdk-21; did you mean openjdk-21\?; nor can it be built: specification not found: opnjdk-21 \(did you mean openjdk-21\?\)/,
  );
  assert.match(
    (await rnx('--registry=relative', 'x')).err,
    /is no address of a registry; give an absolute path/,
  );
  assert.match((await rnx('a@..')).err, /runtime_spec: must start with a letter or a digit/);
});
