// What is looked at on a host, as a table: how it is found out, what it means for users when it is not
// there, and what can be done about it. A check judges facts; it reads nothing itself.

import { lackingRights, PANICS_FOR_ONE, uncountedMemory } from '../linux/host-conditions.ts';
import type { HostFacts, Place, PlaceName, Sysctl } from '../linux/host-facts.ts';

export type State = 'ok' | 'limited' | 'missing' | 'unknown';

export interface Finding {
  readonly state: State;
  /** What was found, in a few words. */
  readonly found: string;
}

/** What of the configuration the checks need. */
export interface Wishes {
  readonly maxConcurrentJobs: number;
  /** Processes of a job that asks for no other number. */
  readonly processes: number;
  readonly firstId: number;
  readonly idCount: number;
}

export interface Facts extends HostFacts {
  readonly wishes: Wishes;
}

/** What stands or falls with it: every job, how fast jobs start, or one feature. */
export type Needed = 'jobs' | 'speed' | { readonly feature: string };

export interface Check {
  readonly group: string;
  readonly name: string;
  readonly needed: Needed;
  /** What it means when it is not there, or not whole. */
  readonly means: string;
  readonly remedy: string;
  readonly look: (facts: Facts) => Finding;
}

const ok = (found: string): Finding => ({ state: 'ok', found });
const limited = (found: string): Finding => ({ state: 'limited', found });
const missing = (found: string): Finding => ({ state: 'missing', found });
const unknown = (found: string): Finding => ({ state: 'unknown', found });

const NEEDS_ROOT = 'only root can find out';

/** Judges what the launcher's probe said of each of the names. */
function tried(...names: readonly string[]): Check['look'] {
  return ({ probes, isRoot, probeProblem }) => {
    const results = names.map((name) => [name, probes.get(name)] as const);
    const refused = results.filter(([, result]) => result !== 'ok');
    if (refused.length === 0) return ok('tried, works');
    if (probeProblem !== '') return unknown(`not tried: ${probeProblem}`);
    if (!isRoot && refused.every(([, result]) => /^(EPERM|EACCES)$/.test(result ?? 'EPERM'))) {
      return unknown(NEEDS_ROOT);
    }
    const said = refused.map(([name, result]) => `${name.split(' ').at(-1)}: ${result}`);
    return missing(`tried, refused (${said.join(', ')})`);
  };
}

const NAMESPACES = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user'] as const;

const FIRST_KERNEL = [5, 14] as const;
const V2_CONTROLLERS = ['cpu', 'cpuset', 'io', 'memory', 'pids'] as const;
const V1_CONTROLLERS = ['cpu', 'cpuset', 'blkio', 'memory', 'pids'] as const;
/** Processes of the host's own. */
const HOST_PROCESSES = 1000;
/** Descriptors that the daemon and the launcher hold for each running job, and beside them. */
const FILES_PER_JOB = 8;
const FILES_BESIDE = 1024;
const ROOM_BYTES = 1024 ** 3;
const ROOM_FILES = 10_000;
const FIRST_YEAR = 2025;
const ENTROPY_BITS = 128;
const FAST_CLOCKS = /^(tsc|kvm-clock|hyperv_clocksource_.*|xen|arch_sys_counter)$/;
/** Where writes are gone after a restart, and where locks or memory maps of a database do not hold. */
const VANISHING = /^(tmpfs|ramfs)$/;
const UNSAFE = /^(nfs4?|cifs|smb3|9p|virtiofs|fuse.*|ceph|overlay)$/;

const kernel: readonly Check[] = [
  {
    group: 'Kernel',
    name: 'version',
    needed: 'jobs',
    means: 'Jobs are made with calls that came by Linux 5.14; older kernels lack some of them.',
    remedy: 'Boot a newer kernel.',
    look: ({ kernel: release, machine }) => {
      const [major = 0, minor = 0] = release.split('.').map(Number.parseFloat);
      const [least, leastMinor] = FIRST_KERNEL;
      const isNew = major > least || (major === least && minor >= leastMinor);
      return (isNew ? ok : missing)(`Linux ${release} on ${machine}`);
    },
  },
  {
    group: 'Kernel',
    name: 'root',
    needed: 'jobs',
    means: 'Only root can make the user namespaces, mounts and cgroups of jobs.',
    remedy: 'Run joblet as root of the host, not of a container.',
    look: ({ isRoot, uidMap }) => {
      if (uidMap !== '0 0 4294967295') return missing(`in a user namespace (ids: ${uidMap})`);
      return isRoot ? ok('root of the host') : unknown('you are not root');
    },
  },
  {
    group: 'Kernel',
    name: 'rights of root',
    needed: 'jobs',
    means: 'Jobs could not be started, or not be ended, so the daemon does not start.',
    remedy: 'Give them to whatever starts the daemon (CapabilityBoundingSet= of its unit).',
    look: (facts) => {
      if (!facts.isRoot) return unknown('root has others than you');
      const lacking = lackingRights(facts);
      return lacking.length === 0 ? ok('all that jobs need') : missing(`no ${lacking.join(', ')}`);
    },
  },
  {
    group: 'Kernel',
    name: 'right to raise limits',
    needed: { feature: 'limits above the daemon’s own, and volumes that grow in use' },
    means:
      'Limits of a job can only be lowered from those that the daemon has, and a volume is resized only while no job uses it.',
    remedy: 'Nothing, unless more is needed; then give the daemon CAP_SYS_RESOURCE.',
    look: ({ capabilities, isRoot }) => {
      if (!isRoot) return unknown('root has others than you');
      return capabilities.includes('CAP_SYS_RESOURCE')
        ? ok('CAP_SYS_RESOURCE')
        : limited('no CAP_SYS_RESOURCE');
    },
  },
  {
    group: 'Kernel',
    name: 'process handles',
    needed: 'jobs',
    means: 'A keeper watches its job by a handle, and each job starts with nothing else open.',
    remedy: 'Boot a kernel with pidfd_open and close_range (5.9), which no filter forbids.',
    look: tried('pidfd', 'close_range'),
  },
  {
    group: 'Kernel',
    name: 'filter around the daemon',
    needed: 'jobs',
    means:
      'Somebody’s system call filter is around this process, as in a container. Calls that it refuses fail in the daemon, too.',
    remedy: 'If something is missing below, run joblet outside of the container.',
    look: ({ isFiltered }) => (isFiltered ? limited('there is one') : ok('there is none')),
  },
  {
    group: 'Kernel',
    name: 'entropy',
    needed: 'jobs',
    means: 'Keys, certificates and job ids are made of it; the daemon’s start waits for it.',
    remedy: 'Give the machine a source: virtio-rng, or rngd.',
    look: ({ sysctls }) => {
      const bits = Number(sysctls.get('kernel.random.entropy_avail'));
      return (bits >= ENTROPY_BITS ? ok : limited)(`${bits} bits`);
    },
  },
  {
    group: 'Kernel',
    name: 'clock',
    needed: 'jobs',
    means: 'Certificates are checked and schedules kept by the clock; this one is far off.',
    remedy: 'Set the clock, and keep it with an NTP client.',
    look: ({ atMs }) => {
      const time = new Date(atMs);
      return (time.getUTCFullYear() >= FIRST_YEAR ? ok : missing)(time.toISOString());
    },
  },
  {
    group: 'Kernel',
    name: 'clock source',
    needed: 'speed',
    means: 'Reading the time costs a system call here, for jobs as for the daemon.',
    remedy: 'Use tsc or the clock of the hypervisor (clocksource= on the kernel’s command line).',
    look: ({ clockSource }) =>
      (FAST_CLOCKS.test(clockSource) ? ok : limited)(clockSource || 'none'),
  },
];

const isolation: readonly Check[] = [
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
    needed: { feature: 'snapshots of jobs (a later version)' },
    means: 'A clock of a job’s own could not be kept.',
    remedy: 'Nothing needs them yet.',
    look: tried('namespace time'),
  },
  {
    group: 'Isolation',
    name: 'notifications of the filter',
    needed: { feature: 'calls answered by the daemon (a later version)' },
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
    needed: { feature: 'rules on files within a job (a later version)' },
    means: 'Rules on single files inside a job could not be kept.',
    remedy: 'Nothing needs it yet; lsm=landlock,... on the kernel’s command line switches it on.',
    look: ({ probes }) => {
      const version = probes.get('landlock') ?? 'not tried';
      return /^\d+$/.test(version) ? ok(`version ${version}`) : missing(version);
    },
  },
];

const limits: readonly Check[] = [
  {
    group: 'Limits',
    name: 'cgroups',
    needed: 'jobs',
    means: 'A limit that is promised could not be kept, so the daemon does not start.',
    remedy:
      'On v2 enable the controllers (cgroup_no_v1=all, no cgroup_disable=); on v1 mount them all, and the unified tree beside them.',
    look: ({ cgroups, isRoot }) => {
      const { v1, v2, unified, layout, problem } = cgroups;
      const arranged =
        v1.length === 0
          ? `v2: ${v2.join(', ') || 'none'}`
          : `v1: ${v1.join(', ')}; unified tree ${unified === '' ? 'not mounted' : `at ${unified}`}`;
      if (layout !== undefined) return ok(arranged);
      if (problem !== '') return missing(problem);
      const wanted = v1.includes('memory') ? V1_CONTROLLERS : V2_CONTROLLERS;
      const offered = v1.includes('memory') ? v1 : v2;
      const lacking = wanted.filter((each) => !offered.some((one) => one === each));
      if (lacking.length > 0) return missing(`${arranged} (no ${lacking.join(', ')})`);
      return isRoot
        ? unknown(arranged)
        : unknown(`${arranged}; ${NEEDS_ROOT} whether they can be used`);
    },
  },
  {
    group: 'Limits',
    name: 'birth in a cgroup',
    needed: 'jobs',
    means: 'A job could run its first instructions outside of its limits, so none starts.',
    remedy: 'Boot a kernel with clone3 and CLONE_INTO_CGROUP (5.7), and mount the unified tree.',
    look: tried('birth in a cgroup'),
  },
  {
    group: 'Limits',
    name: 'swap',
    needed: 'jobs',
    means: 'What a job has in swap is not counted, so a job could take more than its limit.',
    remedy: 'swapaccount=1 on the kernel’s command line, or swapoff -a.',
    look: ({ cgroups: { layout }, hasSwap }) => {
      if (layout === undefined) return unknown(hasSwap ? 'there is some' : 'there is none');
      if (layout.swap) return ok(`counted; there is ${hasSwap ? 'some' : 'none'} now`);
      if (hasSwap) return missing('there is some, and it is not counted');
      return ok('not counted, and there is none; do not add any');
    },
  },
  {
    group: 'Limits',
    name: 'memory of the kernel',
    needed: 'jobs',
    means: 'What the kernel holds for a job (sockets, files, processes) is not part of its limit.',
    remedy: 'Take cgroup.memory= off the kernel’s command line.',
    look: (facts) => {
      const off = uncountedMemory(facts);
      return off === undefined ? ok('counted') : missing(`not counted: ${off}`);
    },
  },
  {
    group: 'Limits',
    name: 'out of memory',
    needed: 'jobs',
    means: 'The whole host ends when a single job is over its memory.',
    remedy: 'sysctl -w vm.panic_on_oom=0',
    look: ({ sysctls }) => {
      const value = Number(sysctls.get('vm.panic_on_oom') ?? 0);
      return (value < PANICS_FOR_ONE ? ok : missing)(`vm.panic_on_oom = ${value}`);
    },
  },
  {
    group: 'Limits',
    name: 'reserved memory',
    needed: 'jobs',
    means: 'Programs that reserve much and touch little (Java, Node, Go) may not start.',
    remedy: 'sysctl -w vm.overcommit_memory=0',
    look: ({ sysctls }) => {
      const value = Number(sysctls.get('vm.overcommit_memory') ?? 0);
      return (value < 2 ? ok : limited)(`vm.overcommit_memory = ${value}`);
    },
  },
  {
    group: 'Limits',
    name: 'processes',
    needed: 'jobs',
    means: 'Should all jobs that may run have all their processes at once, the host has none left.',
    remedy:
      'Raise it (sysctl -w), or lower joblet.maxConcurrentJobs or joblet.defaultProcessLimit.',
    look: ({ sysctls, wishes }) => {
      const { maxConcurrentJobs, processes } = wishes;
      const wanted = maxConcurrentJobs * processes + HOST_PROCESSES;
      const counts = (['kernel.pid_max', 'kernel.threads-max'] as const).map(
        (name) => [name, Number(sysctls.get(name))] as const,
      );
      const short = counts.filter(([, count]) => count < wanted);
      const jobs = `up to ${maxConcurrentJobs} jobs with ${processes} each`;
      if (short.length === 0) return ok(`room for ${jobs}`);
      const found = short.map(([name, count]) => `${name} = ${count}`).join(', ');
      return limited(`${found}, for ${jobs}`);
    },
  },
  {
    group: 'Limits',
    name: 'open files',
    needed: 'jobs',
    means: 'The daemon runs out of descriptors before all jobs that may run do.',
    remedy: 'LimitNOFILE=524288 in its unit, or ulimit -Hn; fs.file-max holds for the whole host.',
    look: ({ openFiles, sysctls, wishes }) => {
      const most = Math.min(openFiles, Number(sysctls.get('fs.file-max')));
      const wanted = wishes.maxConcurrentJobs * FILES_PER_JOB + FILES_BESIDE;
      return (most >= wanted ? ok : limited)(`${most} at most, for what is started from here`);
    },
  },
  {
    group: 'Limits',
    name: 'disks',
    needed: { feature: '--max-iobps' },
    means: 'There is no disk whose speed could be limited; jobs that ask for it are refused.',
    remedy: 'Nothing, where all files come over a network.',
    look: ({ disks }) => (disks.length > 0 ? ok(disks.join(', ')) : missing('none')),
  },
  {
    group: 'Limits',
    name: 'peak of memory',
    needed: { feature: 'the most memory a job had, in its status' },
    means: 'The status of an ended job does not say how much memory it had at most.',
    remedy: 'Boot Linux 5.19 or newer.',
    look: ({ cgroups: { layout, hasPeak } }) => {
      if (layout === undefined) return unknown(NEEDS_ROOT);
      return hasPeak ? ok('counted') : missing('not counted');
    },
  },
  {
    group: 'Limits',
    name: 'pressure',
    needed: { feature: 'metrics of waiting (a later version)' },
    means: 'How long jobs wait for processor, memory and disk cannot be told.',
    remedy: 'psi=1 on the kernel’s command line.',
    look: ({ hasPressure }) => (hasPressure ? ok('measured') : missing('not measured')),
  },
];

function place(name: PlaceName, holds: string, lost: string): Check {
  return {
    group: 'Files',
    name,
    needed: 'jobs',
    means: lost,
    remedy: `Have ${holds} on a local disk with room (see its key in the configuration).`,
    look: ({ places }) => judgePlace(places[name]),
  };
}

function judgePlace({ path, fileSystem, options, freeBytes, freeFiles }: Place): Finding {
  const found = `${path}: ${fileSystem}, ${(freeBytes / 1024 ** 3).toFixed(1)} GB free`;
  if (options.includes('ro')) return missing(`${found}, read-only`);
  if (UNSAFE.test(fileSystem)) return missing(`${found}; a database is not safe there`);
  if (VANISHING.test(fileSystem)) return limited(`${found}; it is gone after a restart`);
  if (freeFiles < ROOM_FILES) return limited(`${found}, but room for ${freeFiles} files only`);
  return freeBytes >= ROOM_BYTES ? ok(found) : limited(`${found}, which is little`);
}

/** What makes, mounts and checks images of file systems. */
const IMAGE_PROGRAMS = ['mkfs.ext4', 'tune2fs', 'e2fsck', 'losetup', 'mount', 'umount', 'cp'];

const files: readonly Check[] = [
  place('state', 'the state', 'What is known of jobs could get lost, or find no room.'),
  place('logs', 'the logs', 'Output of jobs could get lost, or find no room and leave gaps.'),
  place('work', 'files that jobs bring along', 'Uploads could find no room.'),
  {
    group: 'Files',
    name: 'volumes and work directories on disk',
    needed: { feature: 'volumes, and uploads of more than 16 MB' },
    means:
      'No volume can be made, and a job that brings much along is refused; smaller uploads lie in memory.',
    remedy: 'Load the modules loop and ext4, and install e2fsprogs, mount and coreutils.',
    look: (facts) => {
      const lacking = IMAGE_PROGRAMS.filter((name) => !facts.programs.has(name));
      if (lacking.length > 0) return missing(`no ${lacking.join(', ')}`);
      return tried('loop', 'file system ext4')(facts);
    },
  },
  {
    group: 'Files',
    name: 'volumes in memory',
    needed: { feature: 'volumes of type memory' },
    means: 'The kernel cannot map the ids of a tmpfs (6.3 and later can), so no job can use one.',
    remedy: 'Boot a newer kernel, or use volumes of type filesystem.',
    look: tried('idmap /dev/shm'),
  },
  {
    group: 'Files',
    name: 'quotas of projects',
    needed: { feature: 'volumes without images' },
    means: 'Volumes on disk get their size from images, which keep the same promises.',
    remedy: 'Mount the disk of volumes.base_path with prjquota (ext4, xfs), on cgroup v2.',
    look: ({ places }) =>
      places.volumes.options.some((option) => /^(prjquota|pquota|prjjquota.*)$/.test(option))
        ? ok('on')
        : missing('off'),
  },
  {
    group: 'Files',
    name: 'overlays',
    needed: { feature: 'runtimes' },
    means: 'No job can run in a runtime: what it sees of the tree is an overlay.',
    remedy: 'Load the module overlay (CONFIG_OVERLAY_FS).',
    look: tried('file system overlay'),
  },
  {
    group: 'Files',
    name: 'packed file systems',
    needed: { feature: 'runtimes in one file (a later version)' },
    means: 'Runtimes could only be kept unpacked.',
    remedy: 'Nothing needs them yet; the modules are squashfs and erofs.',
    look: tried('file system squashfs', 'file system erofs'),
  },
];

const NETWORKS = { feature: 'networks with a way out (jobs on none need nothing of it)' };

const networks: readonly Check[] = [
  {
    group: 'Networks',
    name: 'links',
    needed: NETWORKS,
    means: 'A job could not be connected to a network.',
    remedy: 'Load the modules veth and bridge.',
    look: tried('link veth', 'link bridge'),
  },
  {
    group: 'Networks',
    name: 'packet filter',
    needed: NETWORKS,
    means: 'What a job may reach could not be ruled.',
    remedy: 'Load the module nf_tables, and install the program nft (package nftables).',
    look: (facts) => {
      const kernelHas = tried('nftables')(facts);
      if (kernelHas.state !== 'ok' || facts.programs.has('nft')) return kernelHas;
      return limited('the kernel has it; the program nft is not installed');
    },
  },
  {
    group: 'Networks',
    name: 'way out',
    needed: NETWORKS,
    means: 'A job would reach nothing outside: the host’s own firewall drops what is forwarded.',
    remedy:
      'For each chain: nft insert rule FAMILY TABLE CHAIN iifname "jl*" accept, and the same with oifname; make it last with what manages that firewall.',
    look: ({ forwardDrops }) => {
      if (forwardDrops === undefined) return limited('the packet filter cannot be asked');
      const names = forwardDrops.map(({ family, table, chain }) => `${family} ${table} ${chain}`);
      if (names.length > 0) return limited(`dropped by the policy of ${names.join(', ')}`);
      return ok('no chain of the host drops what is forwarded');
    },
  },
  {
    group: 'Networks',
    name: 'limits of bandwidth',
    needed: NETWORKS,
    means: 'How fast a job sends and receives could not be limited.',
    remedy:
      'Load the modules sch_tbf, sch_ingress, cls_u32, act_mirred and ifb, and install the program tc (package iproute2).',
    look: (facts) => {
      const kernelHas = tried('qdisc tbf', 'qdisc ingress', 'link ifb')(facts);
      if (kernelHas.state !== 'ok' || facts.programs.has('tc')) return kernelHas;
      return limited('the kernel has it; the program tc is not installed');
    },
  },
  {
    group: 'Networks',
    name: 'IPv6',
    needed: { feature: 'IPv6 in jobs' },
    means: 'The loopback of jobs has no ::1.',
    remedy: 'Take ipv6.disable=1 off the kernel’s command line.',
    look: tried('ipv6'),
  },
];

const host: readonly Check[] = [
  {
    group: 'Host',
    name: 'systemd',
    needed: 'jobs',
    means: 'It may take cgroups for its own that lie below one of its units.',
    remedy: 'Start the daemon as a unit with Delegate=yes.',
    look: ({ isUnderSystemd }) =>
      ok(isUnderSystemd ? 'it runs this host; joblet’s unit wants Delegate=yes' : 'not here'),
  },
  {
    group: 'Host',
    name: 'NVIDIA devices',
    needed: { feature: 'GPUs (a later version)' },
    means: 'Jobs can have no GPU here.',
    remedy: 'Nothing, where there is none; else install NVIDIA’s driver.',
    look: ({ nvidia }) => (nvidia.length > 0 ? ok(nvidia.join(', ')) : missing('none')),
  },
];

export const checks: readonly Check[] = [
  ...kernel,
  ...isolation,
  ...limits,
  ...files,
  ...networks,
  ...host,
];
