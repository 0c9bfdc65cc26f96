// Runtimes come to a real node and leave it by rnx: as folders and as packs of any size.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { installLocalRuntime, queryAudit, sendJobInput } from '../src/client/methods.ts';
import { publicKeyOf } from '../src/daemon/runtimes/signature.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { ended, start } from './job-calls.ts';
import { MAIN, runRnx } from './rnx.ts';
import { namesBelow, writeTree } from './small-tree.ts';

const skip = cannotRun();
const BUSYBOX = '/bin/busybox';

async function node(t: TestContext, settings: Settings = {}): Promise<Daemon> {
  const daemon = await startDaemon(settings);
  t.after(() => daemon.stop());
  return daemon;
}

/** A folder that is a runtime of one program. */
function writeRuntime(daemon: Daemon, version = '1.0.0'): string {
  const folder = path.join(daemon.directory, `box-${version}`);
  writeTree(folder, {
    'runtime.yml': `name: box\nversion: ${version}\ndescription: One program\n`,
    'isolated/etc/version': `${version}\n`,
    'isolated/tmp/.keep': '',
  });
  mkdirSync(path.join(folder, 'isolated/bin'));
  copyFileSync(BUSYBOX, path.join(folder, 'isolated/bin/busybox'));
  for (const name of ['sh', 'cat', 'ls'])
    symlinkSync('busybox', path.join(folder, 'isolated/bin', name));
  return folder;
}

/** Resolves when nothing is in a directory any more. */
async function emptyAgain(directory: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watcher = watch(directory, () => {
    if (readdirSync(directory).length === 0) resolve();
  });
  await promise;
  watcher.close();
}

const operator = (daemon: Daemon, ...args: string[]) => runRnx(daemon, 'operator', ...args);

/** What lies on a node of uploads and of runtimes that are not installed. */
function leftOn(daemon: Daemon): string[] {
  const { directory } = daemon;
  return [
    ...namesBelow(path.join(directory, 'runtimes/.staging')),
    ...namesBelow(path.join(directory, 'runtimes/.retired')),
    ...namesBelow(path.join(directory, 'jobs/jobs')),
    ...namesBelow(path.join(directory, 'jobs/received')),
  ];
}

test('S0-15 S0-19 a folder is installed on a remote node, and jobs run in it', {
  skip,
}, async (t) => {
  const daemon = await node(t);
  const folder = writeRuntime(daemon);
  const installed = await operator(daemon, 'runtime', 'install', folder);
  assert.equal(installed.code, 0, installed.err);
  assert.match(
    installed.out,
    /^✓ Runtime box@1\.0\.0 installed \(\S+, \S+ of them new on the disk\)\n/,
  );
  assert.match(
    installed.err,
    /^Uploading .*\n\[1\/2\] Unpacking\.\.\.\n\[2\/2\] Installing\.\.\.\n$/s,
  );
  const ran = await operator(
    daemon,
    'job',
    'run',
    '--wait',
    '--runtime=box',
    'cat',
    '/etc/version',
  );
  assert.deepEqual([ran.out, ran.code], ['1.0.0\n', 0], ran.err);
  assert.equal((await operator(daemon, 'runtime', 'verify', 'box')).code, 0);
  assert.deepEqual(leftOn(daemon), []);
  const { records } = await daemon
    .as('admin')
    .unary(queryAudit, { filter: { actions: ['runtime.installed'] } });
  assert.deepEqual(
    records.map(({ who, detail }) => `${who} ${detail}`),
    ['test-operator box@1.0.0'],
  );
});

test('S0-16 a runtime is installed again only with --force or -f, while a job goes on in the old one', {
  skip,
}, async (t) => {
  const daemon = await node(t);
  const folder = writeRuntime(daemon);
  await operator(daemon, 'runtime', 'install', folder);
  const api = daemon.as('operator');
  const script = 'read line; cat /etc/version';
  const uuid = await start(api, {
    command: 'sh',
    args: ['-c', script],
    runtime: 'box',
    stdin: true,
  });
  const again = await operator(daemon, 'runtime', 'install', folder);
  assert.notEqual(again.code, 0);
  assert.match(again.err, /runtime box@1\.0\.0 is installed already; --force takes its place/);
  writeFileSync(path.join(folder, 'isolated/etc/version'), 'new\n');
  for (const flag of ['--force', '-f']) {
    const forced = await operator(daemon, 'runtime', 'install', flag, folder);
    assert.match(forced.out, /took the place of the one that was there/);
  }
  const ran = await operator(
    daemon,
    'job',
    'run',
    '--wait',
    '--runtime=box',
    'cat',
    '/etc/version',
  );
  assert.equal(ran.out, 'new\n');
  const retired = path.join(daemon.directory, 'runtimes/.retired');
  assert.equal(readdirSync(retired).length, 1, 'the one in which the job runs');
  const emptied = emptyAgain(retired);
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n'), end: true }]);
  assert.equal((await ended(api, uuid)).stdout, '1.0.0\n');
  await emptied;
});

test('S0-29 what one node packs another one installs once it trusts the key, and its jobs run', {
  skip,
}, async (t) => {
  const first = await node(t);
  const folder = writeRuntime(first);
  // Not to be sent within a message, and not compressible.
  appendFileSync(path.join(folder, 'isolated/big'), randomBytes(24 << 20));
  await operator(first, 'runtime', 'install', folder);
  const packed = await operator(first, 'runtime', 'pack', 'box');
  assert.match(packed.out, /^✓ box-1\.0\.0\.tar\.zst \(\S+, sha256 [0-9a-f]{64}\)\n$/, packed.err);
  const zipped = await operator(
    first,
    '--json',
    'runtime',
    'pack',
    '--output=box.zip',
    'box@1.0.0',
  );
  assert.equal(JSON.parse(zipped.out).file, 'box.zip');
  assert.deepEqual(leftOn(first), []);
  const key = path.join(first.directory, 'public.pem');
  const signing = readFileSync(path.join(first.directory, 'state/runtime-signing-key.pem'), 'utf8');
  writeFileSync(key, publicKeyOf(signing));
  const stranger = await node(t);
  const refused = await operator(
    stranger,
    'runtime',
    'install',
    path.join(first.directory, 'box.zip'),
  );
  assert.match(refused.err, /is signed by key [0-9a-f]{32}, which is not trusted here/);
  const second = await node(t, {
    runtime: { base_path: path.join(first.directory, 'second'), trustedKeys: [key] },
  });
  for (const pack of ['box-1.0.0.tar.zst', 'box.zip']) {
    const flags = pack.endsWith('zip') ? ['--force'] : [];
    const installed = await operator(
      second,
      'runtime',
      'install',
      ...flags,
      path.join(first.directory, pack),
    );
    assert.equal(installed.code, 0, installed.err);
    const ran = await operator(
      second,
      'job',
      'run',
      '--wait',
      '--runtime=box',
      'cat',
      '/etc/version',
    );
    assert.equal(ran.out, '1.0.0\n');
  }
  assert.equal((await operator(second, 'runtime', 'verify')).code, 0);
  assert.deepEqual(leftOn(stranger), []);
  // S0-26: unpacking it is all there is to deploying it.
  const place = path.join(stranger.directory, 'runtimes');
  spawnSync('unzip', ['-q', path.join(first.directory, 'box.zip'), '-d', place]);
  const ran = await operator(
    stranger,
    'job',
    'run',
    '--wait',
    '--runtime=box',
    'cat',
    '/etc/version',
  );
  assert.equal(ran.out, '1.0.0\n', ran.err);
  assert.match((await operator(stranger, 'runtime', 'list')).out, /^box +1\.0\.0 /m);
});

test('what is no pack and no runtime is refused before or behind the upload, and nothing stays', {
  skip,
}, async (t) => {
  const daemon = await node(t);
  const inside = (name: string) => path.join(daemon.directory, name);
  writeFileSync(inside('x.zip'), 'no zip');
  writeTree(inside('spec'), { 'runtime.yaml': 'name: x\n' });
  writeTree(inside('empty'), { x: '' });
  writeTree(inside('bad'), { 'runtime.yml': 'name: ../x\nversion: 1.0.0\n' });
  const cases = [
    ['x.zip', /neither a zip nor a tar archive/],
    ['y.zip', /there is no pack y\.zip/],
    ['./spec', /rnx runtime build \.\/spec/],
    ['./empty', /there is no file runtime\.yml in/],
    ['./bad', /runtime\.yml:1:7: name: must start with/],
  ] as const;
  for (const [what, refusal] of cases) {
    const { code, err } = await operator(daemon, 'runtime', 'install', what);
    assert.notEqual(code, 0);
    assert.match(err, refusal);
  }
  assert.deepEqual(leftOn(daemon), []);
  const { records } = await daemon
    .as('admin')
    .unary(queryAudit, { filter: { actions: ['runtime.installed'] } });
  assert.deepEqual(
    records.map(({ who, result, detail }) => `${who} ${result} ${detail.slice(0, 9)}`),
    Array(2).fill('test-operator failed unnamed: '),
  );
  const denied = await runRnx(daemon, 'developer', 'runtime', 'install', './bad');
  assert.match(denied.err, /role developer is not allowed/);
  const call = daemon.as('operator').serverStream(installLocalRuntime, {});
  await assert.rejects(async () => {
    for await (const _ of call);
  }, /upload_id: is the id of an upload, or there are files/);
});

test('files of a request become a runtime too', { skip }, async (t) => {
  const daemon = await node(t);
  const files = [
    { path: 'runtime.yml', content: Buffer.from('name: tiny\nversion: "1"\n') },
    { path: 'isolated/bin/x', content: Buffer.from('#!/bin/sh\n'), executable: true },
  ];
  const steps = [];
  for await (const { result } of daemon.as('operator').serverStream(installLocalRuntime, { files }))
    steps.push(result?.runtimeSpec);
  assert.equal(steps.at(-1), 'tiny@1');
  assert.equal((await operator(daemon, 'runtime', 'verify', 'tiny')).code, 0);
});

test('an installation that its client gives up leaves nothing', { skip }, async (t) => {
  const daemon = await node(t);
  const folder = writeRuntime(daemon);
  for (let at = 0; at < 40; at += 1)
    writeFileSync(path.join(folder, `isolated/${at}`), randomBytes(1 << 20));
  const child = spawn(process.execPath, [MAIN, 'runtime', 'install', folder], {
    env: { PATH: process.env['PATH'] ?? '', RNX_CONFIG: daemon.nodesFile('operator') },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
    if (said.includes('[1/2]')) child.kill('SIGINT');
  });
  const gone = daemon.logged(/call failed.*StreamingInstallRuntimeFromLocal/);
  await once(child, 'close');
  await gone;
  assert.ok(!existsSync(path.join(daemon.directory, 'runtimes/box')));
  assert.deepEqual(leftOn(daemon), []);
});
