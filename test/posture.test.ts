// How a job is held is told from what was recorded at its start and from what the kernel says while it
// runs. Both are compared here with what can be seen from outside.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { JobDetail } from '../src/client/messages.ts';
import { getJobStatus, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, shell, start } from './job-calls.ts';
import { upload } from './upload-parts.ts';

const MB = 1 << 20;
const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

/** Asked anew each time: a daemon that was started again has another connection. */
const admin = () => daemon.as('admin');

type Posture = NonNullable<JobDetail['posture']>;

async function postureOf(uuid: string): Promise<Posture> {
  const { posture } = await daemon.as('viewer').unary(getJobStatus, { uuid, posture: true });
  assert.ok(posture, 'there is no posture');
  return posture;
}

const limited = {
  command: '/usr/bin/sleep',
  args: ['600'],
  maxCpu: 50,
  maxMemory: 32,
  maxProcesses: 20,
  maxIoBps: MB,
  cpuCores: '0',
  workBytes: BigInt(4 * MB),
};

async function stop(uuid: string): Promise<void> {
  await admin().unary(stopJob, { uuid, force: true });
  await ended(admin(), uuid);
}

test('a running job is held as its posture says, and the kernel confirms it (S2-44)', {
  skip,
}, async () => {
  const uuid = await start(admin(), limited);
  const posture = await postureOf(uuid);
  assert.deepEqual(posture.kernel?.deviations, []);
  const { pid, confirmed } = posture.kernel;
  // The same, seen without the daemon.
  const map = readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/);
  assert.deepEqual(map, ['0', String(posture.firstId), String(posture.idCount)]);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  for (const line of [/^CapBnd:\t0+$/m, /^NoNewPrivs:\t1$/m, /^Seccomp:\t2$/m]) {
    assert.match(status, line);
  }
  assert.deepEqual(posture.capabilities, []);
  assert.deepEqual(
    posture.writable.map(({ path: place, bytes, kind }) => [place, Number(bytes), kind]),
    [
      ['/work', 4 * MB, 'memory'],
      ['/tmp', 64 * MB, 'memory'],
      ['/dev/shm', 64 * MB, 'memory'],
    ],
  );
  assert.ok(posture.readOnly.includes('/usr'));
  assert.equal(posture.namespaces.length, 7);
  assert.equal(posture.limits.length, 5);
  for (const side of ['namespaces of its own', 'system call filter', 'read-only root']) {
    assert.ok(confirmed.includes(side), confirmed.join('; '));
  }
  // Each limit was read back, too.
  for (const value of [/^(cpu.max|cpu.cfs_quota_us) 50000/, /^pids.max 21$/, /^cpuset.cpus 0$/]) {
    assert.ok(
      confirmed.some((line) => value.test(line)),
      `${value} is not in ${confirmed.join('; ')}`,
    );
  }
  await stop(uuid);
});

test('a posture that is not as it should be any more says so', { skip }, async () => {
  const uuid = await start(admin(), limited);
  const { kernel } = await postureOf(uuid);
  // Whoever is root on the host may change limits behind the daemon's back.
  const file = path.join(groupWith('pids.max', kernel?.pid ?? 0), 'pids.max');
  writeFileSync(file, '4000');
  const { deviations = [] } = (await postureOf(uuid)).kernel ?? {};
  // The directory may go on to another job.
  writeFileSync(file, '21');
  assert.deepEqual(deviations, ['pids.max holds "4000", not "21"']);
  await stop(uuid);
});

/** The directory of the process's own cgroup that has a file. */
function groupWith(file: string, pid: number): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')) {
    const [, controllers = '', group = ''] = line.split(':');
    const mount = mounts.find((each) =>
      controllers === ''
        ? / - cgroup2 /.test(each)
        : / - cgroup /.test(each) && each.split(',').includes(controllers),
    );
    const directory = path.join(mount?.split(' ')[4] ?? '', group);
    try {
      readFileSync(path.join(directory, file));
      return directory;
    } catch {}
  }
  throw new Error(`process ${pid} is in no cgroup with ${file}`);
}

test('the posture is kept when the job has ended, and when the daemon has', { skip }, async () => {
  const uuid = await start(admin(), limited);
  const { kernel, ...recorded } = await postureOf(uuid);
  await daemon.kill();
  await daemon.restart();
  const again = await postureOf(uuid);
  assert.equal(again.kernel?.pid, kernel?.pid);
  assert.deepEqual(again.kernel?.deviations, []);
  await stop(uuid);
  const { kernel: none, ...kept } = await postureOf(uuid);
  assert.deepEqual([none, kept], [undefined, recorded]);
});

test('opened doors, an init left out and a work directory on disk show in the posture', {
  skip,
}, async () => {
  const content = Buffer.alloc(17 * MB, 1);
  const uploadId = await upload(admin(), [{ path: 'big', mode: 0, content }]);
  const uuid = await start(admin(), {
    ...limited,
    allow: ['userns'],
    noInit: true,
    uploadId,
    workBytes: 0n,
  });
  const posture = await postureOf(uuid);
  assert.deepEqual(posture.kernel?.deviations, []);
  assert.deepEqual(posture.capabilities, ['CAP_SETFCAP']);
  assert.match(posture.filter, /userns/);
  assert.match(posture.init, /the command itself/);
  const [work] = posture.writable;
  assert.deepEqual([work?.path, work?.kind, work?.bytes], ['/work', 'disk', BigInt(273 * MB)]);
  await stop(uuid);
});

test('a job that was never started has no posture, and nobody gets one unasked', {
  skip,
}, async () => {
  const schedule = new Date(Date.now() + 3_600_000).toISOString();
  const uuid = await start(admin(), shell('true', { schedule }));
  const scheduled = await daemon.as('viewer').unary(getJobStatus, { uuid, posture: true });
  assert.equal(scheduled.posture, undefined);
  const { job } = await finish(admin(), shell('true'));
  assert.equal(job.posture, undefined);
});
