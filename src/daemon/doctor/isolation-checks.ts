// What keeps jobs apart.

import type { Sysctl } from '../linux/host-facts.ts';
import { type Check, limited, missing, ok, tried } from './check.ts';

const NAMESPACES = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user'] as const;

export const isolation: readonly Check[] = [
  {
    group: 'Isolation',
    name: 'namespaces',
    needed: 'jobs',
    means: 'Each job gets all seven kinds of its own; without one of them no job starts.',
    remedy: 'Boot a kernel that has them (CONFIG_NAMESPACES and what belongs to it).',
    look: tried(...NAMESPACES.map((kind) => `namespace ${kind}`)),
  },
  {
    group: 'Isolation',
    name: 'room for namespaces',
    needed: 'jobs',
    means: 'With these limits fewer jobs than configured can run at once, or none.',
    remedy: 'sysctl -w user.max_user_namespaces=65536, and likewise the others that are named.',
    look: ({ sysctls, wishes }) => {
      // A job has one of each, and two of mounts: the template of its root, and its own.
      const least = Math.max(1, wishes.maxConcurrentJobs) * 2;
      const counts = NAMESPACES.map((kind) => {
        const name = `user.max_${kind}_namespaces` as const satisfies Sysctl;
        return [name, Number(sysctls.get(name) ?? Number.POSITIVE_INFINITY)] as const;
      });
      const short = counts.filter(([, count]) => count < least);
      if (short.length === 0) return ok(`at least ${least} of each`);
      const found = short.map(([name, count]) => `${name} = ${count}`).join(', ');
      return short.some(([, count]) => count === 0) ? missing(found) : limited(found);
    },
  },
  {
    group: 'Isolation',
    name: 'ids of jobs',
    needed: 'jobs',
    means: 'Every job has 65,536 host ids of its own; they could not be mapped here.',
    remedy: 'Run joblet as root of the host, with a kernel that has user namespaces.',
    look: tried('ids'),
  },
  {
    group: 'Isolation',
    name: 'ids of others',
    needed: 'jobs',
    means: 'Containers of that user could have the same ids as a job, and touch what is its own.',
    remedy: 'Set joblet.idRangeFirst to ids that nobody else has.',
    look: ({ subordinateIds, wishes }) => {
      const last = wishes.firstId + wishes.idCount - 1;
      const clashes = subordinateIds.filter(
        ([, first, count]) => first <= last && first + count > wishes.firstId,
      );
      const [clash] = clashes;
      return clash === undefined
        ? ok(`no user of this host was given ids from ${wishes.firstId} to ${last}`)
        : missing(`${clash[0]} has ids from ${clash[1]} on, which are also those of jobs`);
    },
  },
  {
    group: 'Isolation',
    name: 'system call filter',
    needed: 'jobs',
    means: 'No job starts without its filter.',
    remedy: 'Boot a kernel with CONFIG_SECCOMP_FILTER.',
    look: tried('filter'),
  },
  {
    group: 'Isolation',
    name: 'mounts',
    needed: 'jobs',
    means: 'The root of a job is put together with calls of Linux 5.12 that this kernel refuses.',
    remedy: 'Boot a newer kernel, or leave the container that refuses them.',
    look: tried('mounts', 'openat2'),
  },
  {
    group: 'Isolation',
    name: 'file systems of the kernel',
    needed: 'jobs',
    means: 'Each job has its own /proc, /sys, /dev/pts and memory file systems.',
    remedy: 'Boot a kernel that has them.',
    look: tried(...['tmpfs', 'proc', 'sysfs', 'devpts'].map((type) => `file system ${type}`)),
  },
  {
    group: 'Isolation',
    name: 'id-mapped mounts',
    needed: 'jobs',
    means: 'Jobs see these paths of the host in their own ids; the file system below cannot do so.',
    remedy:
      'Have them on ext4, xfs, btrfs or another that can, or take them out of filesystem.allowedMounts.',
    look: (facts) =>
      facts.mounts.length === 0
        ? missing('none of filesystem.allowedMounts is there')
        : tried(...facts.mounts.map((source) => `idmap ${source}`))(facts),
  },
  {
    group: 'Isolation',
    name: 'id-mapped runtimes',
    needed: { feature: 'runtimes' },
    means: 'The file system that runtimes lie on cannot map ids, so no job can run in one.',
    remedy: 'Have runtime.base_path on ext4, xfs or btrfs.',
    look: (facts) => tried(`idmap ${facts.places.runtimes.directory}`)(facts),
  },
  {
    group: 'Isolation',
    name: 'addresses of the kernel',
    needed: 'jobs',
    means: 'A job can read where the kernel lies in memory, which helps an attack on it.',
    remedy: 'sysctl -w kernel.kptr_restrict=1',
    look: ({ sysctls }) => {
      const restrict = Number(sysctls.get('kernel.kptr_restrict') ?? 0);
      const paranoid = Number(sysctls.get('kernel.perf_event_paranoid') ?? 2);
      const found = `kernel.kptr_restrict = ${restrict}, kernel.perf_event_paranoid = ${paranoid}`;
      return (restrict > 0 || paranoid > 1 ? ok : limited)(found);
    },
  },
  {
    group: 'Isolation',
    name: 'core dumps',
    needed: 'jobs',
    means: 'Jobs leave none, whatever stands here.',
    remedy: 'Nothing.',
    look: ({ sysctls }) => {
      const pattern = sysctls.get('kernel.core_pattern') ?? '';
      return ok(
        pattern.startsWith('|') ? 'a program takes the host’s, jobs leave none' : 'jobs leave none',
      );
    },
  },
  {
    group: 'Isolation',
    name: 'SELinux',
    needed: 'jobs',
    means: 'Its policy may refuse mounts or files to jobs; steps then fail with EACCES.',
    remedy: 'If a job does not start, look into the audit log and allow what joblet-launch does.',
    look: ({ isSelinuxEnforcing }) =>
      isSelinuxEnforcing ? limited('enforcing') : ok('not enforcing'),
  },
  {
    group: 'Isolation',
    name: 'nested user namespaces',
    needed: { feature: 'jobs with --allow=userns' },
    means: 'A job that was allowed to make user namespaces cannot make them, or not use them.',
    remedy:
      'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or kernel.unprivileged_userns_clone=1)',
    look: tried('unprivileged user namespace'),
  },
  {
    group: 'Isolation',
    name: 'tracing',
    needed: { feature: 'jobs with --allow=ptrace' },
    means: 'A debugger in a job can trace what it starts, but attach to nothing.',
    remedy: 'sysctl -w kernel.yama.ptrace_scope=1',
    look: ({ sysctls }) => {
      const scope = Number(sysctls.get('kernel.yama.ptrace_scope') ?? 0);
      return (scope <= 1 ? ok : limited)(`kernel.yama.ptrace_scope = ${scope}`);
    },
  },
  {
    group: 'Isolation',
    name: 'time namespaces',
    needed: { later: 'snapshots of jobs' },
    means: 'A clock of a job’s own could not be kept.',
    remedy: 'Nothing needs them yet.',
    look: tried('namespace time'),
  },
  {
    group: 'Isolation',
    name: 'notifications of the filter',
    needed: { later: 'calls answered by the daemon' },
    means: 'A system call of a job could not be answered by the daemon.',
    remedy: 'Nothing needs them yet.',
    look: ({ seccompActions }) => {
      const lacking = ['user_notif', 'log'].filter((action) => !seccompActions.includes(action));
      return lacking.length === 0 ? ok('user_notif, log') : missing(`no ${lacking.join(', ')}`);
    },
  },
  {
    group: 'Isolation',
    name: 'Landlock',
    needed: { later: 'rules on files within a job' },
    means: 'Rules on single files inside a job could not be kept.',
    remedy: 'Nothing needs it yet; lsm=landlock,... on the kernel’s command line switches it on.',
    look: ({ probes }) => {
      const version = probes.get('landlock') ?? 'not tried';
      return /^\d+$/.test(version) ? ok(`version ${version}`) : missing(version);
    },
  },
];
