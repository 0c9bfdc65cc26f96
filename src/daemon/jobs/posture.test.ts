import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobProcess } from '../linux/job-process.ts';
import type { JobSpec } from './job.ts';
import { comparePosture, postureOf, type Sandbox } from './posture.ts';

const MB = 1 << 20;

const sandbox: Sandbox = {
  firstId: 1 << 20,
  readOnly: ['/usr'],
  work: { kind: 'memory', bytes: MB },
  tmpBytes: 2 * MB,
  shmBytes: 2 * MB,
  cgroups: { kind: 'v2', swap: true, name: 'job-x' },
  startedBy: '1.0.0',
};

function postureWith(allow: JobSpec['allow']) {
  const limits = { cpuPercent: 50, memoryBytes: 0, ioBps: 0, cpuCores: '', processes: 0 };
  const spec = { allow, limits, init: true } as unknown as JobSpec;
  return postureOf({ spec: { ...spec, uploads: [], uploadCount: 0 } }, sandbox);
}

function mount(target: string, options: string, size = '') {
  return {
    target,
    type: 'tmpfs',
    options: options.split(','),
    root: '/',
    fileSystemOptions: [size],
    propagates: false,
  };
}

const sound: JobProcess = {
  pid: 7,
  uidMap: '0 1048576 65536',
  gidMap: '0 1048576 65536',
  capabilities: [],
  noNewPrivs: true,
  seccompMode: 2,
  shared: [],
  mounts: [
    mount('/', 'ro,nosuid,nodev'),
    mount('/dev', 'ro,nosuid,noexec'),
    mount('/dev/pts', 'rw,nosuid,noexec'),
    mount('/proc', 'rw,nosuid,nodev'),
    mount('/work', 'rw,nosuid,nodev', 'size=1024k'),
    mount('/tmp', 'rw,nosuid,nodev', 'size=2048k'),
    mount('/dev/shm', 'rw,nosuid,nodev', 'size=2048k'),
  ],
  devices: ['null', 'zero', 'full', 'tty', 'random', 'urandom'],
  coreBytes: 1,
};

test('a sound process has nothing that is not as its posture says', () => {
  const { confirmed, deviations } = comparePosture(postureWith([]), sound);
  assert.deepEqual(deviations, []);
  assert.equal(confirmed.length, 12);
});

/** What is weakened, and the sentence that has to say so. */
const weakenings: readonly (readonly [Partial<JobProcess>, RegExp])[] = [
  [{ uidMap: '0 0 4294967295' }, /^user and group ids: .*"0 0 4294967295"/],
  [{ gidMap: '0 0 1' }, /^user and group ids: /],
  [{ shared: ['net'] }, /^namespaces of its own: .*net$/],
  [{ capabilities: ['CAP_SYS_ADMIN'] }, /^capabilities: .*CAP_SYS_ADMIN$/],
  [{ noNewPrivs: false }, /^no new privileges: /],
  [{ seccompMode: 0 }, /^system call filter: /],
  [{ mounts: [mount('/', 'rw,nosuid,nodev'), ...sound.mounts.slice(1)] }, /^read-only root: /],
  [{ mounts: [...sound.mounts, mount('/usr', 'rw,nosuid,nodev')] }, /^writable places: .*\/usr$/],
  [
    { mounts: [...sound.mounts, mount('/tmp', 'rw,nosuid,nodev', 'size=4096k')] },
    /^sizes of writable places: .*\/tmp$/,
  ],
  [{ mounts: [...sound.mounts, mount('/usr', 'ro,nodev')] }, /^no set-uid files, .*\/usr$/],
  [{ mounts: [...sound.mounts, mount('/work', 'rw,nosuid')] }, /^no set-uid files, .*\/work$/],
  [
    { mounts: [...sound.mounts, { ...mount('/x', 'ro,nosuid,nodev'), propagates: true }] },
    /^no propagation of mounts: .*\/x$/,
  ],
  [{ coreBytes: Number.POSITIVE_INFINITY }, /^no core dumps: /],
  [
    { devices: ['null', 'nvidia0', 'nvidiactl'] },
    /^devices: it has the devices of 1 GPUs, not of 0$/,
  ],
  [{ devices: ['null', 'kmsg'] }, /^devices: it has others than every job: kmsg$/],
];

test('each side of a posture that the kernel does not confirm is named', () => {
  for (const [weaker, sentence] of weakenings) {
    const { deviations } = comparePosture(postureWith([]), { ...sound, ...weaker });
    assert.ok(
      deviations.some((line) => sentence.test(line)),
      `${sentence} is not in ${deviations.join('; ')}`,
    );
  }
});

test('a job that may have user namespaces holds one capability, and no other', () => {
  const posture = postureWith(['userns']);
  const { deviations } = comparePosture(posture, { ...sound, capabilities: ['CAP_SETFCAP'] });
  assert.deepEqual([posture.capabilities, deviations], [['CAP_SETFCAP'], []]);
  const more = { ...sound, capabilities: ['CAP_SETFCAP', 'CAP_CHOWN'] };
  assert.equal(comparePosture(posture, more).deviations.length, 1);
});
