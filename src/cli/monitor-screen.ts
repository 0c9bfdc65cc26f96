// What `rnx monitor top` shows: a screen of lines, made of the last look, the size of the terminal and
// what the user has chosen. Nothing here touches a terminal.

import type { JobUse, ProcessInfo, SystemMetricsResponse } from '../gen/joblet/monitoring_pb.ts';
import { bar, loadText, percent, rate, size } from './monitor-text.ts';
import { roughTime, visible } from './print.ts';

export const views = ['jobs', 'processes'] as const;
export type View = (typeof views)[number];
export const orders = ['cpu', 'memory', 'name'] as const;
export type Order = (typeof orders)[number];

export interface Choice {
  readonly view: View;
  readonly order: Order;
  /** Rows that were scrolled past. */
  readonly skipped: number;
  readonly isPaused: boolean;
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** What a key does; undefined for one that does nothing. */
export function choose(choice: Choice, key: string): Choice | 'quit' | undefined {
  const scroll = (rows: number) => ({ ...choice, skipped: Math.max(0, choice.skipped + rows) });
  switch (key) {
    case 'q':
    case '\u0003':
      return 'quit';
    case '\t':
      return { ...choice, view: choice.view === 'jobs' ? 'processes' : 'jobs', skipped: 0 };
    case 'c':
      return { ...choice, order: 'cpu', skipped: 0 };
    case 'm':
      return { ...choice, order: 'memory', skipped: 0 };
    case 'n':
      return { ...choice, order: 'name', skipped: 0 };
    case ' ':
      return { ...choice, isPaused: !choice.isPaused };
    case '\u001b[A':
    case 'k':
      return scroll(-1);
    case '\u001b[B':
    case 'j':
      return scroll(1);
    case '\u001b[5~':
      return scroll(-PAGE_ROWS);
    case '\u001b[6~':
      return scroll(PAGE_ROWS);
    default:
      return undefined;
  }
}

const PAGE_ROWS = 10;
const HEAD_ROWS = 7;
const INVERSE = '\u001b[7m';
const PLAIN = '\u001b[0m';

/** The lines of the screen, as many as it has rows, each no longer than it has columns. */
export function screen(
  metrics: SystemMetricsResponse,
  choice: Choice,
  { columns, rows }: ScreenSize,
): string[] {
  const { host, cpu, memory, io, networks } = metrics;
  const outside = networks.filter((each) => each.interface !== 'lo');
  const total = (key: 'receiveRate' | 'transmitRate') =>
    outside.reduce((sum, each) => sum + each[key], 0);
  const barColumns = columns >= 100 ? 30 : 20;
  const head = [
    `${visible(host?.hostname ?? '')}  up ${roughTime(Number(host?.uptime ?? 0n) * 1000)}  load ${loadText(cpu?.loadAverage ?? [])}  ${timeOf(metrics.timestamp)}${choice.isPaused ? '  PAUSED' : ''}`,
    `CPU    ${bar(cpu?.usagePercent ?? 0, barColumns)} ${percent(cpu?.usagePercent ?? 0).padStart(6)}  user ${percent(cpu?.userTime ?? 0)} system ${percent(cpu?.systemTime ?? 0)} wait ${percent(cpu?.ioWaitTime ?? 0)}`,
    `Memory ${bar(memory?.usagePercent ?? 0, barColumns)} ${percent(memory?.usagePercent ?? 0).padStart(6)}  ${size(memory?.usedBytes ?? 0n)} of ${size(memory?.totalBytes ?? 0n)}, swap ${size(memory?.swapUsed ?? 0n)}`,
    `Disk   read ${rate(io?.readRate ?? 0)}, write ${rate(io?.writeRate ?? 0)}   Network in ${rate(total('receiveRate'))}, out ${rate(total('transmitRate'))}`,
    countLine(metrics),
    '',
  ];
  const { title, lines } =
    choice.view === 'jobs'
      ? jobTable(metrics.jobs, choice.order)
      : processTable(metrics, choice.order);
  const room = Math.max(0, rows - HEAD_ROWS - 1);
  const first = Math.min(choice.skipped, Math.max(0, lines.length - room));
  const shown = lines.slice(first, first + room);
  const body = [
    ...head.map((line) => fit(line, columns)),
    `${INVERSE}${fit(title, columns).padEnd(columns)}${PLAIN}`,
    ...shown.map((line) => fit(line, columns)),
  ];
  const filled = [
    ...body,
    ...Array.from({ length: Math.max(0, rows - 1 - body.length) }, () => ''),
  ];
  const hidden = lines.length - shown.length;
  const orders = Object.entries(orderNames).map(([order, name]) =>
    order === choice.order ? `[${name}]` : name,
  );
  const keys = `q quit  Tab ${choice.view === 'jobs' ? 'processes' : 'jobs'}  c/m/n sort: ${orders.join(' ')}  space pause${hidden > 0 ? `  arrows: ${hidden} more` : ''}`;
  return [...filled.slice(0, rows - 1), fit(keys, columns)];
}

/** By what the lines are sorted, for the line of keys. */
const orderNames: Readonly<Record<Order, string>> = { cpu: 'CPU', memory: 'memory', name: 'name' };

function countLine({ processes, jobs }: SystemMetricsResponse): string {
  const tasks = `${processes?.totalProcesses ?? 0} processes, ${processes?.runningProcesses ?? 0} running, ${processes?.totalThreads ?? 0} threads`;
  return `Jobs   ${jobs.length} running   ${tasks}`;
}

interface Table {
  readonly title: string;
  readonly lines: readonly string[];
}

function jobTable(jobs: readonly JobUse[], order: Order): Table {
  const sorted = jobs.toSorted(
    by<JobUse>(order, {
      cpu: (job) => job.cpuPercent,
      memory: (job) => Number(job.memoryBytes),
      name: (job) => job.name || job.command,
    }),
  );
  return {
    title: 'JOB        CPU%     MEMORY      LIMIT TASKS   TIME     NAME AND COMMAND',
    lines: sorted.map((job) => {
      const age = Date.now() - Date.parse(job.startTime);
      const limit = job.memoryLimitBytes === 0n ? '-' : size(job.memoryLimitBytes);
      return [
        job.uuid.slice(0, 8),
        job.cpuPercent.toFixed(1).padStart(6),
        size(job.memoryBytes).padStart(10),
        limit.padStart(10),
        String(job.tasks).padStart(5),
        roughTime(age).padStart(7),
        ` ${job.name === '' ? '' : `${visible(job.name)}: `}${visible(job.command)}`,
      ].join(' ');
    }),
  };
}

function processTable({ processes }: SystemMetricsResponse, order: Order): Table {
  // The daemon sends those that use most of either.
  const all = new Map<number, ProcessInfo>();
  for (const each of [...(processes?.topByCpu ?? []), ...(processes?.topByMemory ?? [])]) {
    all.set(each.pid, each);
  }
  const sorted = [...all.values()].sort(
    by<ProcessInfo>(order, {
      cpu: (each) => each.cpuPercent,
      memory: (each) => Number(each.memoryBytes),
      // As it is shown: many a program calls its threads by other names.
      name: (each) => each.command,
    }),
  );
  return {
    title: '    PID USER         CPU%   MEM%   RESIDENT STATE     COMMAND',
    lines: sorted.map((each) =>
      [
        String(each.pid).padStart(7),
        visible(each.user).slice(0, 10).padEnd(10),
        each.cpuPercent.toFixed(1).padStart(6),
        each.memoryPercent.toFixed(1).padStart(6),
        size(each.memoryBytes).padStart(10),
        visible(each.status).slice(0, 9).padEnd(9),
        visible(each.command),
      ].join(' '),
    ),
  };
}

/** The most first; names from a to z. */
function by<T>(
  order: Order,
  keys: {
    readonly cpu: (each: T) => number;
    readonly memory: (each: T) => number;
    readonly name: (each: T) => string;
  },
): (a: T, b: T) => number {
  if (order === 'name') return (a, b) => keys.name(a).localeCompare(keys.name(b));
  return (a, b) => keys[order](b) - keys[order](a);
}

function fit(line: string, columns: number): string {
  return line.length <= columns ? line : line.slice(0, columns).toWellFormed();
}

function timeOf(timestamp: string): string {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? '' : at.toTimeString().slice(0, 8);
}
