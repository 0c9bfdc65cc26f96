// rnx runtime list, info, test, remove, status and validate against a real daemon, and who may call
// what is behind them.

import assert from 'node:assert/strict';
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  cancelJob,
  getRuntimeInfo,
  listRuntimes,
  queryAudit,
  removeRuntime,
  stopJob,
  testRuntime,
  validateRuntimeSpec,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { shell, start } from './job-calls.ts';
import { runRnx } from './rnx.ts';
import { cannotMakeTree, makeRuntime } from './runtime-tree.ts';

const skip = cannotRun() || cannotMakeTree();

let daemon: Daemon;
let runtimes: string;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  runtimes = path.join(daemon.directory, 'runtimes');
});

after(async () => {
  await daemon?.stop();
});

const rnx = (...args: string[]) => runRnx(daemon, 'admin', ...args);

const machineLearning = {
  name: 'python-3.11-ml',
  version: '3.11',
  description: 'Completely isolated Python 3.11 with ML packages',
  requirements: {
    min_memory: '512MB',
    recommended_memory: '2GB',
    architectures: ['x86_64', 'amd64', 'aarch64', 'arm64'],
  },
  packages: ['numpy>=1.24.3,<2.0', 'pandas>=2.0.3,<2.1'],
};

describe('rnx runtime', { skip }, () => {
  test('S0-20 S0-21 lists what is there, and says so when nothing is', async () => {
    assert.match((await rnx('runtime', 'list')).out, /^No runtimes are installed/);
    makeRuntime(path.join(runtimes, 'python/python-3.11-ml'), machineLearning);
    const { code, out } = await rnx('runtime', 'list');
    assert.equal(code, 0);
    assert.match(
      out,
      /^RUNTIME {9}VERSION {2}TYPE {4}SIZE {5}DESCRIPTION\n-{7} {9}-{7} {2}-{4} {4}-{4} {5}-{11}\npython-3\.11-ml {2}3\.11 {5}system {2}\d+(\.\d)?MB +Completely isolated .*\n\nTotal runtimes: 1\n$/,
    );
    const [listed] = JSON.parse((await rnx('runtime', 'list', '--json')).out);
    assert.equal(listed.name, 'python-3.11-ml');
    assert.equal(listed.available, true);
    assert.ok(listed.size_bytes > 100_000);
  });

  test('S0-14 S0-22 shows what a runtime needs and brings along', async () => {
    const { code, out } = await rnx('runtime', 'info', 'python:3.11-ml');
    assert.equal(code, 0);
    assert.equal(
      out,
      `Runtime: python-3.11-ml
Type: system
Version: 3.11
Description: Completely isolated Python 3.11 with ML packages

Requirements:
  Minimum Memory: 512MB
  Recommended Memory: 2GB
  Architectures: x86_64, amd64, aarch64, arm64

Pre-installed Packages:
  - numpy>=1.24.3,<2.0
  - pandas>=2.0.3,<2.1

Usage:
  rnx job run --runtime=python-3.11-ml <command>
`,
    );
    const yaml = 'schema_version: "1.0"\n';
    writeFileSync(path.join(runtimes, 'python/python-3.11-ml/specification.yaml'), yaml);
    const told = JSON.parse((await rnx('runtime', 'info', 'python-3.11-ml', '--json')).out);
    assert.deepEqual([told.id, told.original_yaml], ['python-3.11-ml@3.11', yaml]);
    const unknown = await rnx('runtime', 'info', 'pyton-3.11-ml');
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.err,
      /runtime not found: pyton-3\.11-ml \(did you mean python-3\.11-ml\?\)/,
    );
  });

  test('S0-24 tests a runtime that brings no tests by looking it up', async () => {
    const { code, out } = await rnx('runtime', 'test', 'python-3.11-ml');
    assert.equal(code, 0);
    assert.equal(
      out,
      `Testing runtime: python-3.11-ml
✓ Runtime test passed
Output: Runtime resolution successful

To test the runtime in a job:
  rnx job run --runtime=python-3.11-ml python --version
`,
    );
  });

  test('S0-24 runs the tests of a runtime as jobs in it, and says which has failed and why', async () => {
    const folder = path.join(runtimes, 'tested');
    const tests = [
      { name: 'release', command: ['cat', '/etc/os-release'], output: '^ID=small$' },
      { name: 'shell', command: ['sh', '-c', 'touch /work/x && test ! -e /root/x'] },
    ];
    makeRuntime(folder, { name: 'tested', version: '1', tests });
    const { code, out } = await rnx('runtime', 'test', 'tested');
    assert.equal(code, 0);
    assert.match(
      out,
      /✓ Runtime test passed\n.*\n {2}✓ release \(\d+ ms\)\n {2}✓ shell \(\d+ ms\)\n/,
    );

    writeFileSync(path.join(folder, 'isolated/etc/os-release'), 'ID=other\n');
    const failed = await rnx('runtime', 'test', 'tested', '--json');
    assert.equal(failed.code, 1);
    const { success, error, tests: results } = JSON.parse(failed.out);
    assert.equal(success, false);
    assert.equal(error, 'release: its output does not match ^ID=small$: ID=other');
    assert.deepEqual(
      results.map(({ name, passed }: { name: string; passed: boolean }) => [name, passed]),
      [
        ['release', false],
        ['shell', true],
      ],
    );
  });

  test('S0-33 says of each runtime whether jobs can use it', async () => {
    makeRuntime(path.join(runtimes, 'foreign'), {
      name: 'foreign',
      version: '1',
      requirements: { architectures: ['sparc'] },
    });
    const { code, out } = await rnx('runtime', 'status');
    assert.equal(code, 1);
    assert.match(out, /^✗ foreign@1: it is for sparc, and this host is \S+$/m);
    assert.match(out, /^✓ python-3\.11-ml@3\.11: installed$/m);
    assert.equal((await rnx('runtime', 'status', 'python-3.11-ml')).code, 0);
    const uuid = await start(daemon.as('admin'), shell('exit 0'));
    assert.match((await rnx('runtime', 'status', uuid)).out, new RegExp(`^Build Job: ${uuid}\n`));
  });

  test('S0-32 takes a name apart, whether or not it is installed', async () => {
    const { code, out } = await rnx('runtime', 'validate', 'java:21');
    assert.equal(code, 0);
    assert.equal(
      out,
      `✓ Runtime specification is valid
  Original: java:21
  Normalized: openjdk-21

Parsed Information:
  Language: java
  Version: 21
`,
    );
    const bad = await rnx('runtime', 'validate', 'java:21@@1');
    assert.deepEqual([bad.code, bad.out], [1, '']);
    assert.match(bad.err, /✗ Runtime specification is invalid: "java:21@@1" is written NAME/);
  });

  test('S0-30 removes a runtime in all its versions, or in one', async () => {
    for (const version of ['1.0.0', '2.0.0', '10.0.0']) {
      makeRuntime(path.join(runtimes, 'many', version), { name: 'many', version });
    }
    const one = await rnx('runtime', 'remove', 'many@2.0.0');
    assert.equal(one.code, 0);
    assert.match(
      one.out,
      /^Removing runtime: many@2\.0\.0\n✓ Runtime removed successfully\nMessage: Runtime many@2\.0\.0 removed\nFreed space: \S+MB\n$/,
    );
    assert.ok(!existsSync(path.join(runtimes, 'many/2.0.0')));
    const rest = await rnx('runtime', 'remove', 'many', '--json');
    assert.deepEqual(JSON.parse(rest.out).removed, ['many@10.0.0', 'many@1.0.0']);
    assert.ok(!existsSync(path.join(runtimes, 'many')));
    const { records } = await daemon
      .as('admin')
      .unary(queryAudit, { filter: { actions: ['runtime.removed'] }, limit: 10 });
    assert.equal(records.length, 3);
  });

  test('leaves a runtime alone that a job uses, a waiting one too, and what is no name', async () => {
    const api = daemon.as('admin');
    makeRuntime(path.join(runtimes, 'used'), { name: 'used', version: '1' });
    const schedule = new Date(Date.now() + 60 * 60_000).toISOString();
    const uuid = await start(api, shell('true', { runtime: 'used', schedule }));
    makeRuntime(path.join(runtimes, 'busy'), { name: 'busy', version: '1' });
    const running = await start(api, shell('sleep 600', { runtime: 'busy' }));
    await daemon.kill();
    await daemon.restart();
    const refused = await rnx('runtime', 'remove', 'used');
    assert.equal(refused.code, 1);
    assert.match(
      refused.err,
      new RegExp(`runtime used@1 is in use by job ${uuid}; stop or cancel`),
    );
    assert.match((await rnx('runtime', 'remove', 'busy')).err, new RegExp(`by job ${running};`));
    await daemon.as('admin').unary(stopJob, { uuid: running, force: true });
    assert.equal((await rnx('runtime', 'remove', 'busy')).code, 0);
    await daemon.as('admin').unary(cancelJob, { uuid });
    assert.equal((await rnx('runtime', 'remove', 'used')).code, 0);
    for (const name of ['../state', 'used@../../state', '.', '']) {
      await assert.rejects(
        daemon.as('admin').unary(removeRuntime, { runtime: name }),
        /runtime: ".*" must start with/,
      );
    }
    assert.ok(existsSync(path.join(daemon.directory, 'state')));
    makeRuntime(path.join(runtimes, 'blue'), { name: 'green', version: '1' });
    symlinkSync('blue', path.join(runtimes, 'green'));
    assert.match(
      (await rnx('runtime', 'remove', 'green')).err,
      /green@1 is a link to \S+\/blue; remove/,
    );
    assert.equal((await rnx('runtime', 'remove', 'blue')).code, 0);
    assert.ok(!existsSync(path.join(runtimes, 'green')));
  });

  test('lets each role do what the table says', async () => {
    const viewer = daemon.as('viewer');
    assert.ok((await viewer.unary(listRuntimes, {})).runtimes.length > 0);
    const request = { runtime: 'python-3.11-ml' };
    assert.ok((await viewer.unary(getRuntimeInfo, request)).found);
    await assert.rejects(viewer.unary(testRuntime, request), /operation test_runtime/);
    await daemon.as('developer').unary(testRuntime, request);
    const name = { runtimeSpec: 'java:21' };
    await assert.rejects(
      daemon.as('developer').unary(validateRuntimeSpec, name),
      /operation validate_runtime/,
    );
    await daemon.as('operator').unary(validateRuntimeSpec, name);
    await assert.rejects(
      daemon.as('operator').unary(removeRuntime, request),
      /operation remove_runtime/,
    );
  });
});
