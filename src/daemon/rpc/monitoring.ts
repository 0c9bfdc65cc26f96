// MonitoringService: what this node is and how it does.

import { availableParallelism, hostname, machine, networkInterfaces, release } from 'node:os';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  JobUseSchema,
  MonitoringService,
  NodeGpusSchema,
  ProcessInfoSchema,
  StreamMetricsRequest,
  SystemMetricsResponseSchema,
} from '../../gen/joblet/monitoring_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import type { Gpus } from '../gpus/gpus.ts';
import type { Jobs } from '../jobs/jobs.ts';
import {
  commandLineOf,
  type HostProcess,
  type HostSystem,
  hardwareAddressOf,
  TICKS_PER_SECOND,
  userOf,
} from '../linux/host-usage.ts';
import type { BriefUsage } from '../linux/job-usage.ts';
import type { Cloud } from '../telemetry/cloud.ts';
import {
  cpuShares,
  type HostStep,
  type HostWatch,
  looks,
  processShares,
  rateOf,
  secondsOf,
} from '../telemetry/host.ts';
import type { Samples } from '../telemetry/samples.ts';
import { version } from '../version.ts';
import { toGpuMetrics } from './gpu-view.ts';
import type { Handlers } from './handlers.ts';

export interface MonitoringParts {
  readonly host: Pick<HostWatch, 'once' | 'follow'>;
  readonly system: HostSystem;
  /** Undefined as long as it is not known. */
  readonly cloud: () => Cloud | undefined;
  /** Where volumes are mounted. */
  readonly volumesDirectory: string;
  readonly nodeId: string;
  readonly samples: Pick<Samples, 'brief'>;
  readonly jobs: Pick<Jobs, 'get' | 'isOver'>;
  readonly gpus: Pick<Gpus, 'list' | 'problem'>;
  readonly gpuStrategy: string;
}

type Metrics = Omit<MessageInitShape<typeof SystemMetricsResponseSchema>, '$typeName' | '$unknown'>;
type Info = MessageInitShape<typeof ProcessInfoSchema>;
type NodeGpus = MessageInitShape<typeof NodeGpusSchema>;

/** What a watcher may choose from. */
const metricTypes = ['host', 'cpu', 'memory', 'disk', 'network', 'io', 'process', 'cloud'] as const;
type MetricType = (typeof metricTypes)[number];

const DEFAULT_INTERVAL_SECONDS = 10;
const MAX_INTERVAL_SECONDS = 3600;
const DEFAULT_GPU_SECONDS = 5;
const TOP_PROCESSES = 10;

/** Of a command, in a list of many. */
const COMMAND_CHARS = 256;

export function monitoringHandlers(parts: MonitoringParts): Handlers<typeof MonitoringService> {
  const serverVersion = {
    version: version.version,
    gitCommit: version.gitCommit,
    component: 'joblet',
    goVersion: `node ${process.versions.node}`,
    platform: `${process.platform}/${process.arch}`,
  };
  return {
    getServerVersion: async () => serverVersion,

    getSystemStatus: async () => ({
      ...metricsOf(parts, await parts.host.once(), new Set(metricTypes)),
      available: true,
      serverVersion,
    }),

    listGpus: () => gpusOf(parts),

    async *watchGpus({ intervalSeconds }, { signal }) {
      const problems: Problem[] = [];
      const intervalMs = checkInterval(intervalSeconds, DEFAULT_GPU_SECONDS, problems);
      if (problems.length > 0) throw invalid(problems);
      for await (const _ of looks(intervalMs, signal)) yield await gpusOf(parts);
    },

    async *streamSystemMetrics(request, { signal }) {
      const { intervalMs, types, withJobs } = toWatch(request);
      let before: BriefJobs | undefined;
      for await (const step of parts.host.follow(intervalMs, signal)) {
        const metrics = metricsOf(parts, step, types);
        if (!withJobs) {
          yield metrics;
          continue;
        }
        const now = { atMs: performance.now(), jobs: await parts.samples.brief() };
        yield { ...metrics, jobs: jobUses(parts.jobs, now, before ?? now) };
        before = now;
      }
    },
  };
}

async function gpusOf({ gpus, gpuStrategy }: MonitoringParts): Promise<NodeGpus> {
  const all = await gpus.list();
  return {
    problem: gpus.problem,
    strategy: gpuStrategy,
    gpus: all.map(({ usage, jobId, problem }) => ({
      metrics: toGpuMetrics(usage),
      jobUuid: jobId,
      problem,
    })),
  };
}

function checkInterval(seconds: number, usual: number, problems: Problem[]): number {
  if (seconds < 0 || seconds > MAX_INTERVAL_SECONDS) {
    const message = `is from 1 to ${MAX_INTERVAL_SECONDS}; 0 takes ${usual}`;
    problems.push({ field: 'interval_seconds', message });
  }
  return (seconds || usual) * 1000;
}

function toWatch({ intervalSeconds, metricTypes: words }: StreamMetricsRequest) {
  const problems: Problem[] = [];
  const intervalMs = checkInterval(intervalSeconds, DEFAULT_INTERVAL_SECONDS, problems);
  const types = new Set<MetricType>();
  let withJobs = false;
  for (const word of words) {
    if (word === 'job' || word === 'jobs') {
      withJobs = true;
      continue;
    }
    // Some clients name them in the plural, as the fields of the answer are.
    const type = metricTypes.find((each) => [each, `${each}s`, `${each}es`].includes(word));
    if (type !== undefined) types.add(type);
    else {
      const shown = JSON.stringify(word.slice(0, 64));
      problems.push({
        field: 'metric_types',
        message: `${shown} is no kind of metric; there is ${metricTypes.join(', ')} and job`,
      });
    }
  }
  if (problems.length > 0) throw invalid(problems);
  return {
    intervalMs,
    types: types.size > 0 || withJobs ? types : new Set(metricTypes),
    withJobs,
  };
}

function metricsOf(
  parts: MonitoringParts,
  step: HostStep,
  types: ReadonlySet<MetricType>,
): Metrics {
  const metrics: Metrics = { timestamp: new Date().toISOString() };
  for (const type of types) Object.assign(metrics, groups[type](parts, step));
  return metrics;
}

type Group = (parts: MonitoringParts, step: HostStep) => Metrics;

const groups: Readonly<Record<MetricType, Group>> = {
  host: ({ system, nodeId }, { now }) => {
    const interfaces = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const outside = interfaces.filter(({ internal }) => !internal);
    return {
      host: {
        hostname: hostname(),
        os: process.platform,
        platform: system.platform,
        platformFamily: system.family,
        platformVersion: system.version,
        kernelVersion: release(),
        kernelArch: machine(),
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        cpuCount: now.cores.length || availableParallelism(),
        totalMemory: BigInt(now.memory.get('MemTotal') ?? 0),
        bootTime: new Date(system.bootedAtMs).toISOString(),
        uptime: BigInt(Math.floor((Date.now() - system.bootedAtMs) / 1000)),
        nodeId,
        serverIps: outside.map(({ address }) => address),
        macAddresses: [...new Set(outside.map(({ mac }) => mac))],
      },
    };
  },

  cpu: (_parts, { now, before }) => {
    const all = cpuShares(now.cpu, before === now ? undefined : before.cpu);
    return {
      cpu: {
        cores: now.cores.length,
        usagePercent: all.busy,
        userTime: all.user,
        systemTime: all.system,
        idleTime: all.idle,
        ioWaitTime: all.ioWait,
        stealTime: all.steal,
        loadAverage: [...now.load],
        perCoreUsage: now.cores.map(
          (core, at) => cpuShares(core, before === now ? undefined : before.cores[at]).busy,
        ),
      },
    };
  },

  memory: (_parts, { now }) => {
    const of = (name: string) => now.memory.get(name) ?? 0;
    const total = of('MemTotal');
    const available = of('MemAvailable');
    return {
      memory: {
        totalBytes: BigInt(total),
        usedBytes: BigInt(total - available),
        freeBytes: BigInt(of('MemFree')),
        availableBytes: BigInt(available),
        usagePercent: percent(total - available, total),
        cachedBytes: BigInt(of('Cached') + of('SReclaimable')),
        bufferedBytes: BigInt(of('Buffers')),
        swapTotal: BigInt(of('SwapTotal')),
        swapUsed: BigInt(of('SwapTotal') - of('SwapFree')),
        swapFree: BigInt(of('SwapFree')),
      },
    };
  },

  disk: ({ volumesDirectory }, { now }) => ({
    disks: now.fileSystems.map((each) => {
      const used = each.totalBytes - each.freeBytes;
      const inodesUsed = each.inodes - each.inodesFree;
      return {
        device: each.device,
        mountPoint: each.mountPoint,
        filesystem: each.mountPoint.startsWith(`${volumesDirectory}/`)
          ? 'joblet-volume'
          : each.type,
        totalBytes: BigInt(each.totalBytes),
        usedBytes: BigInt(used),
        freeBytes: BigInt(each.availableBytes),
        usagePercent: percent(used, used + each.availableBytes),
        inodesTotal: BigInt(each.inodes),
        inodesUsed: BigInt(inodesUsed),
        inodesFree: BigInt(each.inodesFree),
        inodesUsagePercent: percent(inodesUsed, each.inodes),
      };
    }),
  }),

  network: (_parts, step) => {
    const seconds = secondsOf(step);
    const addresses = networkInterfaces();
    return {
      networks: Object.entries(step.now.interfaces).map(([name, now]) => {
        const before = step.before.interfaces[name];
        return {
          interface: name,
          bytesReceived: BigInt(now.rxBytes),
          bytesSent: BigInt(now.txBytes),
          packetsReceived: BigInt(now.rxPackets),
          packetsSent: BigInt(now.txPackets),
          errorsIn: BigInt(now.rxErrors),
          errorsOut: BigInt(now.txErrors),
          dropsIn: BigInt(now.rxDropped),
          dropsOut: BigInt(now.txDropped),
          receiveRate: rateOf(now.rxBytes, before?.rxBytes, seconds),
          transmitRate: rateOf(now.txBytes, before?.txBytes, seconds),
          ipAddresses: (addresses[name] ?? []).map(({ address }) => address),
          macAddress: hardwareAddressOf(name),
        };
      }),
    };
  },

  io: (_parts, step) => {
    const seconds = secondsOf(step);
    const disks = Object.entries(step.now.disks);
    const sum = (key: 'reads' | 'writes' | 'readBytes' | 'writeBytes', from = step.now) =>
      Object.values(from.disks).reduce((total, disk) => total + disk[key], 0);
    return {
      io: {
        totalReads: BigInt(sum('reads')),
        totalWrites: BigInt(sum('writes')),
        readBytes: BigInt(sum('readBytes')),
        writeBytes: BigInt(sum('writeBytes')),
        readRate: rateOf(sum('readBytes'), sum('readBytes', step.before), seconds),
        writeRate: rateOf(sum('writeBytes'), sum('writeBytes', step.before), seconds),
        diskIo: disks.map(([device, now]) => ({
          device,
          readsCompleted: BigInt(now.reads),
          writesCompleted: BigInt(now.writes),
          readBytes: BigInt(now.readBytes),
          writeBytes: BigInt(now.writeBytes),
          readTime: BigInt(now.readMs),
          writeTime: BigInt(now.writeMs),
          ioTime: BigInt(now.busyMs),
          utilization: Math.min(
            100,
            rateOf(now.busyMs, step.before.disks[device]?.busyMs, seconds) / 10,
          ),
        })),
      },
    };
  },

  process: ({ system }, step) => {
    const { processes } = step.now;
    const shares = processShares(step);
    const total = step.now.memory.get('MemTotal') ?? 0;
    const count = (states: string) =>
      processes.filter(({ state }) => states.includes(state)).length;
    const info = (each: HostProcess): Info => ({
      pid: each.pid,
      ppid: each.parent,
      name: each.name,
      command: commandLineOf(each),
      cpuPercent: shares.get(each.pid) ?? 0,
      memoryPercent: percent(each.residentBytes, total),
      memoryBytes: BigInt(each.residentBytes),
      status: stateNames.get(each.state) ?? each.state,
      startTime: new Date(
        system.bootedAtMs + (each.startedTicks / TICKS_PER_SECOND) * 1000,
      ).toISOString(),
      user: userOf(each.pid),
    });
    const top = (rank: (each: HostProcess) => number) =>
      processes
        .toSorted((a, b) => rank(b) - rank(a))
        .slice(0, TOP_PROCESSES)
        .map(info);
    return {
      processes: {
        totalProcesses: processes.length,
        runningProcesses: count('R'),
        sleepingProcesses: count('SDI'),
        stoppedProcesses: count('Tt'),
        zombieProcesses: count('Z'),
        totalThreads: processes.reduce((sum, { threads }) => sum + threads, 0),
        topByCpu: top(({ pid, ticks }) => (shares.get(pid) ?? 0) + ticks / Number.MAX_SAFE_INTEGER),
        topByMemory: top(({ residentBytes }) => residentBytes),
      },
    };
  },

  cloud: ({ cloud }) => {
    const found = cloud();
    if (found === undefined) return {};
    const { hypervisor, ...rest } = found;
    return { cloud: { ...rest, hypervisorType: hypervisor } };
  },
};

interface BriefJobs {
  readonly atMs: number;
  readonly jobs: ReadonlyMap<string, BriefUsage>;
}

function jobUses(
  jobs: MonitoringParts['jobs'],
  now: BriefJobs,
  before: BriefJobs,
): MessageInitShape<typeof JobUseSchema>[] {
  const seconds = (now.atMs - before.atMs) / 1000;
  return [...now.jobs].flatMap(([uuid, usage]) => {
    // It has ended since, and may be gone.
    if (jobs.isOver(uuid)) return [];
    const { spec, startedAtMs } = jobs.get(uuid);
    const cpuUsec = before.jobs.get(uuid)?.cpuUsec;
    return [
      {
        uuid,
        name: spec.name,
        command: [spec.command, ...spec.args].join(' ').slice(0, COMMAND_CHARS),
        cpuPercent: rateOf(usage.cpuUsec, cpuUsec, seconds) / 10_000,
        memoryBytes: BigInt(usage.memoryBytes),
        memoryLimitBytes: BigInt(spec.limits.memoryBytes),
        tasks: usage.tasks,
        startTime: new Date(startedAtMs).toISOString(),
      },
    ];
  });
}

const stateNames: ReadonlyMap<string, string> = new Map([
  ['R', 'running'],
  ['S', 'sleeping'],
  ['D', 'disk-sleep'],
  ['I', 'idle'],
  ['T', 'stopped'],
  ['t', 'traced'],
  ['Z', 'zombie'],
]);

function percent(part: number, whole: number): number {
  return whole > 0 ? (part / whole) * 100 : 0;
}
