// Building runtimes with a real daemon, as rnx shows it.

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { runRnxIn } from './rnx.ts';

const skip = cannotRun();

let daemon: Daemon;
let files: string;

before(async () => {
  if (skip) return;
  daemon = await startDaemon();
  files = mkdtempSync(path.join(tmpdir(), 'runtime-build-test-'));
});

after(async () => {
  if (skip) return;
  rmSync(files, { recursive: true, force: true });
  await daemon.stop();
});

/** Runs rnx in the test's folder of files. */
const rnx = (...args: string[]) => runRnxIn(files, daemon, 'admin', ...args);

/** Writes a specification, and what lies beside it, into a folder of its own. */
function specification(name: string, ...lines: readonly string[]): string {
  const folder = path.join(files, name);
  mkdirSync(folder, { recursive: true });
  const head = ['schema_version: "1.0"', `name: ${name}`, 'version: 1.0.0'];
  writeFileSync(path.join(folder, 'runtime.yaml'), `${[...head, ...lines].join('\n')}\n`);
  return folder;
}

test('a specification that can be built is said to be valid, with what it says', {
  skip,
}, async () => {
  specification(
    'fine',
    'description: for a test',
    'base: {debian: bookworm}',
    'apt: [python3]',
    'pip: ["numpy>=1.24.3,<2.0", six]',
    'platforms: [linux/amd64, linux/arm64]',
    'tests: [{name: version, command: [python3, -V]}]',
  );
  const { code, out, err } = await rnx('runtime', 'validate', 'fine');
  assert.deepEqual([code, err], [0, '']);
  assert.equal(
    out,
    [
      '✓ Runtime specification is valid',
      '  Spec: fine 1.0.0, from Debian bookworm',
      '  Platform: linux/amd64, linux/arm64',
      '  Packages: 1 by apt, 2 by pip',
      '    apt: python3',
      '    pip: numpy>=1.24.3,<2.0, six',
      '  Warnings:',
      '    pip: six has no version; a later build takes the newest\n',
    ].join('\n'),
  );
  const { out: json } = await rnx('--json', 'runtime', 'validate', 'fine/runtime.yaml');
  assert.equal(JSON.parse(json).spec.pip_packages.length, 2);
});

test('all that is wrong with a specification is named with its place', { skip }, async () => {
  specification('wrong', 'base: {debain: bookworm}', 'apt: python3');
  const { code, out, err } = await rnx('runtime', 'validate', 'wrong');
  assert.deepEqual([code, out], [1, '']);
  assert.equal(
    err,
    [
      '✗ Runtime specification is not valid',
      '  wrong/runtime.yaml:4:8: base.debain: is not known; did you mean debian?',
      '  wrong/runtime.yaml:5:6: apt: must be a list',
      '  wrong/runtime.yaml:4:7: base: must have exactly one of debian, ubuntu, language and none; it has no such key\n',
    ].join('\n'),
  );
  const missing = await rnx('runtime', 'validate', 'nowhere.yaml');
  assert.equal(missing.code, 1);
  assert.match(missing.err, /the specification cannot be read: .*nowhere\.yaml/);
});

test('a runtime without a base is built, installed and found', { skip }, async () => {
  specification(
    'tree',
    'base: {none: true}',
    'files: [{target: /etc/motd, content: "hello\\n"}, {target: /opt/a/own, source: data/own, mode: "0600"}]',
    'links: [{target: /etc/greeting, to: motd}]',
    'environment: {GREETING: /etc/motd}',
    'aliases: ["tree:1"]',
  );
  mkdirSync(path.join(files, 'tree/data'));
  writeFileSync(path.join(files, 'tree/data/own'), 'mine');
  const { code, out, err } = await rnx('runtime', 'build', 'tree');
  assert.equal(code, 0, err);
  assert.match(err, /^ 1\/14 Validate specification: tree 1\.0\.0\n/);
  assert.match(err, /\n14\/14 Final validation: no tests\n/);
  assert.match(out, /^✓ Runtime tree@1\.0\.0 built\n {2}Location: .*tree\/1\.0\.0\n {2}Size: /);
  const tree = path.join(daemon.directory, 'runtimes/tree/1.0.0');
  assert.equal(readFileSync(path.join(tree, 'isolated/etc/greeting'), 'utf8'), 'hello\n');
  assert.equal(statSync(path.join(tree, 'isolated/opt/a/own')).mode & 0o777, 0o600);
  assert.match(readFileSync(path.join(tree, 'runtime.yml'), 'utf8'), /^name: tree\n/);
  assert.equal((await rnx('runtime', 'verify', 'tree')).code, 0);

  const again = await rnx('runtime', 'build', 'tree');
  assert.equal(again.code, 1);
  assert.match(again.err, /runtime tree@1\.0\.0 is installed already; build it with --force/);
  assert.equal((await rnx('runtime', 'build', '--force', 'tree')).code, 0);
  assertNothingLeft();
});

test('a dry run says that it can be built, and builds nothing', { skip }, async () => {
  specification('dry', 'base: {none: true}');
  const { code, out } = await rnx('runtime', 'build', '--dry-run', 'dry');
  assert.deepEqual([code, out], [0, '✓ dry 1.0.0 can be built\n']);
  assert.ok(!existsSync(path.join(daemon.directory, 'runtimes/dry')));
  assertNothingLeft();
});

test('S0-31 a name is looked for in a checkout, or at the node', { skip }, async () => {
  specification('checkout/sub/named', 'base: {none: true}');
  const file = path.join(files, 'checkout/sub/named/runtime.yaml');
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace('name: checkout/sub/named', 'name: named'),
  );
  const where = ['--repository=checkout', '--path=sub'];
  const found = await rnx('runtime', 'build', '--dry-run', ...where, 'named');
  assert.deepEqual([found.code, found.out], [0, '✓ named 1.0.0 can be built\n']);
  const elsewhere = await rnx('runtime', 'build', '--repository=checkout', 'named');
  assert.match(elsewhere.err, /--repository: there is no checkout\/named\/runtime\.yaml/);
  const misspelt = await rnx('runtime', 'build', 'python-3.11-mk');
  assert.match(
    misspelt.err,
    /specification not found: python-3\.11-mk \(did you mean python-3\.11-ml\?\)/,
  );
  const unknown = await rnx('runtime', 'build', 'cobol');
  assert.match(unknown.err, /specification not found: cobol \(there is [a-z0-9., -]+\)/);
  assert.doesNotMatch(unknown.err, /setup/);
  const branch = await rnx('runtime', 'build', '--branch=main', 'named');
  assert.match(branch.err, /--branch: rnx fetches no repositories/);
});

test('a specification that names what does not lie beside it is not sent', { skip }, async () => {
  specification('lone', 'base: {none: true}', 'files: [{target: /a, source: no/such}]');
  const { code, err } = await rnx('runtime', 'build', 'lone');
  assert.equal(code, 1);
  assert.match(err, /the specification names no\/such, and it cannot be read/);
  const folder = specification('led', 'base: {none: true}', 'files: [{target: /a, source: key}]');
  symlinkSync('/etc/hostname', path.join(folder, 'key'));
  const led = await rnx('runtime', 'build', 'led');
  assert.equal(led.code, 1);
  assert.match(
    led.err,
    /names key, a link that leads out of its folder, to \/etc\/hostname; put a/,
  );
});

test('a specification that is too large, or would make a file of a folder, is told so', {
  skip,
}, async () => {
  specification('large', 'base: {none: true}', `description: "${'x'.repeat(2 ** 20)}"`);
  const large = await rnx('runtime', 'build', 'large');
  assert.equal(large.code, 1);
  assert.match(
    large.err,
    /the specification \S+ is larger than 1000 KB; put what is long into files/,
  );
  const lines = ['files: [{target: /a/b, content: x}]', 'links: [{target: /a, to: /etc}]'];
  specification('folder', 'base: {none: true}', ...lines);
  const { code, err } = await rnx('runtime', 'build', 'folder');
  assert.equal(code, 1);
  assert.match(
    err,
    /✗ Copy binaries: \/a is a folder of the tree; it cannot become a file or a link/,
  );
  assertNothingLeft();
});

/** No area of a build, no upload and no mount stays. */
function assertNothingLeft(): void {
  const runtimes = path.join(daemon.directory, 'runtimes');
  assert.deepEqual(readdirSync(path.join(runtimes, '.builds')), []);
  assert.deepEqual(readdirSync(path.join(runtimes, '.staging')), []);
  assert.deepEqual(readdirSync(path.join(daemon.directory, 'jobs/jobs')), []);
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(daemon.directory));
}
