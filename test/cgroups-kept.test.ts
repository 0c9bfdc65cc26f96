// On v1 hosts cgroup directories go from job to job. Nothing of one job may be found by the next: not
// its limits, not its memory, not what was counted.

import assert from 'node:assert/strict';
import { readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { JobRequest } from '../src/client/messages.ts';
import { getJobStatus, stopJob } from '../src/client/methods.ts';
import { openCgroups } from '../src/daemon/linux/cgroup.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, shell, start } from './job-calls.ts';
import { untilPopulated } from './populated.ts';
import { processesBelow } from './snapshot.ts';

const MB = 1 << 20;
const skip = cannotRun() || isV2();

/** Why there is nothing to test here, or false. */
function isV2(): string | false {
  const name = `joblet-look-${process.pid}`;
  const layout = openCgroups(`/sys/fs/cgroup/${name}`);
  const bases =
    layout.kind === 'v2' ? [layout.base] : [...Object.values(layout.base), layout.unified];
  for (const base of new Set(bases)) rmdirSync(base);
  return layout.kind === 'v2' && 'on cgroup v2 no directory is used twice';
}

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

const sleep: JobRequest = { command: '/usr/bin/sleep', args: ['600'] };

/** Names of all directories that the daemon has in the memory tree. */
function directories(): string[] {
  const base = path.join('/sys/fs/cgroup/memory', daemon.cgroupName);
  return readdirSync(base, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}

test('the first job runs in a sandbox that was made before it, and reads its limits there', {
  skip,
}, async () => {
  const admin = daemon.as('admin');
  const [first = ''] = directories().filter((name) => name.startsWith('ids-'));
  const [ahead] = await untilPopulated(`/sys/fs/cgroup/unified/${daemon.cgroupName}/${first}`);
  const read = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes; exec sleep 600';
  const uuid = await start(admin, shell(read));
  const { posture } = await admin.unary(getJobStatus, { uuid, posture: true });
  assert.deepEqual(posture?.kernel?.deviations, []);
  const limit = (await printed(admin, uuid, '\n')).trim();
  assert.ok(posture?.kernel?.confirmed.includes(`memory.limit_in_bytes ${limit}`), limit);
  assert.equal(processesBelow(daemon.pid).get(ahead ?? 0), 'init');
  await admin.unary(stopJob, { uuid, force: true });
  await ended(admin, uuid);
});

test('each job is held to its own limits, whatever those of the job before it were', {
  skip,
}, async () => {
  const admin = daemon.as('admin');
  const wishes: JobRequest[] = [
    { maxMemory: 64, maxCpu: 50, maxProcesses: 20, maxIoBps: MB },
    { maxMemory: 64, maxCpu: 50, maxProcesses: 20, maxIoBps: MB },
    { maxMemory: 512, maxCpu: 100 },
    { maxMemory: 16, maxProcesses: 7, cpuCores: '0' },
    {},
    { maxMemory: 16, maxProcesses: 7, cpuCores: '0', noInit: true },
    { maxIoBps: 7 * MB },
  ];
  const before = directories();
  for (const wish of wishes) {
    const uuid = await start(admin, { ...sleep, ...wish });
    const { status, message, posture } = await admin.unary(getJobStatus, { uuid, posture: true });
    assert.equal(status, 'RUNNING', message);
    assert.deepEqual(posture?.kernel?.deviations, [], JSON.stringify(wish));
    assert.deepEqual(directories(), before, 'no directory came or went');
    await admin.unary(stopJob, { uuid, force: true });
    await ended(admin, uuid);
  }
  assert.deepEqual(directories(), before);
});

test('a limit that the job before had and this one has not is gone', { skip }, async () => {
  const admin = daemon.as('admin');
  await finish(admin, { command: '/bin/true', maxMemory: 16, maxProcesses: 3 });
  const { stdout } = await finish(
    admin,
    python(`
children = []
import subprocess
for _ in range(8): children.append(subprocess.Popen(['/usr/bin/sleep', '30']))
held = bytearray(b'x') * (64 << 20)
print(len(children), len(held) >> 20)
for child in children: child.kill()
`),
  );
  assert.equal(stdout.trim(), '8 64');
});

test('what a job used is counted from its own start', { skip }, async () => {
  const admin = daemon.as('admin');
  const busy = python('held = bytearray(b"x") * (200 << 20)\nfor _ in range(3000000): pass');
  const small: JobRequest = { command: '/bin/true' };
  const first = await finish(admin, { ...busy, maxMemory: 300 });
  const second = await finish(admin, { ...small, maxMemory: 300 });
  assert.ok(Number(first.job.memoryPeakBytes) > 200 * MB);
  assert.ok(Number(second.job.memoryPeakBytes) < 50 * MB, `${second.job.memoryPeakBytes}`);
  assert.ok(Number(second.job.cpuUsec) < Number(first.job.cpuUsec) / 2);
});

test('memory that a job left charged is not the next one’s', { skip }, async () => {
  const admin = daemon.as('admin');
  // Files that are read stay in memory, and on the account of who read them.
  const reader = shell('cat /usr/lib/*/libc.so.6 /usr/bin/* >/dev/null 2>&1; true');
  await finish(admin, { ...reader, maxMemory: 256 });
  const { stdout } = await finish(admin, {
    ...python('print(open("/sys/fs/cgroup/memory/memory.usage_in_bytes").read())'),
    maxMemory: 256,
  });
  assert.ok(Number(stdout) < 40 * MB, stdout);
});

test('a job after one that was killed for its memory is not taken for killed', {
  skip,
}, async () => {
  const admin = daemon.as('admin');
  const hog = python('held = []\nwhile True: held.append(bytearray(b"x") * (1 << 20))');
  const killed = await finish(admin, { ...hog, maxMemory: 32 });
  assert.equal(killed.job.reason, 'OOM_KILLED');
  const next = await finish(admin, { command: '/bin/true', maxMemory: 32 });
  assert.equal(next.job.status, 'COMPLETED');
});

test('a daemon that is started again finds jobs in their directories, and later ones in order', {
  skip,
}, async () => {
  const before = directories();
  const uuid = await start(daemon.as('admin'), { ...sleep, maxMemory: 48 });
  await daemon.kill();
  await daemon.restart();
  const admin = daemon.as('admin');
  const other = await finish(admin, { command: '/bin/true', maxMemory: 48 });
  assert.equal(other.job.status, 'COMPLETED');
  const { posture, status } = await admin.unary(getJobStatus, { uuid, posture: true });
  assert.equal(status, 'RUNNING');
  assert.deepEqual(posture?.kernel?.deviations, []);
  await admin.unary(stopJob, { uuid, force: true });
  await ended(admin, uuid);
  assert.deepEqual(directories(), before);
});
