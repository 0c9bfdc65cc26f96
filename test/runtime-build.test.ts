// Building runtimes with a real daemon, as rnx shows it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const MAIN = path.join(import.meta.dirname, '../src/cli/main.ts');
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
async function rnx(...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: files,
    env: { PATH: process.env['PATH'] ?? '', HOME: files, RNX_CONFIG: daemon.nodesFile('admin') },
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code, out, err };
}

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
