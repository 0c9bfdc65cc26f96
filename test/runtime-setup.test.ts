// The scripts that make a runtime for other hosts, with an rnx that only says what it was asked.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '..');
const CUSTOM = path.join(ROOT, 'examples/custom-runtime');

let folder: string;

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'joblet-setup-'));
  writeFileSync(path.join(folder, 'rnx'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a script on a host whose os-release has these lines. */
function setUp(script: string, ...osRelease: readonly string[]) {
  const release = path.join(folder, 'os-release');
  writeFileSync(release, `${osRelease.join('\n')}\n`);
  return spawnSync(script, {
    encoding: 'utf8',
    env: {
      PATH: `${folder}:${process.env['PATH'] ?? ''}`,
      OS_RELEASE: release,
      DEPLOYMENTS: path.join(folder, 'deployments'),
    },
  });
}

test('the script of a runtime builds it, and packs it for other hosts (S0-25, S0-62)', () => {
  const runtime = path.join(ROOT, 'runtimes/python-3.11-ml');
  const { status, stdout } = setUp(path.join(runtime, 'setup_python_3_11_ml.sh'), 'ID=debian');
  const pack = path.join(folder, 'deployments/python-3.11-ml-runtime.zip');
  assert.equal(status, 0);
  assert.equal(
    stdout,
    `runtime build --force ${runtime}\nruntime pack --output=${pack} python-3.11-ml\nCreates: ${pack}\n`,
  );
});

const machine = execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim();
const here = machine === 'aarch64' ? 'arm64' : 'amd64';

const hosts = [
  { family: 'ubuntu', osRelease: ['ID=debian'] },
  { family: 'ubuntu', osRelease: ['ID=linuxmint', 'ID_LIKE="ubuntu debian"'] },
  { family: 'amzn', osRelease: ['ID="amzn"', 'ID_LIKE="fedora"'] },
  { family: 'rhel', osRelease: ['ID="rocky"', 'ID_LIKE="rhel centos fedora"'] },
] as const;

for (const { family, osRelease } of hosts) {
  test(`a host with ${osRelease.join(', ')} is set up by the scripts for ${family} (S0-46, S0-49)`, () => {
    const scripts = readdirSync(CUSTOM).filter((name) => name.endsWith('.sh'));
    assert.equal(scripts.length, 6);
    for (const script of scripts) {
      const { status, stdout, stderr } = setUp(path.join(CUSTOM, script), ...osRelease);
      if (script === `setup-${family}-${here}.sh`) {
        assert.equal(status, 0);
        assert.match(stdout, /^runtime build --force /);
      } else {
        assert.equal(status, 1, script);
        assert.match(stderr, new RegExp(`this host is ${family}-${here}; call setup-${family}-`));
      }
    }
  });
}

test('a script that lies in no runtime says where it belongs (S0-49)', () => {
  const { status, stderr } = setUp(path.join(ROOT, 'runtimes/setup.sh'), 'ID=debian');
  assert.equal(status, 1);
  assert.match(stderr, /no runtime\.yaml beside it/);
});
