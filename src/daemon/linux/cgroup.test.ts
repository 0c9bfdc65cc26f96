import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type CgroupLayout,
  cgroupDirectories,
  cgroupPlan,
  describeLimits,
  parseCgroupMounts,
} from './cgroup.ts';

const limits = { cpuPercent: 50, memoryBytes: 64 << 20, ioBps: 1000, cpuCores: '', processes: 10 };
const none = { cpuPercent: 0, memoryBytes: 0, ioBps: 0, cpuCores: '', processes: 0 };

const v2: CgroupLayout = { kind: 'v2', base: '/cg/j', swap: true };
const v1: CgroupLayout = {
  kind: 'v1',
  base: {
    memory: '/m/j',
    cpu: '/c/j',
    pids: '/c/j',
    blkio: '/b/j',
    cpuset: '/s/j',
  },
  unified: '/u/j',
  swap: false,
};

function values(plan: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [at, word] of plan.entries()) {
    if (word === 'cgroup-set') found[String(plan[at + 1])] = String(plan[at + 2]);
  }
  return found;
}

test('on cgroup v2 every limit becomes a value in the one directory of the job', () => {
  const plan = cgroupPlan(v2, 'job-x', limits, ['8:0'], true);
  assert.deepEqual(plan.slice(0, 3), ['cgroup', 'v2', '/cg/j/job-x']);
  assert.deepEqual(values(plan), {
    '/cg/j/job-x/memory.max': '67108864',
    '/cg/j/job-x/memory.swap.max': '0',
    '/cg/j/job-x/memory.oom.group': '1',
    '/cg/j/job-x/cpu.max': '50000 100000',
    '/cg/j/job-x/pids.max': '11',
    '/cg/j/job-x/io.max': '8:0 rbps=1000 wbps=1000',
  });
});

test('on v1 controllers a shared mount is one directory, and what no limit needs is left out', () => {
  const plan = cgroupPlan(v1, 'job-x', none, ['8:0'], false);
  const directories = plan.flatMap((word, at) => (word === 'cgroup' ? [plan[at + 2]] : []));
  assert.deepEqual(directories, ['/m/j/job-x', '/c/j/job-x', '/b/j/job-x', '/u/j/job-x']);
  assert.deepEqual(values(plan), {});
  const limited = values(cgroupPlan(v1, 'job-x', limits, ['8:0'], false));
  assert.equal(limited['/m/j/job-x/memory.limit_in_bytes'], '67108864');
  assert.equal(limited['/m/j/job-x/memory.kmem.tcp.limit_in_bytes'], '8388608');
  assert.equal(limited['/c/j/job-x/cpu.cfs_quota_us'], '50000');
  assert.equal(limited['/c/j/job-x/pids.max'], '10');
  assert.equal(limited['/b/j/job-x/blkio.throttle.write_bps_device'], '8:0 1000');
  assert.equal(limited['/m/j/job-x/memory.memsw.limit_in_bytes'], undefined);
});

test('clearing up looks in every directory that a job can have had', () => {
  assert.deepEqual(cgroupDirectories(v2, 'job-x'), ['/cg/j/job-x']);
  assert.equal(cgroupDirectories(v1, 'job-x').length, 5);
});

test('what is in force is told with what keeps it', () => {
  assert.deepEqual(describeLimits(v2, { ...limits, cpuCores: '0-1' }), [
    'CPU 50% of a core (cgroup v2)',
    'cores 0-1 (cgroup v2)',
    'memory 64 MB, swap included (cgroup v2)',
    'I/O 1000 bytes/s per disk and direction (cgroup v2)',
    '10 processes (cgroup v2)',
  ]);
  assert.deepEqual(describeLimits(v1, none), []);
});

test('mounts are told apart by their kind and controllers', () => {
  const text = [
    '29 24 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct',
    '30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
    '31 24 0:27 / / rw - ext4 /dev/vda rw',
    '',
  ].join('\n');
  assert.deepEqual(parseCgroupMounts(text), [
    { kind: 'v1', target: '/sys/fs/cgroup/cpu,cpuacct', options: ['rw', 'cpu', 'cpuacct'] },
    { kind: 'v2', target: '/sys/fs/cgroup/unified', options: [] },
  ]);
});

test('every cgroup mount is found among all others, wherever it stands', () => {
  const place = fc.stringMatching(/^\/[a-z,/]{0,20}$/);
  const line = fc.record({
    type: fc.constantFrom('cgroup', 'cgroup2', 'tmpfs', 'proc'),
    place,
    shared: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines
        .map(
          (one) =>
            `1 2 0:3 / ${one.place} rw ${one.shared ? 'shared:9 ' : ''}- ${one.type} x rw,cpu`,
        )
        .join('\n');
      const found = parseCgroupMounts(text).map(({ kind, target }) => `${kind} ${target}`);
      const expected = lines
        .filter(({ type }) => type.startsWith('cgroup'))
        .map((one) => `${one.type === 'cgroup' ? 'v1' : 'v2'} ${one.place}`);
      assert.deepEqual(found, expected);
    }),
  );
});
