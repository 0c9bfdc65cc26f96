// PersistService: the stored output and samples of jobs, as the first generation's clients ask for
// them. What is stored is the same that JobService reads.

import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type LogLineSchema,
  type MetricSchema,
  type PersistService,
  type QueryLogsRequest,
  type QueryMetricsRequest,
  StreamType,
} from '../../gen/joblet/persist/persist_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import type { StreamName } from '../../shared/log-record.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { LineSplitter } from '../jobs/line-splitter.ts';
import { type LogEntry, type Logs, wholeLog } from '../jobs/logs.ts';
import { sumOfDisks, sumOfInterfaces } from '../linux/job-usage.ts';
import { sumOfGpus } from './gpu-view.ts';
import type { Call, Handlers } from './handlers.ts';
import { type MetricsParts, ratesOf, steps } from './metrics.ts';

export interface PersistParts extends MetricsParts {
  readonly jobs: MetricsParts['jobs'] & Pick<Jobs, 'delete'>;
  readonly logs: Pick<Logs, 'read'>;
}

/** The longest line that comes as one. */
const LINE_BYTES = 1 << 20;

const NS_PER_MS = 1_000_000n;

export function persistHandlers(parts: PersistParts): Handlers<typeof PersistService> {
  return {
    ping: async () => ({ healthy: true, timestamp: BigInt(Date.now()) * NS_PER_MS }),
    queryLogs: (request, call) => queryLogs(parts, request, call),
    queryMetrics: (request, call) => queryMetrics(parts, request, call),
    deleteJob: async ({ jobId }, { identity }) => {
      const { id } = await parts.jobs.delete(jobId, identity);
      return { success: true, message: `Job ${id} deleted` };
    },
  };
}

interface Span {
  readonly startTime: bigint;
  readonly endTime: bigint;
  readonly limit: number;
  readonly offset: number;
}

function check({ startTime, endTime, limit, offset }: Span): void {
  const problems: Problem[] = [];
  for (const [field, value] of Object.entries({ limit, offset })) {
    if (value < 0) problems.push({ field, message: 'is at least 0' });
  }
  if (startTime < 0n) problems.push({ field: 'start_time', message: 'is at least 0' });
  if (endTime < 0n) problems.push({ field: 'end_time', message: 'is at least 0' });
  if (endTime > 0n && endTime < startTime) {
    problems.push({ field: 'end_time', message: 'lies before start_time' });
  }
  if (problems.length > 0) throw invalid(problems);
}

/** Of all that come those that a request skips to and has room for. */
async function* within<T>({ limit, offset }: Span, all: AsyncIterable<T>): AsyncGenerator<T> {
  let seen = 0;
  for await (const one of all) {
    seen++;
    if (seen <= offset) continue;
    yield one;
    if (limit > 0 && seen === offset + limit) return;
  }
}

function queryLogs(
  parts: PersistParts,
  request: QueryLogsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<MessageInitShape<typeof LogLineSchema>> {
  check(request);
  const { id } = parts.jobs.get(request.jobId);
  const { startTime, endTime, stream: wanted } = request;
  if (!Object.values<number>(StreamType).includes(wanted)) {
    throw invalid([{ field: 'stream', message: 'is 1 for stdout, 2 for stderr, or 0 for both' }]);
  }
  const query = wholeLog(signal, false);
  async function* lines() {
    let sequence = 0n;
    for await (const line of linesOf(parts.logs.read({ id }, query))) {
      if (line.stream === 'gap') continue;
      const place = sequence++;
      const stream = streamTypes[line.stream];
      if (wanted !== StreamType.UNSPECIFIED && wanted !== stream) continue;
      if (line.timeNs < startTime || (endTime > 0n && line.timeNs > endTime)) continue;
      const content = line.data as Uint8Array<ArrayBuffer>;
      yield { jobId: id, stream, timestamp: line.timeNs, sequence: place, content };
    }
  }
  return within(request, lines());
}

async function* linesOf(entries: AsyncIterable<LogEntry>): AsyncGenerator<LogEntry> {
  const lines = new LineSplitter(LINE_BYTES);
  for await (const entry of entries) yield* lines.split(entry);
  yield* lines.rest();
}

const streamTypes: Readonly<Record<Exclude<StreamName, 'gap' | 'end'>, StreamType>> = {
  stdout: StreamType.STDOUT,
  stderr: StreamType.STDERR,
};

function queryMetrics(
  parts: PersistParts,
  request: QueryMetricsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<MessageInitShape<typeof MetricSchema>> {
  check(request);
  const job = parts.jobs.get(request.jobId);
  const { startTime, endTime } = request;
  async function* samples() {
    let sequence = 0n;
    for await (const { usage, previous } of steps(parts, job, false, signal)) {
      const place = sequence++;
      const timestamp = BigInt(usage.atMs) * NS_PER_MS;
      if (timestamp < startTime || (endTime > 0n && timestamp > endTime)) continue;
      const disks = sumOfDisks(usage.io, parts.layoutKind);
      const net = sumOfInterfaces(usage);
      const { cpuPercent } = ratesOf(usage, previous, parts.layoutKind);
      yield {
        jobId: job.id,
        timestamp,
        sequence: place,
        data: {
          cpuUsage: cpuPercent / 100,
          gpuUsage: sumOfGpus(usage.gpus).percent,
          memoryUsage: BigInt(usage.memory.current),
          diskIo: {
            readBytes: BigInt(disks.readBytes),
            writeBytes: BigInt(disks.writeBytes),
            readOps: BigInt(disks.readOps),
            writeOps: BigInt(disks.writeOps),
          },
          networkIo: {
            rxBytes: BigInt(net.rxBytes),
            txBytes: BigInt(net.txBytes),
            rxPackets: BigInt(net.rxPackets),
            txPackets: BigInt(net.txPackets),
          },
        },
      };
    }
  }
  return within(request, samples());
}
