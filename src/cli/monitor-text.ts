// The state of a node, for people: sections for a status, a few lines for a short look.

import type { SystemMetricsResponse, SystemStatusResponse } from '../gen/joblet/monitoring_pb.ts';
import { localTime, roughSize, roughTime, visible } from './print.ts';

type Metrics = SystemMetricsResponse | SystemStatusResponse;
type Section = readonly [title: string, lines: readonly string[]];

/** Interfaces and disks that are listed one by one; a host may have thousands. */
const MOST_LISTED = 10;
const BAR_COLUMNS = 20;

/** All that a status says. */
export function statusText(status: SystemStatusResponse): string {
  const { serverVersion: version } = status;
  return sections([
    ...hostSection(status),
    [
      'Joblet Server',
      pairs([
        ['Version', version && visible(version.version)],
        ['Git Commit', version && visible(version.gitCommit)],
        ['Platform', version && visible(version.platform)],
        ['Runs On', version && visible(version.goVersion)],
        ['Takes Jobs', status.available ? 'yes' : 'no'],
      ]),
    ],
    ...groups(status),
    ...cloudSection(status),
  ]);
}

/** All that a look at a node says, as far as it was asked for. */
export function metricsText(metrics: SystemMetricsResponse): string {
  const head = `System Metrics at ${localTime(metrics.timestamp)}\n\n`;
  return head + sections([...hostSection(metrics), ...groups(metrics), ...cloudSection(metrics)]);
}

/** The same on a few lines. */
export function compactText(metrics: SystemMetricsResponse): string {
  const { cpu, memory, disks, networks, io, processes } = metrics;
  const parts = [
    cpu && `CPU ${percent(cpu.usagePercent)} (load ${loadText(cpu.loadAverage)})`,
    memory && `Memory ${size(memory.usedBytes)} of ${size(memory.totalBytes)}`,
    disks.length > 0 ? `Disk ${percent(Math.max(...disks.map((disk) => disk.usagePercent)))}` : '',
    networks.length > 0
      ? `Net in ${rate(sum(networks, 'receiveRate'))} out ${rate(sum(networks, 'transmitRate'))}`
      : '',
    io && `I/O read ${rate(io.readRate)} write ${rate(io.writeRate)}`,
    processes && `${processes.totalProcesses} processes`,
  ];
  const said = parts.filter((part) => part !== undefined && part !== '');
  return `${localTime(metrics.timestamp)}  ${said.join(' | ')}\n`;
}

function groups(metrics: Metrics): Section[] {
  const { cpu, memory, disks, networks, io, processes } = metrics;
  const found: Section[] = [];
  if (cpu !== undefined) {
    found.push([
      'CPU',
      pairs([
        ['Cores', String(cpu.cores)],
        ['Usage', `${bar(cpu.usagePercent)} ${percent(cpu.usagePercent)}`],
        [
          'Time',
          [
            `user ${percent(cpu.userTime)}`,
            `system ${percent(cpu.systemTime)}`,
            `idle ${percent(cpu.idleTime)}`,
            `I/O wait ${percent(cpu.ioWaitTime)}`,
            `steal ${percent(cpu.stealTime)}`,
          ].join(', '),
        ],
        ['Load Average', loadText(cpu.loadAverage)],
        ['Per Core', cpu.perCoreUsage.map(percent).join(' ')],
      ]),
    ]);
  }
  if (memory !== undefined) {
    found.push([
      'Memory',
      pairs([
        ['Total', size(memory.totalBytes)],
        [
          'Used',
          `${bar(memory.usagePercent)} ${size(memory.usedBytes)} (${percent(memory.usagePercent)})`,
        ],
        ['Available', size(memory.availableBytes)],
        ['Cached', size(memory.cachedBytes)],
        ['Buffers', size(memory.bufferedBytes)],
        [
          'Swap',
          memory.swapTotal === 0n
            ? 'none'
            : `${size(memory.swapUsed)} of ${size(memory.swapTotal)}`,
        ],
      ]),
    ]);
  }
  if (disks.length > 0) {
    found.push([
      'Disks',
      grid(
        ['MOUNT', 'DEVICE', 'TYPE', 'SIZE', 'USED', 'FREE', 'USE', 'FILES'],
        disks.map((disk) => [
          visible(disk.mountPoint),
          visible(disk.device),
          visible(disk.filesystem),
          size(disk.totalBytes),
          size(disk.usedBytes),
          size(disk.freeBytes),
          percent(disk.usagePercent),
          percent(disk.inodesUsagePercent),
        ]),
      ),
    ]);
  }
  if (networks.length > 0) {
    const active = networks.filter((each) => each.bytesReceived + each.bytesSent > 0n);
    found.push([
      'Network Interfaces',
      grid(
        ['INTERFACE', 'RECEIVED', 'SENT', 'IN', 'OUT', 'ERRORS', 'DROPPED', 'ADDRESSES'],
        active.map((each) => [
          visible(each.interface),
          size(each.bytesReceived),
          size(each.bytesSent),
          rate(each.receiveRate),
          rate(each.transmitRate),
          String(each.errorsIn + each.errorsOut),
          String(each.dropsIn + each.dropsOut),
          each.ipAddresses.map(visible).join(' '),
        ]),
      ),
    ]);
  }
  if (io !== undefined) {
    found.push([
      'Disk I/O',
      [
        `Read ${rate(io.readRate)}, write ${rate(io.writeRate)}`,
        ...grid(
          ['DEVICE', 'READS', 'WRITES', 'READ', 'WRITTEN', 'BUSY'],
          io.diskIo.map((disk) => [
            visible(disk.device),
            String(disk.readsCompleted),
            String(disk.writesCompleted),
            size(disk.readBytes),
            size(disk.writeBytes),
            percent(disk.utilization),
          ]),
        ),
      ],
    ]);
  }
  if (processes !== undefined) {
    const rows = (list: typeof processes.topByCpu) =>
      list.map((each) => [
        String(each.pid),
        visible(each.user),
        percent(each.cpuPercent),
        percent(each.memoryPercent),
        size(each.memoryBytes),
        visible(each.command).slice(0, 60),
      ]);
    const head = ['PID', 'USER', 'CPU', 'MEM', 'RESIDENT', 'COMMAND'];
    found.push([
      'Processes',
      [
        `${processes.totalProcesses} in all: ${processes.runningProcesses} running, ${processes.sleepingProcesses} sleeping, ${processes.stoppedProcesses} stopped, ${processes.zombieProcesses} zombie; ${processes.totalThreads} threads`,
        '',
        'Top 10 by CPU',
        ...grid(head, rows(processes.topByCpu)),
        '',
        'Top 10 by memory',
        ...grid(head, rows(processes.topByMemory)),
      ],
    ]);
  }
  return found;
}

function hostSection({ host }: Metrics): Section[] {
  if (host === undefined) return [];
  return [
    [
      'Host Information',
      pairs([
        ['Hostname', visible(host.hostname)],
        ['Node ID', visible(host.nodeId)],
        ['System', visible(`${host.platform} ${host.platformVersion}`)],
        ['Kernel', visible(`${host.kernelVersion} (${host.kernelArch})`)],
        ['Cores', String(host.cpuCount)],
        ['Memory', size(host.totalMemory)],
        ['Up For', `${roughTime(Number(host.uptime) * 1000)}, since ${localTime(host.bootTime)}`],
        ['Addresses', host.serverIps.map(visible).join(' ')],
      ]),
    ],
  ];
}

function cloudSection({ cloud }: Metrics): Section[] {
  if (cloud === undefined) return [];
  return [
    [
      'Cloud Environment',
      pairs([
        ['Provider', visible(cloud.provider) || 'none'],
        ['Region', visible(cloud.region)],
        ['Zone', visible(cloud.zone)],
        ['Instance', visible(`${cloud.instanceType} ${cloud.instanceId}`.trim())],
        ['Hypervisor', visible(cloud.hypervisorType)],
      ]),
    ],
  ];
}

function sections(all: readonly Section[]): string {
  return all
    .map(
      ([title, lines]) => `${title}:\n${lines.map((line) => `  ${line}`.trimEnd()).join('\n')}\n`,
    )
    .join('\n');
}

/** `Label: value` lines, those without a value left out. */
function pairs(all: readonly (readonly [string, string | undefined])[]): string[] {
  return all.flatMap(([label, value]) => (value ? [`${`${label}:`.padEnd(14)} ${value}`] : []));
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const shown = [head, ...rows.slice(0, MOST_LISTED)];
  const widths = head.map((_, at) => Math.max(...shown.map((cells) => cells[at]?.length ?? 0)));
  const lines = shown.map((cells) =>
    cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '),
  );
  const more = rows.length - MOST_LISTED;
  return more > 0 ? [...lines, `and ${more} more`] : lines;
}

/** A share of the whole as a bar. */
export function bar(share: number, columns = BAR_COLUMNS): string {
  const filled = Math.round((Math.min(100, Math.max(0, share)) / 100) * columns);
  return `[${'#'.repeat(filled)}${'.'.repeat(columns - filled)}]`;
}

export function percent(value: number): string {
  return `${value.toFixed(1)}%`;
}

export function size(bytes: bigint): string {
  return roughSize(Number(bytes));
}

export function rate(bytes: number): string {
  return `${roughSize(Math.round(bytes))}/s`;
}

export function loadText(load: readonly number[]): string {
  return load.map((value) => value.toFixed(2)).join(' ');
}

function sum<K extends string>(all: readonly Readonly<Record<K, number>>[], key: K): number {
  return all.reduce((total, each) => total + each[key], 0);
}
