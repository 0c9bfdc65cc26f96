import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CgroupLayout } from '../linux/cgroup.ts';
import { capabilityNames } from '../linux/job-process.ts';
import type { Facts, State } from './check.ts';
import { checks } from './checks.ts';

const IMAGE_PROGRAMS = ['mkfs.ext4', 'tune2fs', 'e2fsck', 'losetup', 'mount', 'umount', 'cp'];
const V2 = ['cpu', 'cpuset', 'io', 'memory', 'pids'];
const layout: CgroupLayout = { kind: 'v2', base: '/cg/j', swap: true };
const place = {
  path: '/opt/joblet',
  directory: '/opt',
  fileSystem: 'ext4',
  options: ['rw'],
  isWholeDisk: true,
  freeBytes: 2 ** 40,
  freeFiles: 2 ** 20,
};

const xfs = { ...place, fileSystem: 'xfs', options: ['rw', 'prjquota'] };

const tried = [
  ...['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user', 'time'].map(
    (kind) => `namespace ${kind}`,
  ),
  ...['tmpfs', 'proc', 'sysfs', 'devpts', 'ext4', 'overlay', 'squashfs', 'erofs'].map(
    (type) => `file system ${type}`,
  ),
  ...['unprivileged user namespace', 'ids', 'mounts', 'openat2', 'pidfd', 'close_range', 'filter'],
  ...['loop', 'ipv6', 'link veth', 'link bridge', 'link ifb', 'nftables', 'birth in a cgroup'],
  ...['qdisc htb', 'qdisc tbf', 'qdisc ingress', 'idmap /usr', 'idmap /opt', 'idmap /dev/shm'],
];

/** A host that lacks nothing. */
const rich: Facts = {
  isRoot: true,
  uidMap: '0 0 4294967295',
  kernel: '6.12.1',
  machine: 'x86_64',
  core: '0',
  commandLine: 'quiet',
  capabilities: capabilityNames,
  isFiltered: false,
  probes: new Map([...tried.map((name) => [name, 'ok'] as const), ['landlock', '6'] as const]),
  probeProblem: '',
  mounts: ['/usr'],
  cgroups: { v1: [], unified: '/sys/fs/cgroup', v2: V2, layout, hasPeak: true, problem: '' },
  hasSwap: true,
  hasPressure: true,
  sysctls: new Map([
    ['kernel.kptr_restrict', '1'],
    ['kernel.pid_max', '4194304'],
    ['kernel.threads-max', '4194304'],
    ['kernel.random.entropy_avail', '256'],
    ['fs.file-max', '1000000'],
  ]),
  seccompActions: ['log', 'user_notif'],
  openFiles: 524_288,
  places: { state: place, logs: place, work: place, volumes: xfs, runtimes: place },
  disks: ['sda'],
  programs: new Set([...IMAGE_PROGRAMS, 'nft', 'tc', 'ip']),
  isUnderSystemd: true,
  isSelinuxEnforcing: false,
  subordinateIds: [['user', 100_000, 65_536]],
  clockSource: 'tsc',
  atMs: Date.parse('2030-01-31T12:00:00Z'),
  gpus: { isEnabled: true, count: 2, problem: '' },
  forwardDrops: [],
  wishes: { maxConcurrentJobs: 100, processes: 1024, firstId: 0x2000_0000, idCount: 2 ** 28 },
};

const DROP = { family: 'ip', table: 'filter', chain: 'FORWARD' };

function wanting(facts: Facts): string[] {
  return checks
    .map((check) => ({ name: check.name, ...check.look(facts) }))
    .filter(({ state }) => state !== 'ok')
    .map(({ name, state }) => `${state}: ${name}`);
}

function probing(name: string, result: string): Partial<Facts> {
  return { probes: new Map([...rich.probes, [name, result] as const]) };
}

function setting(name: string, value: string): Partial<Facts> {
  return { sysctls: new Map([...rich.sysctls, [name, value] as const]) };
}

function on(change: Partial<typeof place>): Partial<Facts> {
  return { places: { ...rich.places, state: { ...place, ...change } } };
}

function volumesOn(change: Partial<typeof place>): Partial<Facts> {
  return { places: { ...rich.places, volumes: { ...xfs, ...change } } };
}

function grouped(change: Partial<Facts['cgroups']>): Partial<Facts> {
  return { cgroups: { ...rich.cgroups, ...change } };
}

/** What a host is poorer by, and what has to be said of it, and nothing else. */
const poorer: readonly (readonly [Partial<Facts>, State, name: string])[] = [
  [{ kernel: '5.10.0-30-amd64' }, 'missing', 'version'],
  [{ uidMap: '0 100000 65536' }, 'missing', 'root'],
  [{ isFiltered: true }, 'limited', 'filter around the daemon'],
  [setting('kernel.random.entropy_avail', '20'), 'limited', 'entropy'],
  [{ atMs: 0 }, 'missing', 'clock'],
  [{ clockSource: 'hpet' }, 'limited', 'clock source'],
  [probing('namespace user', 'ENOSPC'), 'missing', 'namespaces'],
  [setting('user.max_user_namespaces', '0'), 'missing', 'room for namespaces'],
  [setting('user.max_net_namespaces', '50'), 'limited', 'room for namespaces'],
  [{ subordinateIds: [['podman', 0x2000_0000, 1]] }, 'missing', 'ids of others'],
  [probing('filter', 'EINVAL'), 'missing', 'system call filter'],
  [probing('openat2', 'ENOSYS'), 'missing', 'mounts'],
  [probing('idmap /usr', 'EINVAL'), 'missing', 'id-mapped mounts'],
  [probing('idmap /opt', 'EINVAL'), 'missing', 'id-mapped runtimes'],
  [setting('kernel.kptr_restrict', '0'), 'ok', 'addresses of the kernel'],
  [{ isSelinuxEnforcing: true }, 'limited', 'SELinux'],
  [probing('unprivileged user namespace', 'EPERM'), 'missing', 'nested user namespaces'],
  [setting('kernel.yama.ptrace_scope', '3'), 'limited', 'tracing'],
  [{ seccompActions: ['log'] }, 'missing', 'notifications of the filter'],
  [probing('landlock', 'EOPNOTSUPP'), 'missing', 'Landlock'],
  [probing('birth in a cgroup', 'ENOSYS'), 'missing', 'birth in a cgroup'],
  [grouped({ layout: { ...layout, swap: false } }), 'missing', 'swap'],
  [grouped({ hasPeak: false }), 'missing', 'peak of memory'],
  [{ commandLine: 'cgroup.memory=nokmem' }, 'missing', 'memory of the kernel'],
  [setting('vm.panic_on_oom', '2'), 'missing', 'out of memory'],
  [setting('vm.overcommit_memory', '2'), 'limited', 'reserved memory'],
  [setting('kernel.threads-max', '15000'), 'limited', 'processes'],
  [{ openFiles: 1024 }, 'limited', 'open files'],
  [{ disks: [] }, 'missing', 'disks'],
  [{ hasPressure: false }, 'missing', 'pressure'],
  [on({ fileSystem: 'tmpfs' }), 'limited', 'state'],
  [on({ fileSystem: 'nfs4' }), 'missing', 'state'],
  [on({ options: ['ro'] }), 'missing', 'state'],
  [on({ freeBytes: 1000 }), 'limited', 'state'],
  [on({ freeFiles: 10 }), 'limited', 'state'],
  [probing('loop', 'ENOENT'), 'missing', 'volumes and work directories on disk'],
  [{ programs: new Set(['nft', 'tc', 'ip']) }, 'missing', 'volumes and work directories on disk'],
  [probing('idmap /dev/shm', 'EINVAL'), 'missing', 'volumes in memory'],
  [volumesOn({ options: ['rw'] }), 'missing', 'quotas of projects'],
  [volumesOn({ fileSystem: 'ext4' }), 'missing', 'quotas of projects'],
  [probing('file system overlay', 'ENODEV'), 'missing', 'overlays'],
  [probing('file system erofs', 'ENODEV'), 'missing', 'packed file systems'],
  [probing('link veth', 'EOPNOTSUPP'), 'missing', 'links'],
  [{ programs: new Set([...IMAGE_PROGRAMS, 'tc', 'ip']) }, 'limited', 'packet filter'],
  [{ forwardDrops: [DROP] }, 'limited', 'way out'],
  [{ forwardDrops: undefined }, 'unknown', 'way out'],
  [{ programs: new Set([...IMAGE_PROGRAMS, 'nft', 'ip']) }, 'limited', 'limits of bandwidth'],
  [probing('qdisc tbf', 'ENOENT'), 'missing', 'limits of bandwidth'],
  [probing('ipv6', 'EAFNOSUPPORT'), 'missing', 'IPv6'],
  [{ gpus: { ...rich.gpus, problem: 'nvidia-smi is not there' } }, 'missing', 'GPUs'],
  [{ gpus: { ...rich.gpus, isEnabled: false } }, 'limited', 'GPUs'],
];

test('a host that lacks nothing is told nothing', () => {
  assert.deepEqual(wanting(rich), []);
});

test('each thing that a host is poorer by is said by its own check, and by no other', () => {
  for (const [change, state, name] of poorer) {
    assert.deepEqual(wanting({ ...rich, ...change }), state === 'ok' ? [] : [`${state}: ${name}`]);
  }
});

test('cgroups that could not be opened are told with the reason', () => {
  const problem = 'this host offers no cgroup controller io';
  const facts = { ...rich, ...grouped({ layout: undefined, problem }) };
  const cgroups = checks.find(({ name }) => name === 'cgroups');
  assert.deepEqual(cgroups?.look(facts), { state: 'missing', found: problem });
});

test('to somebody who is not root nothing is missing that only root could find out', () => {
  const refused = new Map([...rich.probes.keys()].map((name) => [name, 'EPERM'] as const));
  const capabilities: Facts['capabilities'] = [];
  const cgroups = { ...rich.cgroups, layout: undefined };
  const facts = { ...rich, isRoot: false, probes: refused, capabilities, cgroups };
  for (const line of wanting(facts)) {
    // The kernel says to everybody whether it has Landlock.
    if (!line.endsWith('Landlock')) assert.match(line, /^unknown/);
  }
});

test('every check says what its absence means and what to do, in sentences', () => {
  for (const { name, means, remedy } of checks) {
    assert.match(means, /^\p{Lu}.*\.$/u, name);
    assert.match(remedy, /^[\p{Lu}a-z].*[.)\w]$/u, name);
  }
  const names = checks.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, 'a name stands twice');
});
