// The kernel that a host runs, and what this process may ask of it.

import { lackingRights } from '../linux/host-conditions.ts';
import { type Check, limited, missing, ok, tried, unknown } from './check.ts';

const FIRST_KERNEL = [5, 14] as const;
const FIRST_YEAR = 2025;
const ENTROPY_BITS = 128;
const FAST_CLOCKS = /^(tsc|kvm-clock|hyperv_clocksource_.*|xen|arch_sys_counter)$/;

export const kernel: readonly Check[] = [
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
