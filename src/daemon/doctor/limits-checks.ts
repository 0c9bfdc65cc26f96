// What keeps jobs within their limits.

import { PANICS_FOR_ONE, uncountedMemory } from '../linux/host-conditions.ts';
import { type Check, limited, missing, NEEDS_ROOT, ok, tried, unknown } from './check.ts';

const V2_CONTROLLERS = ['cpu', 'cpuset', 'io', 'memory', 'pids'] as const;
const V1_CONTROLLERS = ['cpu', 'cpuset', 'blkio', 'memory', 'pids'] as const;
/** Processes of the host's own. */
const HOST_PROCESSES = 1000;
/** Descriptors that the daemon and the launcher hold for each running job, and beside them. */
const FILES_PER_JOB = 8;
const FILES_BESIDE = 1024;

export const limits: readonly Check[] = [
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
    needed: { feature: 'pressure in the metrics of jobs' },
    means: 'How long jobs wait for processor, memory and disk cannot be told.',
    remedy: 'psi=1 on the kernel’s command line.',
    look: ({ hasPressure }) => (hasPressure ? ok('measured') : missing('not measured')),
  },
];
