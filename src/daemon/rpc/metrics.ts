// What jobs use, in the messages of the API: rates and percentages are made here, of two samples.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  GetJobMetricsRequest,
  JobMetricsAggregateSchema,
  JobMetricsSampleSchema,
  JobMetricsSummaryRequest,
  JobMetricsSummaryResponseSchema,
} from '../../gen/joblet/metrics_pb.ts';
import type {
  JobMetricsEventSchema,
  StreamJobMetricsRequest,
} from '../../gen/joblet/telematics_pb.ts';
import { invalid, JobletError, type Problem } from '../../shared/errors.ts';
import { isFinal } from '../../shared/job-state.ts';
import type { Job } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Postures } from '../jobs/postures.ts';
import type { CgroupLayout } from '../linux/cgroup.ts';
import { type JobUsage, type Pressure, sumOfDisks, sumOfInterfaces } from '../linux/job-usage.ts';
import { NO_NETWORK } from '../networks/network.ts';
import type { Networks } from '../networks/networks.ts';
import type { Samples } from '../telemetry/samples.ts';
import { firstUsage, lastUsage, type Step } from '../telemetry/series.ts';
import { sumOfGpus, toGpuMetrics } from './gpu-view.ts';
import type { Call } from './handlers.ts';
import { indicesOf } from './job-view.ts';

type Sample = MessageInitShape<typeof JobMetricsSampleSchema>;
type Event = MessageInitShape<typeof JobMetricsEventSchema>;
type Summary = MessageInitShape<typeof JobMetricsSummaryResponseSchema>;
type Aggregate = MessageInitShape<typeof JobMetricsAggregateSchema>;

export interface MetricsParts {
  readonly jobs: Pick<Jobs, 'get' | 'wait' | 'gpusOf'>;
  readonly postures: Pick<Postures, 'cgroupPathOf'>;
  readonly samples: Pick<Samples, 'read' | 'sentBy'>;
  readonly networks: Pick<Networks, 'returned'>;
  readonly layoutKind: CgroupLayout['kind'];
  readonly sampleIntervalMs: number;
}

/** Samples that one summary is made of; a job with more of them is summed up by its last ones. */
const SUMMARY_LIMIT = 50_000;

/** The samples of a job as a request wants them. */
export async function* readMetrics(
  parts: MetricsParts,
  request: GetJobMetricsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<Sample> {
  const { fromMs, untilMs, limit } = toWindow(request);
  const job = parts.jobs.get(request.jobUuid);
  const view = sampleOf(parts, job);
  const isWanted = ({ usage }: Step) => usage.atMs >= fromMs && usage.atMs < untilMs;
  if (limit === 0) {
    for await (const step of steps(parts, job, untilMs > Date.now(), signal)) {
      if (isWanted(step)) yield view(step);
    }
    return;
  }
  const kept: SampledStep[] = [];
  for await (const step of steps(parts, job, false, signal)) {
    if (!isWanted(step)) continue;
    kept.push(step);
    if (kept.length > limit) kept.shift();
  }
  for (const step of kept) yield view(step);
}

/** The samples of a job from now on, in short. */
export async function* followMetrics(
  parts: MetricsParts,
  request: StreamJobMetricsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<Event> {
  const job = parts.jobs.get(request.jobUuid);
  let last: Step | undefined;
  const nowMs = Date.now();
  for await (const step of steps(parts, job, true, signal)) {
    // The last one from before is where the follower stands when it comes.
    if (step.usage.atMs >= nowMs) {
      if (last !== undefined) yield eventOf(parts, job, last);
      last = undefined;
      yield eventOf(parts, job, step);
    } else {
      last = step;
    }
  }
  if (last !== undefined) yield eventOf(parts, job, last);
}

/** How what a job used was spread. */
export async function summarize(
  parts: MetricsParts,
  { uuid, periodSeconds }: JobMetricsSummaryRequest,
  { signal }: Pick<Call, 'signal'>,
): Promise<Summary> {
  if (periodSeconds < 0) {
    throw invalid([{ field: 'period_seconds', message: 'is at least 0, which is the whole job' }]);
  }
  const job = parts.jobs.get(uuid);
  const endMs = job.endedAtMs || Date.now();
  const fromMs = periodSeconds === 0 ? 0 : endMs - periodSeconds * 1000;
  const columns: Record<'cpu' | 'memory' | 'io' | 'network' | 'gpu' | 'gpuMemory', number[]> = {
    cpu: [],
    memory: [],
    io: [],
    network: [],
    gpu: [],
    gpuMemory: [],
  };
  for await (const { usage, previous } of steps(parts, job, false, signal)) {
    if (previous === undefined || usage.atMs < fromMs) continue;
    const rates = ratesOf(usage, previous, parts.layoutKind);
    columns.cpu.push(rates.cpuPercent);
    // At its end nothing of it is there any more, which says nothing of what it used.
    if (usage.atMs !== job.endedAtMs) columns.memory.push(usage.memory.current);
    columns.io.push(rates.readBps + rates.writeBps);
    columns.network.push(rates.rxBps + rates.txBps);
    if (usage.gpus !== undefined) {
      const { percent, memoryBytes } = sumOfGpus(usage.gpus);
      columns.gpu.push(percent);
      columns.gpuMemory.push(memoryBytes);
    }
    if (columns.cpu.length > SUMMARY_LIMIT) for (const each of Object.values(columns)) each.shift();
  }
  if (columns.cpu.length === 0) {
    throw new JobletError('not-found', `no metrics available for job ${job.id}`, { about: 'uuid' });
  }
  if (columns.memory.length === 0) columns.memory.push(job.usage?.memoryPeakBytes ?? 0);
  return {
    cpu: aggregate(columns.cpu),
    memory: aggregate(columns.memory),
    io: aggregate(columns.io),
    network: aggregate(columns.network),
    ...(columns.gpu.length > 0 && {
      gpu: aggregate(columns.gpu),
      gpuMemory: aggregate(columns.gpuMemory),
    }),
  };
}

/** Least, most, mean and percentiles (nearest rank) of at least one value. */
export function aggregate(values: readonly number[]): Aggregate {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (percent: number) => sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? 0;
  return {
    min: sorted[0] ?? 0,
    max: sorted.at(-1) ?? 0,
    avg: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    p50: rank(50),
    p95: rank(95),
    p99: rank(99),
  };
}

/** The last step knows the peak, whoever has followed the job since before its end. */
interface SampledStep extends Step {
  readonly peakBytes?: number | undefined;
}

/** The samples of a job from its beginning: nothing yet of one that has not started. */
export async function* steps(
  { jobs, samples, networks, layoutKind }: MetricsParts,
  job: Job,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<SampledStep> {
  let previous = job.startedAtMs === 0 ? undefined : firstUsage(job.startedAtMs);
  if (previous !== undefined) yield { usage: previous, previous: undefined };
  for await (const usage of samples.read(job.id, { follow, isOver: isFinal(job.status), signal })) {
    if (usage.atMs <= (previous?.atMs ?? 0)) continue;
    yield { usage, previous };
    previous = usage;
  }
  const ended = follow ? await jobs.wait(job.id, signal) : jobs.get(job.id);
  const { usage, startedAtMs, endedAtMs } = ended;
  if (!isFinal(ended.status) || usage === undefined || startedAtMs === 0) return;
  const before = previous ?? firstUsage(startedAtMs);
  const { cpuUsec, readBytes = 0, writtenBytes = 0 } = usage;
  if (job.spec.network !== NO_NETWORK) await networks.returned(job.id);
  const traffic = job.spec.network === NO_NETWORK ? undefined : await samples.sentBy(job.id);
  const total = { endedAtMs, cpuUsec, readBytes, writtenBytes, traffic };
  const last = lastUsage(before, total, layoutKind);
  yield { usage: last, previous: before, peakBytes: usage.memoryPeakBytes };
}

interface Window {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly limit: number;
}

function toWindow({ startTime, endTime, limit }: GetJobMetricsRequest): Window {
  const problems: Problem[] = [];
  const seconds = (field: string, value: bigint) => {
    if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER) / 1000n) {
      problems.push({ field, message: 'is no time in seconds since 1970' });
    }
    return Number(value) * 1000;
  };
  const fromMs = seconds('start_time', startTime);
  const endMs = seconds('end_time', endTime);
  if (limit < 0) problems.push({ field: 'limit', message: 'is at least 0, which is all' });
  if (endMs > 0 && endMs < fromMs) {
    problems.push({ field: 'end_time', message: 'lies before start_time' });
  }
  if (problems.length > 0) throw invalid(problems);
  // Whole seconds: all that is within the last one belongs to it.
  return { fromMs, untilMs: endMs === 0 ? Number.POSITIVE_INFINITY : endMs + 1000, limit };
}

interface Rates {
  readonly cpuPercent: number;
  readonly throttlePercent: number;
  readonly readBps: number;
  readonly writeBps: number;
  readonly readOps: number;
  readonly writeOps: number;
  readonly rxBps: number;
  readonly txBps: number;
}

/** How fast it went from one sample to the next. */
export function ratesOf(
  now: JobUsage,
  before: JobUsage | undefined,
  kind: CgroupLayout['kind'],
): Rates {
  if (before === undefined) return noRates;
  // A job may be over within the millisecond in which it began.
  const seconds = Math.max(1, now.atMs - before.atMs) / 1000;
  const disks = sumOfDisks(now.io, kind);
  const disksBefore = sumOfDisks(before.io, kind);
  const net = sumOfInterfaces(now);
  const netBefore = sumOfInterfaces(before);
  const rate = (value: number, last: number) => Math.max(0, value - last) / seconds;
  const periods = now.cpu.periods - before.cpu.periods;
  const throttled = now.cpu.throttledPeriods - before.cpu.throttledPeriods;
  return {
    cpuPercent: rate(now.cpu.usageUsec, before.cpu.usageUsec) / 10_000,
    throttlePercent: periods > 0 ? (Math.max(0, throttled) / periods) * 100 : 0,
    readBps: rate(disks.readBytes, disksBefore.readBytes),
    writeBps: rate(disks.writeBytes, disksBefore.writeBytes),
    readOps: rate(disks.readOps, disksBefore.readOps),
    writeOps: rate(disks.writeOps, disksBefore.writeOps),
    rxBps: rate(net.rxBytes, netBefore.rxBytes),
    txBps: rate(net.txBytes, netBefore.txBytes),
  };
}

const noRates: Rates = {
  cpuPercent: 0,
  throttlePercent: 0,
  readBps: 0,
  writeBps: 0,
  readOps: 0,
  writeOps: 0,
  rxBps: 0,
  txBps: 0,
};

function sampleOf(parts: MetricsParts, job: Job): (step: SampledStep) => Sample {
  const { limits } = job.spec;
  const cgroupPath = parts.postures.cgroupPathOf(job.id);
  const sampleIntervalSeconds = Math.round(parts.sampleIntervalMs / 1000);
  const gpuAllocation = indicesOf(parts.jobs.gpusOf(job));
  return ({ usage, previous, peakBytes = job.usage?.memoryPeakBytes ?? 0 }) => {
    const { cpu, memory, io, network, processes } = usage;
    const rates = ratesOf(usage, previous, parts.layoutKind);
    const disks = sumOfDisks(io, parts.layoutKind);
    const sum = sumOfInterfaces(usage);
    return {
      jobId: job.id,
      timestamp: BigInt(Math.floor(usage.atMs / 1000)),
      sampleIntervalSeconds,
      cpu: {
        usageUsec: BigInt(cpu.usageUsec),
        userUsec: BigInt(cpu.userUsec),
        systemUsec: BigInt(cpu.systemUsec),
        nrPeriods: BigInt(cpu.periods),
        nrThrottled: BigInt(cpu.throttledPeriods),
        throttledUsec: BigInt(cpu.throttledUsec),
        usagePercent: rates.cpuPercent,
        throttlePercent: rates.throttlePercent,
        ...pressureFields(cpu.pressure),
      },
      memory: {
        current: BigInt(memory.current),
        max: BigInt(limits.memoryBytes),
        usagePercent: limits.memoryBytes > 0 ? (memory.current / limits.memoryBytes) * 100 : 0,
        anon: BigInt(memory.anon),
        file: BigInt(memory.file),
        kernelStack: BigInt(memory.kernelStack),
        slab: BigInt(memory.slab),
        sock: BigInt(memory.sock),
        shmem: BigInt(memory.shmem),
        fileMapped: BigInt(memory.fileMapped),
        fileDirty: BigInt(memory.fileDirty),
        fileWriteback: BigInt(memory.fileWriteback),
        pgFault: BigInt(memory.faults),
        pgMajFault: BigInt(memory.majorFaults),
        oomEvents: BigInt(memory.oomEvents),
        oomKill: BigInt(memory.oomKills),
        ...pressureFields(memory.pressure),
        peak: BigInt(peakBytes),
      },
      io: {
        devices: mapValues(io.devices, (device, name) => ({
          device: name,
          ...bigints(device),
        })),
        totalReadBytes: BigInt(disks.readBytes),
        totalWriteBytes: BigInt(disks.writeBytes),
        totalReadOps: BigInt(disks.readOps),
        totalWriteOps: BigInt(disks.writeOps),
        totalDiscardBytes: BigInt(disks.discardBytes),
        totalDiscardOps: BigInt(disks.discardOps),
        readBps: rates.readBps,
        writeBps: rates.writeBps,
        readIops: rates.readOps,
        writeIops: rates.writeOps,
        ...pressureFields(io.pressure),
      },
      network: {
        interfaces: mapValues(network, (traffic, name) => ({
          interface: name,
          ...bigints(traffic),
        })),
        totalRxBytes: BigInt(sum.rxBytes),
        totalTxBytes: BigInt(sum.txBytes),
        totalRxPackets: BigInt(sum.rxPackets),
        totalTxPackets: BigInt(sum.txPackets),
        totalRxErrors: BigInt(sum.rxErrors),
        totalTxErrors: BigInt(sum.txErrors),
        totalRxDropped: BigInt(sum.rxDropped),
        totalTxDropped: BigInt(sum.txDropped),
        rxBps: rates.rxBps,
        txBps: rates.txBps,
      },
      process: {
        current: BigInt(processes.tasks),
        max: BigInt(limits.processes),
        events: BigInt(processes.limitHits),
        threads: BigInt(processes.threads),
        running: BigInt(processes.running),
        sleeping: BigInt(processes.sleeping),
        stopped: BigInt(processes.stopped),
        zombie: BigInt(processes.zombie),
        openFds: BigInt(processes.openFds),
        maxFds: BigInt(processes.maxFds),
      },
      gpu: (usage.gpus ?? []).map(toGpuMetrics),
      gpuAllocation,
      cgroupPath,
      limits: {
        cpu: limits.cpuPercent,
        memory: BigInt(limits.memoryBytes),
        io: limits.ioBps,
      },
    };
  };
}

function eventOf({ layoutKind }: MetricsParts, job: Job, { usage, previous }: Step): Event {
  const disks = sumOfDisks(usage.io, layoutKind);
  const net = sumOfInterfaces(usage);
  const gpus = sumOfGpus(usage.gpus);
  return {
    timestamp: BigInt(usage.atMs) * 1_000_000n,
    jobUuid: job.id,
    cpuPercent: ratesOf(usage, previous, layoutKind).cpuPercent,
    memoryBytes: BigInt(usage.memory.current),
    memoryLimit: BigInt(job.spec.limits.memoryBytes),
    diskReadBytes: BigInt(disks.readBytes),
    diskWriteBytes: BigInt(disks.writeBytes),
    netRecvBytes: BigInt(net.rxBytes),
    netSentBytes: BigInt(net.txBytes),
    gpuPercent: gpus.percent,
    gpuMemoryBytes: BigInt(gpus.memoryBytes),
  };
}

function pressureFields(pressure: Pressure | undefined) {
  if (pressure === undefined) return {};
  const [pressureSome10, pressureSome60, pressureSome300] = pressure.some;
  const [pressureFull10, pressureFull60, pressureFull300] = pressure.full;
  return {
    pressureSome10,
    pressureSome60,
    pressureSome300,
    pressureFull10,
    pressureFull60,
    pressureFull300,
  };
}

function mapValues<V, W>(
  record: Readonly<Record<string, V>>,
  change: (value: V, key: string) => W,
): Record<string, W> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key, change(value, key)]),
  );
}

function bigints<K extends string>(counts: Readonly<Record<K, number>>): Record<K, bigint> {
  return mapValues(counts, (count) => BigInt(count)) as Record<K, bigint>;
}
