// Builds that do not come to their end: taken back, killed, too big, refused. Nothing of them is left.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, test } from 'node:test';
import { followAudit, getJobStatus, queryJobs } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const MAIN = path.join(import.meta.dirname, '../src/cli/main.ts');
const skip = cannotRun();

let daemon: Daemon;
let files: string;
/** Takes requests and never answers them: a build that asks it is amid its work. */
let silent: Server;

before(async () => {
  if (skip) return;
  daemon = await startDaemon({ runtime: { buildBytes: '64MB', maxBuilds: 2 } });
  files = mkdtempSync(path.join(tmpdir(), 'build-end-test-'));
  silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
});

after(async () => {
  if (skip) return;
  silent.closeAllConnections();
  silent.close();
  rmSync(files, { recursive: true, force: true });
  await daemon.stop();
});

const running = new Set<ChildProcess>();

// What a failed test left would keep the others from building.
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  if (!skip) await emptied(path.join(runtimes(), '.builds'));
});

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, 'runtime', 'build', ...args], {
    cwd: files,
    env: { PATH: process.env['PATH'] ?? '', HOME: files, RNX_CONFIG: daemon.nodesFile('admin') },
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([out, err, [code]]) => ({ out, err, code: code as number | null }),
  );
  return { child, ended };
}

/** Writes a specification of a tree without a base. */
function specification(name: string, ...lines: readonly string[]): void {
  mkdirSync(path.join(files, name), { recursive: true });
  const head = ['schema_version: "1.0"', `name: ${name}`, 'version: 1.0.0', 'base: {none: true}'];
  writeFileSync(path.join(files, name, 'runtime.yaml'), `${[...head, ...lines].join('\n')}\n`);
}

/** Begins a build that waits for a server; resolves when it does. */
async function startWaiting(name: string) {
  const { port } = silent.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/${name}.tar`;
  specification(name, `archives: [{url: "${url}", sha256: "${'0'.repeat(64)}", target: /a}]`);
  const asked = once(silent, 'request');
  const build = start(name);
  const early = await Promise.race([asked, build.ended]);
  if (!Array.isArray(early)) assert.fail(`the build ended early: ${early.err}`);
  return build;
}

const runtimes = () => path.join(daemon.directory, 'runtimes');

/** Resolves when a folder is empty. */
async function emptied(folder: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => readdirSync(folder).length === 0 && resolve();
  const watcher = watch(folder, look);
  look();
  await promise;
  watcher.close();
}

/** Nothing of a build stays: no area, no mount, no upload, no half of a tree. */
function assertNothingLeft(name: string): void {
  for (const folder of ['.builds', '.staging']) {
    assert.deepEqual(readdirSync(path.join(runtimes(), folder)), []);
  }
  assert.deepEqual(readdirSync(path.join(daemon.directory, 'jobs/jobs')), []);
  assert.ok(!existsSync(path.join(runtimes(), name)));
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(daemon.directory));
}

/** Resolves when the audit log has all of these. */
async function recorded(...expected: readonly RegExp[]): Promise<void> {
  const missing = new Set(expected);
  const filter = { actions: ['runtime.built', 'runtime.installed'] };
  for await (const record of daemon.as('admin').serverStream(followAudit, { filter })) {
    const { action, who, result, detail } = record;
    const line = `${who} ${action} ${result} ${detail}`;
    for (const each of missing) if (each.test(line)) missing.delete(each);
    if (missing.size === 0) return;
  }
}

// S0-17, S4-50
test('a build is held as it says, and has the host’s network alone', { skip }, async () => {
  const { child, ended } = await startWaiting('held');
  const api = daemon.as('viewer');
  const { jobs } = await api.unary(queryJobs, { name: 'build-held', limit: 1 });
  const { posture } = await api.unary(getJobStatus, { uuid: jobs[0]?.uuid ?? '', posture: true });
  assert.deepEqual(posture?.kernel?.deviations, []);
  assert.ok(!posture?.namespaces.includes('network'));
  assert.equal(posture?.namespaces.length, 6);
  assert.ok(!posture?.capabilities.includes('CAP_SYS_ADMIN'));
  child.kill('SIGINT');
  await ended;
});

test('Ctrl-C ends a build, and nothing of it is left', { skip }, async () => {
  const { child, ended } = await startWaiting('interrupted');
  child.kill('SIGINT');
  const { code, err } = await ended;
  assert.equal(code, 130);
  assert.match(err, /\nCanceled: nothing of the build is left\n$/);
  await emptied(path.join(runtimes(), '.builds'));
  assertNothingLeft('interrupted');
  await recorded(/^test-admin runtime\.built failed interrupted@1\.0\.0: the call was canceled$/);
});

test('a client that is killed takes its build along', { skip }, async () => {
  const { child, ended } = await startWaiting('abandoned');
  child.kill('SIGKILL');
  await ended;
  await emptied(path.join(runtimes(), '.builds'));
  assertNothingLeft('abandoned');
});

test('a name is built once at a time, and so many builds run at once', { skip }, async () => {
  const first = await startWaiting('first');
  const again = await start('first').ended;
  assert.match(again.err, /runtime first is being built already/);
  const second = await startWaiting('second');
  specification('third');
  const third = await start('third').ended;
  assert.match(third.err, /2 runtimes are being built already \(runtime\.maxBuilds\)/);
  for (const { child, ended } of [first, second]) {
    child.kill('SIGINT');
    await ended;
  }
  await emptied(path.join(runtimes(), '.builds'));
});

test('a daemon that is killed amid a build leaves nothing to the next one', { skip }, async () => {
  const { ended } = await startWaiting('crashed');
  await daemon.kill();
  assert.equal((await ended).code, 1);
  await daemon.restart();
  assertNothingLeft('crashed');
  specification('crashed');
  assert.equal((await start('crashed').ended).code, 0);
  await recorded(
    /^ runtime\.built failed crashed: its daemon ended before it$/,
    /^test-admin runtime\.built ok crashed@1\.0\.0$/,
    /^test-admin runtime\.installed ok crashed@1\.0\.0$/,
  );
});

/** Packs a folder as an archive beside a specification, and answers its SHA-256. */
function pack(name: string, folder: string, ...options: readonly string[]): string {
  const file = path.join(files, name, 'a.tar.gz');
  execFileSync('tar', ['-czf', file, '-C', folder, ...options, '.']);
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function folderFor(name: string): string {
  specification(name);
  const folder = path.join(files, `${name}-content`);
  mkdirSync(folder);
  return folder;
}

async function buildWith(name: string, sha256: string) {
  specification(name, `archives: [{path: a.tar.gz, sha256: "${sha256}", target: /opt/a}]`);
  return start(name).ended;
}

test('a build that fills its disk is refused with the reason, and nothing is left', {
  skip,
}, async () => {
  const folder = folderFor('bomb');
  const fd = openSync(path.join(folder, 'zeros'), 'w');
  ftruncateSync(fd, 80 * 1024 * 1024);
  closeSync(fd);
  const { code, err } = await buildWith('bomb', pack('bomb', folder));
  assert.equal(code, 1);
  assert.match(err, /✗ Copy binaries: /);
  assert.match(err, /\n {2}the disk of the build is full: it has 64 MB, by runtime\.buildBytes/);
  assertNothingLeft('bomb');
});

const evil: Readonly<Record<string, (folder: string) => readonly string[]>> = {
  'a path that leads out of it': (folder) => {
    writeFileSync(path.join(folder, 'x'), '');
    return ['--transform=s,x,../../x,', '-P'];
  },
  'a link that leads out of it': (folder) => {
    symlinkSync('../../etc/passwd', path.join(folder, 'x'));
    return [];
  },
  'a device or the like': (folder) => {
    execFileSync('mkfifo', [path.join(folder, 'x')]);
    return [];
  },
};

for (const [index, [what, make]] of Object.entries(evil).entries()) {
  test(`an archive that holds ${what} is refused`, { skip }, async () => {
    const name = `evil-${index}`;
    const folder = folderFor(name);
    const { code, err } = await buildWith(name, pack(name, folder, ...make(folder)));
    assert.equal(code, 1);
    assert.match(err, new RegExp(`Copy binaries: the archive a.tar.gz holds ${what}: `));
    assertNothingLeft(name);
  });
}

test('an archive with another digest is refused', { skip }, async () => {
  const name = 'changed';
  const folder = folderFor(name);
  pack(name, folder);
  const { code, err } = await buildWith(name, '1'.repeat(64));
  assert.equal(code, 1);
  assert.match(err, /the archive a\.tar\.gz has the SHA-256 [0-9a-f]{64}, and should have 1{64}/);
  assertNothingLeft(name);
});

test('a test that fails keeps a tree from being installed', { skip }, async () => {
  specification('untested', 'tests: [{name: runs, command: [/bin/nothing]}]');
  const { code, err } = await start('untested').ended;
  assert.equal(code, 1);
  assert.match(err, /✗ Final validation: the test "runs" failed: it ended as not-started/);
  assertNothingLeft('untested');
  await recorded(
    /^test-admin runtime\.built failed untested@1\.0\.0: Final validation: the test "/,
  );
});
