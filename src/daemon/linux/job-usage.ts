// What the kernel counts of a job at this moment: its cgroups, and its processes below /proc. Read
// from outside; nothing runs in the job for it.

import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { CgroupLayout } from './cgroup.ts';
import type { GpuUsage } from './nvidia-smi.ts';

/** Percent of the time in which some or all tasks waited, over 10, 60 and 300 seconds. */
export interface Pressure {
  readonly some: readonly [number, number, number];
  readonly full: readonly [number, number, number];
}

export interface CpuUsage {
  readonly usageUsec: number;
  readonly userUsec: number;
  readonly systemUsec: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledUsec: number;
  readonly pressure?: Pressure;
}

/** Bytes, and counts of events since the start. */
export interface MemoryUsage {
  readonly current: number;
  readonly anon: number;
  readonly file: number;
  readonly kernelStack: number;
  readonly slab: number;
  readonly sock: number;
  readonly shmem: number;
  readonly fileMapped: number;
  readonly fileDirty: number;
  readonly fileWriteback: number;
  readonly faults: number;
  readonly majorFaults: number;
  readonly oomEvents: number;
  readonly oomKills: number;
  readonly pressure?: Pressure;
}

export interface DeviceUsage {
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly readOps: number;
  readonly writeOps: number;
  readonly discardBytes: number;
  readonly discardOps: number;
}

export interface IoUsage {
  /** By numbers as `8:0`. */
  readonly devices: Readonly<Record<string, DeviceUsage>>;
  readonly pressure?: Pressure;
}

export interface InterfaceUsage {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export interface ProcessUsage {
  /** Processes and threads, as the limit counts them. */
  readonly tasks: number;
  readonly limitHits: number;
  readonly threads: number;
  readonly running: number;
  readonly sleeping: number;
  readonly stopped: number;
  readonly zombie: number;
  readonly openFds: number;
  readonly maxFds: number;
}

/** What earlier jobs in the same cgroups have counted up. */
export interface UsedUp extends Pick<CpuUsage, 'usageUsec' | 'userUsec' | 'systemUsec'> {
  readonly devices: IoUsage['devices'];
  readonly limitHits: number;
}

export interface JobUsage {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly cpu: CpuUsage;
  readonly memory: MemoryUsage;
  readonly io: IoUsage;
  /** By name. */
  readonly network: Readonly<Record<string, InterfaceUsage>>;
  readonly processes: ProcessUsage;
  /** Of a job that has some, by their numbers; absent where they could not be looked at. */
  readonly gpus?: readonly GpuUsage[];
}

/** Processes that are looked at one by one; what more there are is counted only. */
const PROCESSES_LOOKED_AT = 128;

/** No file of these is longer, but those of hosts with very many disks or interfaces. */
const FILE_BYTES = 256 * 1024;
const buffer = Buffer.allocUnsafe(FILE_BYTES);

/** Loop devices are numbered so. */
const LOOP_MAJOR = '7:';

/** The text of a small file of the kernel's; empty when it is not there, or no more. */
export function readSmallFile(file: string): string {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return '';
  }
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, FILE_BYTES, 0));
  } catch {
    // The kernel answers ENODEV or ESRCH for what has just gone.
    return '';
  } finally {
    closeSync(fd);
  }
}

/** `key number` lines. Few of them are asked for: each is looked for when it is. */
function keyed(text: string): (key: string) => number {
  const lines = `\n${text}`;
  return (key) => {
    const at = lines.indexOf(`\n${key} `);
    if (at < 0) return 0;
    const begin = at + key.length + 2;
    const end = lines.indexOf('\n', begin);
    return Number(lines.slice(begin, end < 0 ? undefined : end));
  };
}

/** The processes of a job of which `name` is the directory, as the host numbers them. */
export function readPids(layout: CgroupLayout, name: string): string[] {
  return pidsIn(unifiedOf(layout, name));
}

/**
 * A job that has not had a processor since `before` has done nothing; what the kernel does by itself, such as
 * writing what it keeps, or taking memory back, shows in its memory, and what comes from outside at its
 * interfaces. That takes a quarter of the files, some ten microseconds each. Undefined when anything of it
 * has changed, or may: then all has to be read.
 */
export function readResting(
  layout: CgroupLayout,
  name: string,
  nowMs: number,
  before: JobUsage,
): JobUsage | undefined {
  const { cpu, memory, io, network, processes } = before;
  const unified = unifiedOf(layout, name);
  const usageUsec = keyed(readSmallFile(`${unified}/cpu.stat`))('usage_usec');
  const isIdle = usageUsec === cpu.usageUsec && processes.running === 0;
  if (!isIdle || memory.fileDirty > 0 || memory.fileWriteback > 0) return undefined;
  if (readMemory(layout, name) !== memory.current) return undefined;
  // There what a limit holds up counts when it is let go.
  const isHeldUp = layout.kind === 'v2' && !isDeepStrictEqual(readIoStat(unified), io.devices);
  if (isHeldUp) return undefined;
  if (Object.keys(network).some((each) => each !== 'lo')) {
    const [first = ''] = pidsIn(unified);
    if (!isDeepStrictEqual(readInterfaces(first), network)) return undefined;
  }
  return {
    ...before,
    atMs: nowMs,
    cpu: { ...cpu, ...pressureOf(unified, 'cpu') },
    memory: { ...memory, ...pressureOf(unified, 'memory') },
    io: { ...io, ...pressureOf(unified, 'io') },
  };
}

/** Reads a job of which `name` is the directory. Undefined when it has no process any more. */
export function readJobUsage(
  layout: CgroupLayout,
  name: string,
  nowMs: number,
): JobUsage | undefined {
  // First, so that whoever counts then and afterwards has been in the list.
  const tasks = readTasks(layout, name);
  const pids = readPids(layout, name);
  const [first] = pids;
  if (first === undefined) return undefined;
  return {
    atMs: nowMs,
    ...readCounters(layout, name),
    network: readInterfaces(first),
    processes: readProcessUsage(layout, name, tasks, pids),
  };
}

function unifiedOf(layout: CgroupLayout, name: string): string {
  return `${layout.kind === 'v2' ? layout.base : layout.unified}/${name}`;
}

function pidsIn(unified: string): string[] {
  return readSmallFile(`${unified}/cgroup.procs`).split('\n').slice(0, -1);
}

function readInterfaces(pid: string): JobUsage['network'] {
  return parseInterfaces(readSmallFile(`/proc/${pid}/net/dev`));
}

/** Bytes that the kernel counts for a job now. */
function readMemory(layout: CgroupLayout, name: string): number {
  const file =
    layout.kind === 'v2'
      ? `${layout.base}/${name}/memory.current`
      : `${layout.base.memory}/${name}/memory.usage_in_bytes`;
  return Number(readSmallFile(file));
}

/** The little of a job's use that is shown of many at once. */
export interface BriefUsage {
  readonly cpuUsec: number;
  readonly memoryBytes: number;
  readonly tasks: number;
}

/** Reads only that, as the kernel counts it. */
export function readBriefUsage(layout: CgroupLayout, name: string): BriefUsage {
  return {
    cpuUsec: keyed(readSmallFile(`${unifiedOf(layout, name)}/cpu.stat`))('usage_usec'),
    memoryBytes: readMemory(layout, name),
    tasks: Number(readSmallFile(`${pidsAt(layout, name)}/pids.current`)),
  };
}

/**
 * What v1 cgroups that go from job to job have counted up for the jobs before: times of processors in
 * microseconds, and traffic with disks. Little enough to be read at each start.
 */
export function readUsedUp(layout: CgroupLayout & { readonly kind: 'v1' }, name: string): UsedUp {
  const times = keyed(readSmallFile(`${layout.unified}/${name}/cpu.stat`));
  return {
    usageUsec: times('usage_usec'),
    userUsec: times('user_usec'),
    systemUsec: times('system_usec'),
    devices: readBlkio(`${layout.base.blkio}/${name}`),
    limitHits: readLimitHits(layout, name),
  };
}

function readBlkio(at: string): Record<string, DeviceUsage> {
  return parseBlkio(
    readSmallFile(`${at}/blkio.throttle.io_service_bytes`),
    readSmallFile(`${at}/blkio.throttle.io_serviced`),
  );
}

function readCounters(layout: CgroupLayout, name: string): Pick<JobUsage, 'cpu' | 'memory' | 'io'> {
  if (layout.kind === 'v2') {
    const at = `${layout.base}/${name}`;
    const cpu = keyed(readSmallFile(`${at}/cpu.stat`));
    return {
      cpu: { ...cpuUsage(cpu, cpu, 'throttled_usec', 1), ...pressureOf(at, 'cpu') },
      memory: { ...memoryV2(at), ...pressureOf(at, 'memory') },
      io: {
        devices: readIoStat(at),
        ...pressureOf(at, 'io'),
      },
    };
  }
  const unified = `${layout.unified}/${name}`;
  const times = keyed(readSmallFile(`${unified}/cpu.stat`));
  const periods = keyed(readSmallFile(`${layout.base.cpu}/${name}/cpu.stat`));
  return {
    cpu: { ...cpuUsage(times, periods, 'throttled_time', 1000), ...pressureOf(unified, 'cpu') },
    memory: {
      ...memoryV1(`${layout.base.memory}/${name}`),
      ...pressureOf(unified, 'memory'),
    },
    io: {
      devices: readBlkio(`${layout.base.blkio}/${name}`),
      ...pressureOf(unified, 'io'),
    },
  };
}

/**
 * The traffic of all disks together. What goes to a loop device v2 counts there, and for the disk behind it
 * again if the kernel finds that it was the job's; so the larger of the two sums is what there was.
 */
export function sumOfDisks({ devices }: IoUsage, kind: CgroupLayout['kind']): DeviceUsage {
  const disks = { ...noTraffic };
  const loops = { ...noTraffic };
  for (const [device, usage] of Object.entries(devices)) {
    const sum: Counted = kind === 'v2' && device.startsWith(LOOP_MAJOR) ? loops : disks;
    for (const key of deviceKeys) sum[key] += usage[key];
  }
  const larger: Counted = { ...noTraffic };
  for (const key of deviceKeys) larger[key] = Math.max(disks[key], loops[key]);
  return larger;
}

type Counted = { -readonly [K in keyof DeviceUsage]: DeviceUsage[K] };

export const noTraffic: DeviceUsage = {
  readBytes: 0,
  writeBytes: 0,
  readOps: 0,
  writeOps: 0,
  discardBytes: 0,
  discardOps: 0,
};
export const deviceKeys = Object.keys(noTraffic) as readonly (keyof DeviceUsage)[];

/** What an interface has that nothing went over. */
export const quietInterface: InterfaceUsage = {
  rxBytes: 0,
  txBytes: 0,
  rxPackets: 0,
  txPackets: 0,
  rxErrors: 0,
  txErrors: 0,
  rxDropped: 0,
  txDropped: 0,
};

/** What goes over loopback stays within the job, and counts as nothing. */
export function sumOfInterfaces({ network }: Pick<JobUsage, 'network'>): InterfaceUsage {
  const sum: { -readonly [K in keyof InterfaceUsage]: InterfaceUsage[K] } = { ...quietInterface };
  for (const [name, usage] of Object.entries(network)) {
    if (name === 'lo') continue;
    for (const key of interfaceKeys) sum[key] += usage[key];
  }
  return sum;
}

const interfaceKeys = Object.keys(quietInterface) as readonly (keyof InterfaceUsage)[];

type Numbers = (key: string) => number;

function cpuUsage(times: Numbers, periods: Numbers, throttledKey: string, unit: number): CpuUsage {
  return {
    usageUsec: times('usage_usec'),
    userUsec: times('user_usec'),
    systemUsec: times('system_usec'),
    periods: periods('nr_periods'),
    throttledPeriods: periods('nr_throttled'),
    throttledUsec: Math.round(periods(throttledKey) / unit),
  };
}

function memoryV2(at: string): MemoryUsage {
  const stat = keyed(readSmallFile(`${at}/memory.stat`));
  const events = keyed(readSmallFile(`${at}/memory.events`));
  return {
    current: Number(readSmallFile(`${at}/memory.current`)),
    anon: stat('anon'),
    file: stat('file'),
    kernelStack: stat('kernel_stack'),
    slab: stat('slab'),
    sock: stat('sock'),
    shmem: stat('shmem'),
    fileMapped: stat('file_mapped'),
    fileDirty: stat('file_dirty'),
    fileWriteback: stat('file_writeback'),
    faults: stat('pgfault'),
    majorFaults: stat('pgmajfault'),
    oomEvents: events('oom'),
    oomKills: events('oom_kill'),
  };
}

/** v1 tells kernel memory and sockets only in sum, and not what of it is stacks. */
function memoryV1(at: string): MemoryUsage {
  const stat = keyed(readSmallFile(`${at}/memory.stat`));
  const kills = keyed(readSmallFile(`${at}/memory.oom_control`))('oom_kill');
  const number = (file: string) => Number(readSmallFile(`${at}/${file}`));
  return {
    current: number('memory.usage_in_bytes'),
    anon: stat('rss'),
    file: stat('cache'),
    kernelStack: 0,
    slab: number('memory.kmem.usage_in_bytes'),
    sock: number('memory.kmem.tcp.usage_in_bytes'),
    shmem: stat('shmem'),
    fileMapped: stat('mapped_file'),
    fileDirty: stat('dirty'),
    fileWriteback: stat('writeback'),
    faults: stat('pgfault'),
    majorFaults: stat('pgmajfault'),
    oomEvents: kills,
    oomKills: kills,
  };
}

/** Nothing where the kernel keeps no account of it. */
function pressureOf(at: string, of: string): { readonly pressure?: Pressure } {
  const pressure = parsePressure(readSmallFile(`${at}/${of}.pressure`));
  return pressure === undefined ? {} : { pressure };
}

/** Reads a `*.pressure` file. */
export function parsePressure(text: string): Pressure | undefined {
  const some = sharesIn(text, SOME);
  return some === undefined ? undefined : { some, full: sharesIn(text, FULL) ?? [0, 0, 0] };
}

const SOME = /^some avg10=(\S+) avg60=(\S+) avg300=(\S+)/m;
const FULL = /^full avg10=(\S+) avg60=(\S+) avg300=(\S+)/m;

function sharesIn(text: string, words: RegExp): [number, number, number] | undefined {
  const found = words.exec(text);
  return found === null ? undefined : [Number(found[1]), Number(found[2]), Number(found[3])];
}

function readIoStat(at: string): Record<string, DeviceUsage> {
  return parseIoStat(readSmallFile(`${at}/io.stat`));
}

/** Reads v2's `io.stat`. */
export function parseIoStat(text: string): Record<string, DeviceUsage> {
  const devices: Record<string, DeviceUsage> = {};
  for (const line of text.split('\n')) {
    const [device = '', ...pairs] = line.split(' ');
    if (!/^\d+:\d+$/.test(device)) continue;
    const number = keyed(pairs.map((pair) => pair.replace('=', ' ')).join('\n'));
    devices[device] = {
      readBytes: number('rbytes'),
      writeBytes: number('wbytes'),
      readOps: number('rios'),
      writeOps: number('wios'),
      discardBytes: number('dbytes'),
      discardOps: number('dios'),
    };
  }
  return devices;
}

/** Reads the two files in which v1 counts bytes and operations. */
export function parseBlkio(bytes: string, operations: string): Record<string, DeviceUsage> {
  const devices: Record<string, { -readonly [K in keyof DeviceUsage]: DeviceUsage[K] }> = {};
  const add = (text: string, unit: 'Bytes' | 'Ops') => {
    for (const line of text.split('\n')) {
      const [device = '', word = '', number = ''] = line.split(' ');
      const way = ways.get(word);
      if (way === undefined) continue;
      devices[device] ??= { ...noTraffic };
      devices[device][`${way}${unit}`] = Number(number);
    }
  };
  add(bytes, 'Bytes');
  add(operations, 'Ops');
  return devices;
}

const ways: ReadonlyMap<string, 'read' | 'write' | 'discard'> = new Map([
  ['Read', 'read'],
  ['Write', 'write'],
  ['Discard', 'discard'],
]);

/** Reads `/proc/PID/net/dev`. */
export function parseInterfaces(text: string): Record<string, InterfaceUsage> {
  const interfaces: Record<string, InterfaceUsage> = {};
  for (const line of text.split('\n').slice(2)) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = numbers;
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = numbers.slice(8);
    interfaces[line.slice(0, colon).trim()] = {
      rxBytes,
      txBytes,
      rxPackets,
      txPackets,
      rxErrors,
      txErrors,
      rxDropped,
      txDropped,
    };
  }
  return interfaces;
}

function pidsAt(layout: CgroupLayout, name: string): string {
  return `${layout.kind === 'v2' ? layout.base : layout.base.pids}/${name}`;
}

function readTasks(layout: CgroupLayout, name: string): Pick<ProcessUsage, 'tasks' | 'limitHits'> {
  const at = pidsAt(layout, name);
  return {
    tasks: Number(readSmallFile(`${at}/pids.current`)),
    limitHits: readLimitHits(layout, name),
  };
}

function readLimitHits(layout: CgroupLayout, name: string): number {
  return keyed(readSmallFile(`${pidsAt(layout, name)}/pids.events`))('max');
}

/** What has ended and was not waited for is in no list of a cgroup, and counts there all the same. */
function readProcessUsage(
  layout: CgroupLayout,
  name: string,
  before: Pick<ProcessUsage, 'tasks' | 'limitHits'>,
  pids: readonly string[],
): ProcessUsage {
  const usage = { ...before, ...readProcesses(pids) };
  if (usage.tasks <= usage.threads || pids.length > PROCESSES_LOOKED_AT) return usage;
  // Some may have ended between the one look and the other, and be gone by now.
  const tasks = Math.min(usage.tasks, readTasks(layout, name).tasks);
  return { ...usage, zombie: usage.zombie + Math.max(0, tasks - usage.threads) };
}

const states: ReadonlyMap<string, 'running' | 'sleeping' | 'stopped' | 'zombie'> = new Map([
  ['R', 'running'],
  ['S', 'sleeping'],
  ['D', 'sleeping'],
  ['I', 'sleeping'],
  ['T', 'stopped'],
  ['t', 'stopped'],
  ['Z', 'zombie'],
]);

function readProcesses(pids: readonly string[]): Omit<ProcessUsage, 'tasks' | 'limitHits'> {
  const count = { running: 0, sleeping: 0, stopped: 0, zombie: 0 };
  let [threads, openFds] = [0, 0];
  for (const pid of pids.slice(0, PROCESSES_LOOKED_AT)) {
    // The name in parentheses may hold anything.
    const [state = '', ...fields] =
      readSmallFile(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
    const word = states.get(state);
    if (word === undefined) continue;
    count[word]++;
    threads += Number(fields[16]);
    openFds += countFds(pid);
  }
  // Process 1 may be ours; the others have the command's.
  const one = pids.slice(0, PROCESSES_LOOKED_AT).at(-1);
  const maxFds = parseOpenFiles(readSmallFile(`/proc/${one}/limits`));
  return { threads, ...count, openFds, maxFds };
}

function countFds(pid: string): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** The soft limit in the text of `/proc/PID/limits`. */
export function parseOpenFiles(text: string): number {
  return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? 0);
}
