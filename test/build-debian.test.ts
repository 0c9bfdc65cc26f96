// A runtime of Debian packages, built for real: what it is, that it is the same twice, and that nothing
// of the host is touched. The mirrors are those of this host; without any there is nothing to build of.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { runRnxIn } from './rnx.ts';

const ROOT = path.join(import.meta.dirname, '..');
const skip = cannotRun() || cannotBuild();

let daemon: Daemon;
let files: string;

function cannotBuild(): string | false {
  try {
    const release = readFileSync('/etc/os-release', 'utf8');
    return /^ID=debian$/m.test(release) ? false : 'the packages are Debian’s, and this host is not';
  } catch {
    return 'this host does not say what it is';
  }
}

before(async () => {
  if (skip) return;
  daemon = await startDaemon();
  files = mkdtempSync(path.join(tmpdir(), 'build-debian-test-'));
});

after(async () => {
  if (skip) return;
  rmSync(files, { recursive: true, force: true });
  await daemon.stop();
});

const rnx = (...args: string[]) => runRnxIn(files, daemon, 'admin', ...args);

/** Each line is something that a hook must not be able to do; it says so when it can. */
const attempts = [
  'mount -t tmpfs x /mnt 2>/dev/null && echo BAD mount',
  'unshare -m true 2>/dev/null && echo BAD unshare',
  'mknod /tmp/disk b 8 0 2>/dev/null && echo BAD mknod',
  'echo x >/proc/sys/kernel/hostname 2>/dev/null && echo BAD sysctl',
  'ls /proc/1/root/home /proc/1/root/root/.ssh 2>/dev/null && echo BAD host',
  'test "$(id -u)" = 0 || echo BAD user',
  'grep -q " 65536$" /proc/self/uid_map || echo BAD ids',
];

/** The first specification of the guide, whose hook also tries what it must not be able to do. */
const guide = readFileSync(path.join(ROOT, 'docs/guide/creating-a-runtime.md'), 'utf8');
const [, shown = ''] = /^```yaml\n(.*?)^```$/ms.exec(guide) ?? [];
const hook = JSON.stringify(['hello >/etc/greeting', ...attempts, 'true'].join('\n'));
const specification = shown.replace(
  /(post_install: )".*"/,
  `$1${hook}, pre_install: "echo before"`,
);

/** What is looked at to see whether the host was touched. */
const hostFolders = ['/usr', '/etc', '/var/lib/dpkg', '/var/lib/apt', '/var/cache/apt'];

test('S0-18 S1-8 a Debian runtime is built without touching the host, and twice the same', {
  skip,
}, async () => {
  mkdirSync(path.join(files, 'small'));
  writeFileSync(path.join(files, 'small/runtime.yaml'), specification);
  const marker = path.join(files, 'marker');
  writeFileSync(marker, '');
  const first = await rnx('runtime', 'build', '--verbose', '--write-lock=lock', 'small');
  assert.equal(first.code, 0, first.err);
  assert.match(first.err, /\n {2}before\n/);
  assert.doesNotMatch(first.err, /BAD/);
  const touched = execFileSync(
    'find',
    [...hostFolders, '-xdev', '!', '-type', 'd', '-newercm', marker],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(touched, '');

  const tree = path.join(daemon.directory, 'runtimes/my-runtime/1.0.0');
  const manifest = readFileSync(path.join(tree, 'manifest.json'), 'utf8');
  const setUid = execFileSync('find', [tree, '-perm', '/6000'], { encoding: 'utf8' });
  assert.equal(setUid, '');
  const { out } = await rnx('job', 'run', '--wait', '--runtime=my-runtime', 'cat', '/etc/greeting');
  assert.equal(out, 'Hello, world!\n');
  assert.ok(readdirSync(path.join(daemon.directory, 'runtimes/.packages')).length > 50);

  // From the packages of the first one: nothing is fetched.
  const second = await rnx('runtime', 'build', '--verbose', '--force', '--lock=lock', 'small');
  assert.equal(second.code, 0, second.err);
  assert.doesNotMatch(second.err, /fetching/);
  assert.equal(readFileSync(path.join(tree, 'manifest.json'), 'utf8'), manifest);
  assert.equal((await rnx('runtime', 'verify', 'my-runtime')).code, 0);
});

test('a package that no mirror has is named before anything is built', { skip }, async () => {
  mkdirSync(path.join(files, 'lacking'));
  const text = specification.replace('apt: [hello]', 'apt: [hello, no-such-package]');
  writeFileSync(path.join(files, 'lacking/runtime.yaml'), text);
  const { code, err } = await rnx('runtime', 'build', '--dry-run', 'lacking');
  assert.equal(code, 1);
  assert.match(err, /✗ Validate packages: .*Unable to locate package no-such-package/s);
});

test('S4-64 a job that calls itself a build gets nothing for it', { skip }, async () => {
  const { code, out } = await rnx(
    ...['job', 'run', '--wait', '--env=JOB_TYPE=runtime-build', '--env=JOBLET_CHROOT=true'],
    'grep -h CapEff /proc/self/status; ls /builder /build 2>&1 | wc -l; ls /sys/class/net',
  );
  assert.equal(code, 0);
  assert.equal(out, 'CapEff:\t0000000000000000\n2\nlo\n');
});
