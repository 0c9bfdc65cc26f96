// Where jobs follow each other in the same cgroups, the kernel's counters go on from one to the next:
// what they stood at when a job came in is taken off.

import {
  type CpuUsage,
  type DeviceUsage,
  deviceKeys,
  type JobUsage,
  type MemoryUsage,
  type UsedUp,
} from '../linux/job-usage.ts';

/** What counters stood at before a job. */
export interface Base {
  readonly cpu: Pick<CpuUsage, (typeof cpuKeys)[number]>;
  readonly memory: Pick<MemoryUsage, (typeof memoryKeys)[number]>;
  readonly devices: Readonly<Record<string, DeviceUsage>>;
  readonly limitHits: number;
}

const cpuKeys = [
  'usageUsec',
  'userUsec',
  'systemUsec',
  'periods',
  'throttledPeriods',
  'throttledUsec',
] as const;
const memoryKeys = ['faults', 'majorFaults'] as const;

/** Of a job that is the first in its cgroups. */
export const nothingBefore: Base = {
  cpu: {
    usageUsec: 0,
    userUsec: 0,
    systemUsec: 0,
    periods: 0,
    throttledPeriods: 0,
    throttledUsec: 0,
  },
  memory: { faults: 0, majorFaults: 0 },
  devices: {},
  limitHits: 0,
};

/**
 * What to take off the counters of a job from its first sample on. Faults and throttled periods count
 * from that sample: to read them too at each start would cost every job something. Where it is not
 * known at all what was before, everything counts from there.
 */
export function baseAt(counted: JobUsage, before: UsedUp | undefined): Base {
  const { cpu, memory, io, processes } = counted;
  const times = before ?? cpu;
  return {
    cpu: {
      ...pick(cpu, cpuKeys),
      usageUsec: times.usageUsec,
      userUsec: times.userUsec,
      systemUsec: times.systemUsec,
    },
    memory: pick(memory, memoryKeys),
    devices: before?.devices ?? io.devices,
    limitHits: before?.limitHits ?? processes.limitHits,
  };
}

/** What the job itself has used. */
export function without(usage: JobUsage, base: Base): JobUsage {
  const { cpu, memory, io, processes } = usage;
  const devices = Object.entries(io.devices).map(([device, counted]) => {
    const before = base.devices[device];
    return [
      device,
      before === undefined ? counted : difference(counted, before, deviceKeys),
    ] as const;
  });
  return {
    ...usage,
    cpu: { ...cpu, ...difference(cpu, base.cpu, cpuKeys) },
    memory: { ...memory, ...difference(memory, base.memory, memoryKeys) },
    io: { ...io, devices: Object.fromEntries(devices) },
    processes: { ...processes, limitHits: Math.max(0, processes.limitHits - base.limitHits) },
  };
}

type Numbers<K extends string> = Readonly<Record<K, number>>;

function pick<K extends string>(from: Numbers<K>, keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Record<K, number>;
}

/** Never below zero: a counter that was begun anew counts from its beginning. */
function difference<K extends string>(
  now: Numbers<K>,
  before: Numbers<K>,
  keys: readonly K[],
): Record<K, number> {
  const left = {} as Record<K, number>;
  for (const key of keys) left[key] = Math.max(0, now[key] - before[key]);
  return left;
}
