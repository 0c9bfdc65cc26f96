// One sample of a job's metrics, for people.

import type {
  JobGPUMetrics,
  JobMetricsAggregate,
  JobMetricsSample,
  JobMetricsSummaryResponse,
} from '../gen/joblet/metrics_pb.ts';
import { roughSize, roughTime, visible } from './print.ts';

/** A title and `label: value` lines, those without a value left out. */
type Block = readonly [title: string, lines: readonly (readonly [string, string | undefined])[]];

/** The text of a sample. */
export function metricsText(sample: JobMetricsSample): string {
  const time = new Date(Number(sample.timestamp) * 1000).toTimeString().slice(0, 8);
  const head = [
    `═══ Metrics Sample at ${time} ═══`,
    `Job ID: ${visible(sample.jobId)}`,
    `Sample Interval: ${sample.sampleIntervalSeconds}s`,
  ];
  const body = blocks(sample).flatMap(([title, lines]) => {
    const given = lines.filter(([, value]) => value !== undefined);
    if (given.length === 0) return [];
    return ['', `${title}:`, ...given.map(([label, value]) => `  ${label}: ${value}`)];
  });
  return `${[...head, ...body].join('\n')}\n\n`;
}

const summaryHead = ['', 'MIN', 'MEAN', 'P50', 'P95', 'P99', 'MAX'];

/** The text of a summary: a table. */
export function summaryText(summary: JobMetricsSummaryResponse): string {
  const { cpu, memory, io, network, gpu, gpuMemory } = summary;
  const rows = [
    summaryHead,
    row('CPU', cpu, (value) => `${value.toFixed(1)}%`),
    row('Memory', memory, (value) => roughSize(Math.round(value))),
    row('Disk I/O', io, (value) => `${roughSize(Math.round(value))}/s`),
    row('Network', network, (value) => `${roughSize(Math.round(value))}/s`),
    ...(gpu ? [row('GPU', gpu, (value) => `${value.toFixed(1)}%`)] : []),
    ...(gpuMemory ? [row('GPU Memory', gpuMemory, (value) => roughSize(Math.round(value)))] : []),
  ];
  const widths = summaryHead.map((_, at) =>
    Math.max(...rows.map((cells) => cells[at]?.length ?? 0)),
  );
  const lines = rows.map((cells) =>
    cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '),
  );
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function row(
  name: string,
  spread: JobMetricsAggregate | undefined,
  text: (value: number) => string,
): string[] {
  if (spread === undefined) return [name];
  const { min, avg, p50, p95, p99, max } = spread;
  return [name, ...[min, avg, p50, p95, p99, max].map(text)];
}

function blocks(sample: JobMetricsSample): readonly Block[] {
  const { cpu, memory, io, network, process, limits } = sample;
  return [
    [
      'CPU',
      [
        ['Usage', percent(cpu?.usagePercent)],
        ['Throttled', percent(cpu?.throttlePercent)],
        ['User Time', time(cpu?.userUsec)],
        ['System Time', time(cpu?.systemUsec)],
        ['Pressure (10s)', percent(cpu?.pressureSome10)],
      ],
    ],
    [
      'Memory',
      [
        ['Current', memory && `${bytes(memory.current)} (${percent(memory.usagePercent)})`],
        ['Peak', memory && memory.peak > 0n ? bytes(memory.peak) : undefined],
        ['Limit', memory && memory.max > 0n ? bytes(memory.max) : undefined],
        ['Anonymous', bytes(memory?.anon)],
        ['File Cache', bytes(memory?.file)],
        ['Major Page Faults', count(memory?.pgMajFault)],
        ['OOM Events', count(memory?.oomEvents)],
      ],
    ],
    [
      'I/O',
      [
        ['Read', rate(io?.readBps)],
        ['Write', rate(io?.writeBps)],
        ['Read Operations', count(io?.totalReadOps)],
        ['Write Operations', count(io?.totalWriteOps)],
        ['Total Read', bytes(io?.totalReadBytes)],
        ['Total Written', bytes(io?.totalWriteBytes)],
      ],
    ],
    [
      'Network',
      [
        ['Received', bytes(network?.totalRxBytes)],
        ['Sent', bytes(network?.totalTxBytes)],
        ['Receive Rate', rate(network?.rxBps)],
        ['Send Rate', rate(network?.txBps)],
      ],
    ],
    [
      'Processes',
      [
        ['Count', count(process?.current)],
        ['Threads', count(process?.threads)],
        ['Open FDs', count(process?.openFds)],
      ],
    ],
    ...sample.gpu.map(
      (gpu): Block => [
        `GPU ${gpu.index} ${visible(gpu.name)}`,
        [
          ['Utilization', percent(gpu.utilization)],
          ['Memory', `${bytes(gpu.memoryUsed)} of ${bytes(gpu.memoryTotal)}`],
          ['Temperature', `${gpu.temperature} C`],
          ['Power', `${gpu.powerDraw} of ${gpu.powerLimit} W`],
          ['Processes', `${gpu.processesCount}, with ${bytes(gpu.processesMemory)}`],
          ['Errors', gpuErrors(gpu)],
        ],
      ],
    ),
    [
      'Resource Limits',
      [
        ['CPU', limits && limits.cpu > 0 ? `${limits.cpu}%` : undefined],
        ['Memory', limits && limits.memory > 0n ? bytes(limits.memory) : undefined],
        ['I/O', limits && limits.io > 0 ? `${roughSize(limits.io)}/s` : undefined],
      ],
    ],
  ];
}

/** Only where there are some. */
function gpuErrors({ eccErrorsDouble, xidErrors }: JobGPUMetrics): string | undefined {
  const found = [
    xidErrors > 0n ? `${xidErrors} of the driver (Xid)` : '',
    eccErrorsDouble > 0n ? `${eccErrorsDouble} of its memory that were not corrected` : '',
  ].filter((text) => text !== '');
  return found.length === 0 ? undefined : found.join(', ');
}

function percent(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)}%`;
}

function bytes(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : roughSize(Number(value));
}

function rate(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${roughSize(Math.round(value))}/s`;
}

function time(usec: bigint | undefined): string | undefined {
  return usec === undefined ? undefined : roughTime(Number(usec) / 1000);
}

function count(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
