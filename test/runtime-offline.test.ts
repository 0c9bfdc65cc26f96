// joblet runtime: runtimes of a host without a daemon.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { publicKeyOf } from '../src/daemon/runtimes/signature.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { scratch, smallTree, writeTree } from './small-tree.ts';

const skip = cannotRun();
const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

/** A host: joblet runtime ARGS with a configuration of its own. */
function hostIn(directory: string, settings: object = {}) {
  mkdirSync(directory, { recursive: true });
  const config = path.join(directory, 'joblet-config.yml');
  const text = {
    runtime: { base_path: path.join(directory, 'runtimes'), ...settings },
    state: { path: path.join(directory, 'state') },
    run: { directory: path.join(directory, 'run') },
    filesystem: { baseDir: path.join(directory, 'jobs') },
    logs: { directory: path.join(directory, 'logs') },
  };
  writeFileSync(config, JSON.stringify(text));
  return (...args: string[]) => {
    const line = [
      '--liftoff-only',
      MAIN,
      'runtime',
      args[0] ?? '',
      '--config',
      config,
      ...args.slice(1),
    ];
    const { status, stdout, stderr } = spawnSync(process.execPath, line, {
      encoding: 'utf8',
      cwd: directory,
    });
    return { status, stdout, stderr };
  };
}

test('S0-29 without a daemon and a network a runtime is installed, packed, moved and verified', {
  skip,
}, (t) => {
  const home = scratch(t);
  const first = hostIn(path.join(home, 'first'));
  const folder = path.join(home, 'folder');
  writeTree(folder, smallTree);
  const installed = first('install', folder);
  assert.match(installed.stdout, /^small@1\.0\.0 is installed: /, installed.stderr);
  assert.match(first('install', folder).stderr, /is installed already; --force takes its place/);
  assert.equal(first('install', '--force', folder).status, 0);
  assert.equal(
    readFileSync(path.join(folder, 'isolated/lib/data'), 'utf8'),
    'data',
    'the folder stays',
  );
  for (const name of ['small.zip', 'small.tar.zst']) {
    assert.match(
      first('pack', '--output', name, 'small').stdout,
      new RegExp(`^${name}: .*sha256 `),
    );
  }
  const key = path.join(home, 'public.pem');
  writeFileSync(
    key,
    publicKeyOf(readFileSync(path.join(home, 'first/state/runtime-signing-key.pem'), 'utf8')),
  );
  const second = hostIn(path.join(home, 'second'), { trustedKeys: [key] });
  for (const name of ['small.zip', 'small.tar.zst']) {
    const moved = second('install', '-f', path.join(home, 'first', name));
    assert.equal(moved.status, 0, moved.stderr);
  }
  assert.match(second('verify').stdout, /^small@1\.0\.0: as it was signed by key [0-9a-f]{32}\n$/);
  assert.match(second('list').stdout, /^small@1\.0\.0 {2}\S+ KB, \S+ KB of its own\n1 runtimes, /);
  writeFileSync(path.join(home, 'second/runtimes/small/1.0.0/isolated/evil'), '');
  const changed = second('verify', 'small');
  assert.deepEqual(
    [changed.status, changed.stdout.includes('isolated/evil: was added')],
    [1, true],
  );
  const stranger = hostIn(path.join(home, 'third'));
  assert.match(stranger('install', path.join(home, 'first/small.zip')).stderr, /not trusted here/);
  assert.match(
    stranger('install', 'nothing').stderr,
    /no registry is configured \(runtime\.registries\)/,
  );
});

test('while a daemon runs, it is the one that installs', { skip }, async (t) => {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const line = [
    '--liftoff-only',
    MAIN,
    'runtime',
    'install',
    '--config',
    path.join(daemon.directory, 'joblet-config.yml'),
    'x',
  ];
  const { status, stderr } = spawnSync(process.execPath, line, { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /a daemon runs on this host; install by it: rnx runtime install/);
});
