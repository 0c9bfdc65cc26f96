// GPUs of a node, for people.

import type { JobGPUMetrics } from '../gen/joblet/metrics_pb.ts';
import type { NodeGpu, NodeGpus } from '../gen/joblet/monitoring_pb.ts';
import { roughSize, table, visible } from './print.ts';
import type { Session } from './session.ts';

/** What is said where there is nothing to show. */
export function nothingText({ problem }: NodeGpus): string {
  const why = problem === '' ? '' : `: ${visible(problem)}`;
  return `Jobs of this node can have no GPU${why}\n`;
}

const columns = ['GPU', 'NAME', 'MEMORY', 'USE', 'TEMP', 'POWER', 'JOB'].map((title) => ({
  title,
  width: 0,
}));

/** A line for each. */
export function gpuTable(gpus: readonly NodeGpu[], { out }: Pick<Session, 'out'>): string {
  const rows = gpus.map(({ metrics, jobUuid, problem }) => [
    String(metrics?.index ?? ''),
    visible(metrics?.name ?? ''),
    metrics === undefined ? '' : memoryOf(metrics),
    `${Math.round(metrics?.utilization ?? 0)}%`,
    `${metrics?.temperature ?? 0} C`,
    metrics === undefined ? '' : powerOf(metrics),
    holderOf(jobUuid, problem),
  ]);
  return table(columns, rows, out.columns ?? 0, 120);
}

function holderOf(jobUuid: string, problem: string): string {
  if (problem !== '') return `none can have it: ${visible(problem)}`;
  return jobUuid === '' ? 'free' : visible(jobUuid);
}

/** A block for each. */
export function gpuLines(gpus: readonly NodeGpu[]): string {
  return gpus
    .map(({ metrics, jobUuid, problem }) =>
      metrics === undefined ? '' : blockOf(metrics, holderOf(jobUuid, problem)),
    )
    .join('\n');
}

function blockOf(gpu: JobGPUMetrics, holder: string): string {
  const lines: readonly (readonly [string, string])[] = [
    ['UUID', visible(gpu.uuid)],
    ['Job', holder],
    [
      'Use',
      `${Math.round(gpu.utilization)}%, encoder ${gpu.encoderUtil}%, decoder ${gpu.decoderUtil}%`,
    ],
    ['Memory', `${memoryOf(gpu)} (${gpu.memoryPercent.toFixed(1)}%)`],
    ['Processes', `${gpu.processesCount}, with ${roughSize(Number(gpu.processesMemory))}`],
    ['Clocks', `${gpu.smClock} MHz, memory ${gpu.memoryClock} MHz`],
    ['Temperature', `${gpu.temperature} C, memory ${gpu.temperatureMemory} C`],
    ['Power', powerOf(gpu)],
    ['Fan', gpu.fanSpeed > 0 ? `${gpu.fanSpeed}%` : 'none, or it stands'],
    ['PCIe', `${rate(gpu.pcieThroughputRx)} in, ${rate(gpu.pcieThroughputTx)} out`],
    [
      'Memory errors',
      `${gpu.eccErrorsSingle} corrected, ${gpu.eccErrorsDouble} not, ${gpu.retiredPages} pages out of use`,
    ],
    ['Driver errors', `${gpu.xidErrors} (Xid)`],
    ['Throttled', throttleWords(gpu.throttleReasons)],
    ['Compute mode', visible(gpu.computeMode)],
    ['Compute capability', visible(gpu.computeCapability)],
    ['Driver', visible(gpu.driverVersion)],
  ];
  const title = `GPU ${gpu.index}: ${visible(gpu.name)}`;
  return `${[title, ...lines.map(([name, text]) => `  ${name}: ${text}`)].join('\n')}\n`;
}

/** The bits of nvml.h, the lowest first. */
const THROTTLES = [
  'idle',
  'clocks set by an application',
  'power limit',
  'hardware slowdown',
  'bound to another GPU',
  'heat',
  'heat, by the hardware',
  'power brake',
  'clocks set for a display',
] as const;

function throttleWords(bits: bigint): string {
  const words = THROTTLES.filter((_, at) => (bits >> BigInt(at)) & 1n);
  return words.length === 0 ? 'no' : words.join(', ');
}

function memoryOf({ memoryUsed, memoryTotal }: JobGPUMetrics): string {
  return `${roughSize(Number(memoryUsed))} of ${roughSize(Number(memoryTotal))}`;
}

function powerOf({ powerDraw, powerLimit }: JobGPUMetrics): string {
  return `${Math.round(powerDraw)} of ${Math.round(powerLimit)} W`;
}

function rate(bytes: number): string {
  return `${roughSize(Math.round(bytes))}/s`;
}
