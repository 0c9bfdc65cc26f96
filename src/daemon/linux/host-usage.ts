// What the kernel counts of this host at a moment. Everything is what it says; rates are made of two.

import { readdirSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { type InterfaceUsage, parseInterfaces, readSmallFile } from './job-usage.ts';

/** Ticks of the clock, which are hundredths of a second. */
export interface CpuTicks {
  readonly user: number;
  readonly system: number;
  readonly idle: number;
  readonly ioWait: number;
  readonly steal: number;
}

export interface DiskCounts {
  readonly reads: number;
  readonly readBytes: number;
  readonly readMs: number;
  readonly writes: number;
  readonly writeBytes: number;
  readonly writeMs: number;
  /** In which anything was under way. */
  readonly busyMs: number;
}

export interface FileSystem {
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What is left to those who are not root. */
  readonly availableBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** One letter. */
  readonly state: string;
  readonly ticks: number;
  readonly threads: number;
  /** Ticks after the boot. */
  readonly startedTicks: number;
  readonly residentBytes: number;
}

export interface HostUsage {
  /** Milliseconds of a clock that nobody sets. */
  readonly atMs: number;
  readonly cpu: CpuTicks;
  readonly cores: readonly CpuTicks[];
  readonly load: readonly [number, number, number];
  /** Bytes, by the kernel's names. */
  readonly memory: ReadonlyMap<string, number>;
  readonly fileSystems: readonly FileSystem[];
  readonly interfaces: Readonly<Record<string, InterfaceUsage>>;
  readonly disks: Readonly<Record<string, DiskCounts>>;
  readonly processes: readonly HostProcess[];
}

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;

/** Of x86 and arm64 alike. */
export const TICKS_PER_SECOND = 100;

/** Processes that are read before the event loop gets its turn. */
const PROCESSES_AT_ONCE = 64;

/** Reads all of it. */
export async function readHostUsage(): Promise<HostUsage> {
  const { total, cores } = parseCpuTicks(readSmallFile('/proc/stat'));
  return {
    atMs: performance.now(),
    cpu: total,
    cores,
    load: parseLoad(readSmallFile('/proc/loadavg')),
    memory: parseMemory(readSmallFile('/proc/meminfo')),
    fileSystems: await readFileSystems(),
    interfaces: parseInterfaces(readSmallFile('/proc/net/dev')),
    disks: parseDisks(readSmallFile('/proc/diskstats'), isWholeDisk),
    processes: await readProcesses(),
  };
}

/** Reads `/proc/stat`. */
export function parseCpuTicks(text: string): { total: CpuTicks; cores: CpuTicks[] } {
  const lines = text.split('\n').filter((line) => /^cpu\d*\s/.test(line));
  const [total = noTicks, ...cores] = lines.map((line) => {
    const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, irq = 0, softIrq = 0, steal = 0] =
      line.trim().split(/\s+/).slice(1).map(Number);
    return { user: user + nice, system: system + irq + softIrq, idle, ioWait, steal };
  });
  return { total, cores };
}

const noTicks: CpuTicks = { user: 0, system: 0, idle: 0, ioWait: 0, steal: 0 };

/** Reads `/proc/loadavg`. */
export function parseLoad(text: string): [number, number, number] {
  const [one = 0, five = 0, fifteen = 0] = text.split(' ').map(Number);
  return [one, five, fifteen];
}

/** Reads `/proc/meminfo`. */
export function parseMemory(text: string): Map<string, number> {
  const found = text.matchAll(/^(\S+):\s+(\d+) kB$/gm);
  return new Map([...found].map(([, name = '', kilobytes]) => [name, Number(kilobytes) * 1024]));
}

/** Reads `/proc/diskstats`, of the devices that are wanted. */
export function parseDisks(
  text: string,
  isWanted: (name: string) => boolean,
): Record<string, DiskCounts> {
  const disks: Record<string, DiskCounts> = {};
  for (const line of text.split('\n')) {
    const [, , name = '', ...words] = line.trim().split(/\s+/);
    if (name === '' || !isWanted(name)) continue;
    const [reads = 0, , readSectors = 0, readMs = 0, writes = 0, , writeSectors = 0, writeMs = 0] =
      words.map(Number);
    disks[name] = {
      reads,
      readBytes: readSectors * SECTOR_BYTES,
      readMs,
      writes,
      writeBytes: writeSectors * SECTOR_BYTES,
      writeMs,
      busyMs: Number(words[9] ?? 0),
    };
  }
  return disks;
}

/** Partitions, and what lies on another disk, would be counted twice. */
function isWholeDisk(name: string): boolean {
  if (/^(loop|ram|zram|fd|sr|dm-|md)\d/.test(name)) return false;
  return statSync(`/sys/block/${name}`, { throwIfNoEntry: false }) !== undefined;
}

/** File systems on disks, each once, as `/proc/self/mountinfo` lists them. */
export function parseDiskMounts(
  text: string,
): { device: string; mountPoint: string; type: string }[] {
  const mounts = new Map<string, { device: string; mountPoint: string; type: string }>();
  for (const line of text.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , number = '', root = '', target = ''] = left.split(' ');
    const [type = '', device = ''] = right.split(' ');
    // A part of a file system that is mounted elsewhere too is the same one again.
    if (!device.startsWith('/dev/') || root !== '/' || mounts.has(number)) continue;
    mounts.set(number, { device, mountPoint: plain(target), type });
  }
  return [...mounts.values()];
}

/** The kernel writes blanks and the like as `\040`. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

async function readFileSystems(): Promise<FileSystem[]> {
  const mounts = parseDiskMounts(readSmallFile('/proc/self/mountinfo'));
  const all = mounts.map(async (mount) => {
    try {
      const found = await statfs(mount.mountPoint);
      return {
        ...mount,
        totalBytes: found.blocks * found.bsize,
        freeBytes: found.bfree * found.bsize,
        availableBytes: found.bavail * found.bsize,
        inodes: found.files,
        inodesFree: found.ffree,
      };
    } catch {
      // It has just gone, or lies where we may not look.
      return undefined;
    }
  });
  return (await Promise.all(all)).filter((each) => each !== undefined);
}

async function readProcesses(): Promise<HostProcess[]> {
  const processes: HostProcess[] = [];
  let looks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const found = parseProcess(readSmallFile(`/proc/${name}/stat`));
    if (found !== undefined) processes.push(found);
    if (++looks % PROCESSES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return processes;
}

/** Reads `/proc/PID/stat`. Undefined for a process that has just gone. */
export function parseProcess(text: string): HostProcess | undefined {
  const open = text.indexOf(' (');
  // The name may hold parentheses and blanks itself.
  const close = text.lastIndexOf(') ');
  if (open < 0 || close < open) return undefined;
  const [state = '', ...words] = text.slice(close + 2).split(' ');
  const number = (at: number) => Number(words[at - 4] ?? 0);
  return {
    pid: Number(text.slice(0, open)),
    parent: number(4),
    name: text.slice(open + 2, close),
    state,
    ticks: number(14) + number(15),
    threads: number(20),
    startedTicks: number(22),
    residentBytes: number(24) * PAGE_BYTES,
  };
}

/** The command line of a process; its name in brackets when it has none, as a thread of the kernel. */
export function commandLineOf({ pid, name }: Pick<HostProcess, 'pid' | 'name'>): string {
  const words = readSmallFile(`/proc/${pid}/cmdline`).replace(/\0+$/, '').replaceAll('\0', ' ');
  return words === '' ? `[${name}]` : words;
}

/** The name of the user whom a process runs as, or the number; empty when it has gone. */
export function userOf(pid: number): string {
  const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  return uid === undefined ? '' : (userNames().get(String(uid)) ?? String(uid));
}

let names: { readonly mtimeMs: number; readonly byId: Map<string, string> } | undefined;

function userNames(): Map<string, string> {
  const file = '/etc/passwd';
  const mtimeMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (names?.mtimeMs !== mtimeMs) {
    const lines = readSmallFile(file)
      .split('\n')
      .map((line) => line.split(':'));
    const byId = new Map(lines.map(([name = '', , id = '']) => [id, name]));
    names = { mtimeMs, byId };
  }
  return names.byId;
}

/** What does not change while the host runs. */
export interface HostSystem {
  readonly platform: string;
  readonly family: string;
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly bootedAtMs: number;
}

/** Reads `/etc/os-release` and the time of the boot. */
export function readHostSystem(): HostSystem {
  const release = parseRelease(readSmallFile('/etc/os-release'));
  const booted = /^btime (\d+)/m.exec(readSmallFile('/proc/stat'))?.[1];
  return {
    platform: release.get('ID') ?? 'linux',
    family: release.get('ID_LIKE')?.split(' ')[0] ?? release.get('ID') ?? '',
    version: release.get('VERSION_ID') ?? '',
    bootedAtMs: Number(booted ?? 0) * 1000,
  };
}

/** Reads `NAME=value` lines, with or without quotes. */
export function parseRelease(text: string): Map<string, string> {
  const lines = text.matchAll(/^([A-Z_]+)=(?:"([^"\n]*)"|'([^'\n]*)'|(\S*))$/gm);
  return new Map([...lines].map(([, name = '', a, b, c]) => [name, a ?? b ?? c ?? '']));
}

/** The hardware address of an interface; empty when it has none. */
export function hardwareAddressOf(name: string): string {
  const address = readSmallFile(path.join('/sys/class/net', name, 'address')).trim();
  return address === '00:00:00:00:00:00' ? '' : address;
}
