// The samples of a job from its beginning to its end. Both ends are known without having been looked
// at, so a job has them however short it was.

import type { CgroupLayout } from '../linux/cgroup.ts';
import {
  type IoUsage,
  type JobUsage,
  noTraffic,
  quietInterface,
  sumOfDisks,
} from '../linux/job-usage.ts';
import type { Traffic } from '../linux/launcher.ts';

/** A sample, with the one before it: what went on in between is the difference. */
export interface Step {
  readonly usage: JobUsage;
  readonly previous: JobUsage | undefined;
}

/** What was counted of a job as a whole when it ended. */
export interface Total {
  readonly endedAtMs: number;
  readonly cpuUsec: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Undefined where nobody knows. */
  readonly traffic?: Traffic | undefined;
}

/** The device that stands for those of which only the sum is known. */
const ALL_DEVICES = 'all';

/** A job at the moment its command is exec'd. */
export function firstUsage(startedAtMs: number): JobUsage {
  return {
    atMs: startedAtMs,
    cpu: {
      usageUsec: 0,
      userUsec: 0,
      systemUsec: 0,
      periods: 0,
      throttledPeriods: 0,
      throttledUsec: 0,
    },
    memory: {
      current: 0,
      anon: 0,
      file: 0,
      kernelStack: 0,
      slab: 0,
      sock: 0,
      shmem: 0,
      fileMapped: 0,
      fileDirty: 0,
      fileWriteback: 0,
      faults: 0,
      majorFaults: 0,
      oomEvents: 0,
      oomKills: 0,
    },
    io: { devices: {} },
    network: {},
    processes: noProcesses,
  };
}

const noProcesses: JobUsage['processes'] = {
  tasks: 0,
  limitHits: 0,
  threads: 0,
  running: 0,
  sleeping: 0,
  stopped: 0,
  zombie: 0,
  openFds: 0,
  maxFds: 0,
};

/** A job at its end: nothing of it is there any more, and what it used in all is what its keeper counted. */
export function lastUsage(before: JobUsage, total: Total, kind: CgroupLayout['kind']): JobUsage {
  // What its GPUs did is over, and how they do now is not its.
  const { gpus: _, ...rest } = before;
  const { cpu, memory, io } = rest;
  const usageUsec = Math.max(total.cpuUsec, cpu.usageUsec);
  return {
    ...rest,
    atMs: total.endedAtMs,
    // What was used since the last look is not known apart, and is for the most part the program's.
    cpu: { ...cpu, usageUsec, userUsec: cpu.userUsec + usageUsec - cpu.usageUsec },
    memory: { ...firstUsage(0).memory, ...lasting(memory) },
    io: { ...io, devices: withRest(io, total, kind) },
    network: withTraffic(before.network, total.traffic),
    processes: { ...noProcesses, limitHits: before.processes.limitHits },
  };
}

function lasting({ faults, majorFaults, oomEvents, oomKills }: JobUsage['memory']) {
  return { faults, majorFaults, oomEvents, oomKills };
}

/** Adds what nobody has seen go by. */
function withRest(io: IoUsage, total: Total, kind: CgroupLayout['kind']): IoUsage['devices'] {
  const seen = sumOfDisks(io, kind);
  const readBytes = Math.max(0, total.readBytes - seen.readBytes);
  const writeBytes = Math.max(0, total.writtenBytes - seen.writeBytes);
  if (readBytes + writeBytes === 0) return io.devices;
  const [name = ALL_DEVICES, device = noTraffic] = Object.entries(io.devices)[0] ?? [];
  const rest = {
    ...device,
    readBytes: device.readBytes + readBytes,
    writeBytes: device.writeBytes + writeBytes,
  };
  return { ...io.devices, [name]: rest };
}

/** The interface that a job has beside loopback. */
const INTERFACE = 'eth0';

/** As it was counted when the job was gone. */
function withTraffic(
  network: JobUsage['network'],
  traffic: Traffic | undefined,
): JobUsage['network'] {
  if (traffic === undefined) return network;
  return { ...network, [INTERFACE]: { ...quietInterface, ...network[INTERFACE], ...traffic } };
}
