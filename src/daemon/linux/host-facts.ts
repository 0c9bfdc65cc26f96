// What this host is and has, read and tried: facts alone, without a judgement.

import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, realpathSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type CgroupLayout, parseCgroupMounts } from './cgroup.ts';
import { type ForwardDrop, readForwardDrops } from './forward-drops.ts';
import { hasSwap } from './host-conditions.ts';
import { type JobMount, namesOf, parseMounts, statusField } from './job-process.ts';
import { LAUNCH_BINARY } from './launch-binary.ts';

const run = promisify(execFile);

/** A directory that the daemon uses, or where it will be made. */
export interface Place {
  readonly path: string;
  /** It, or the nearest above it that is there. */
  readonly directory: string;
  /** Its file system begins there. */
  readonly isWholeDisk: boolean;
  readonly fileSystem: string;
  /** Of its mount and of its file system. */
  readonly options: readonly string[];
  readonly freeBytes: number;
  readonly freeFiles: number;
}

export interface CgroupFacts {
  /** The controllers of v1 that are mounted. */
  readonly v1: readonly string[];
  /** Where the unified tree is mounted; empty when it is not. */
  readonly unified: string;
  /** Controllers that the unified tree offers. */
  readonly v2: readonly string[];
  /** How it was opened for jobs, or undefined. */
  readonly layout: CgroupLayout | undefined;
  /** The most memory that a group ever had is known. */
  readonly hasPeak: boolean;
  /** Why it was not; empty when it was, or was not tried. */
  readonly problem: string;
}

export interface HostFacts {
  readonly isRoot: boolean;
  /** The id map of this process: another one than the whole is that of a container. */
  readonly uidMap: string;
  readonly kernel: string;
  readonly machine: string;
  /** A core that this process may run on. */
  readonly core: string;
  readonly commandLine: string;
  /** Effective ones of this process. */
  readonly capabilities: readonly string[];
  /** This process runs under somebody's system call filter. */
  readonly isFiltered: boolean;
  /** What `joblet-launch probe` found, by name; empty when it could not run. */
  readonly probes: ReadonlyMap<string, string>;
  readonly probeProblem: string;
  /** Those paths of the host that jobs see and that are there; their ids have to be mapped. */
  readonly mounts: readonly string[];
  readonly cgroups: CgroupFacts;
  readonly hasSwap: boolean;
  readonly hasPressure: boolean;
  /** Values of sysctls by their names with dots; those that the kernel lacks are not there. */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly seccompActions: readonly string[];
  /** Hard limit of open files of this process. */
  readonly openFiles: number;
  readonly places: Readonly<Record<PlaceName, Place>>;
  /** Names of the disks whose speed can be limited. */
  readonly disks: readonly string[];
  /** Those of the named programs that are there. */
  readonly programs: ReadonlySet<string>;
  readonly isUnderSystemd: boolean;
  readonly isSelinuxEnforcing: boolean;
  /** Ranges of ids that are given to users of this host: who, first, count. */
  readonly subordinateIds: readonly (readonly [who: string, first: number, count: number])[];
  readonly clockSource: string;
  readonly atMs: number;
  /** Chains of the host that drop what jobs send; undefined where nobody knows. */
  readonly forwardDrops: readonly ForwardDrop[] | undefined;
}

export type PlaceName = 'state' | 'logs' | 'work' | 'volumes' | 'runtimes';

export interface FactsWanted {
  /** Where the daemon's directories are or will be. */
  readonly places: Readonly<Record<PlaceName, string>>;
  /** First id of a range that no job has. */
  readonly firstId: number;
  /** Paths of the host that jobs see. */
  readonly mounts: readonly string[];
  readonly cgroups: Pick<CgroupFacts, 'layout' | 'problem'>;
  readonly disks: readonly string[];
}

const SYSCTLS = [
  'kernel.apparmor_restrict_unprivileged_userns',
  'kernel.core_pattern',
  'kernel.kptr_restrict',
  'kernel.perf_event_paranoid',
  'kernel.pid_max',
  'kernel.random.entropy_avail',
  'kernel.threads-max',
  'kernel.unprivileged_userns_clone',
  'kernel.yama.ptrace_scope',
  'fs.file-max',
  'user.max_cgroup_namespaces',
  'user.max_ipc_namespaces',
  'user.max_mnt_namespaces',
  'user.max_net_namespaces',
  'user.max_pid_namespaces',
  'user.max_user_namespaces',
  'user.max_uts_namespaces',
  'vm.overcommit_memory',
  'vm.panic_on_oom',
] as const;

export type Sysctl = (typeof SYSCTLS)[number];

const PROGRAMS = [
  ...['mkfs.ext4', 'tune2fs', 'e2fsck', 'losetup', 'mount', 'umount', 'cp'],
  ...['nft', 'tc', 'ip'],
] as const;

/** For what the kernel can do with a file system in memory. */
const SOME_TMPFS = '/dev/shm';

const SEARCHED = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export async function readHostFacts(wanted: FactsWanted): Promise<HostFacts> {
  const table = parseMounts(read('/proc/self/mountinfo'));
  const mounts = wanted.mounts.filter((source) => existsSync(source));
  const places = {
    state: readPlace(wanted.places.state, table),
    logs: readPlace(wanted.places.logs, table),
    work: readPlace(wanted.places.work, table),
    volumes: readPlace(wanted.places.volumes, table),
    runtimes: readPlace(wanted.places.runtimes, table),
  };
  const status = read('/proc/self/status');
  const cgroups = readCgroups(wanted.cgroups);
  const mapped = new Set([...mounts, places.runtimes.directory, SOME_TMPFS]);
  const { probes, problem } = await probe(wanted.firstId, cgroups, [...mapped]);
  return {
    isRoot: process.getuid?.() === 0,
    uidMap: read('/proc/self/uid_map').trim().replaceAll(/\s+/g, ' '),
    kernel: os.release(),
    machine: os.machine(),
    core: /^\d+/.exec(statusField(status, 'Cpus_allowed_list'))?.[0] ?? '0',
    commandLine: read('/proc/cmdline').trim(),
    capabilities: namesOf(BigInt(`0x${statusField(status, 'CapEff') || '0'}`)),
    isFiltered: !['', '0'].includes(statusField(status, 'Seccomp')),
    probes,
    probeProblem: problem,
    mounts,
    cgroups,
    hasSwap: hasSwap(),
    hasPressure: existsSync('/proc/pressure/memory'),
    sysctls: new Map(
      SYSCTLS.map((name) => [name, read(`/proc/sys/${name.replaceAll('.', '/')}`).trim()] as const)
        // An empty value, as core_pattern may have, is like none.
        .filter(([, value]) => value !== ''),
    ),
    seccompActions: read('/proc/sys/kernel/seccomp/actions_avail').trim().split(' '),
    openFiles: parseOpenFiles(read('/proc/self/limits')),
    places,
    disks: wanted.disks.map(diskName),
    programs: new Set(PROGRAMS.filter(isProgram)),
    isUnderSystemd: existsSync('/run/systemd/system'),
    isSelinuxEnforcing: read('/sys/fs/selinux/enforce').trim() === '1',
    subordinateIds: [...read('/etc/subuid').split('\n'), ...read('/etc/subgid').split('\n')]
      .map((line) => line.split(':'))
      .filter((parts) => parts.length === 3)
      .map(([who = '', first, count]) => [who, Number(first), Number(count)] as const),
    clockSource: read('/sys/devices/system/clocksource/clocksource0/current_clocksource').trim(),
    atMs: Date.now(),
    forwardDrops: await readForwardDrops(),
  };
}

/** The text of a file, or empty when there is none for us. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function readCgroups({ layout, problem }: FactsWanted['cgroups']): CgroupFacts {
  const mounts = parseCgroupMounts(read('/proc/self/mountinfo'));
  const unified = mounts.find(({ kind }) => kind === 'v2')?.target ?? '';
  return {
    v1: mounts
      .filter(({ kind }) => kind === 'v1')
      .flatMap(({ options }) => options)
      .filter((option) => /^(cpu|cpuacct|cpuset|memory|pids|blkio|devices|freezer)$/.test(option)),
    unified,
    v2: read(path.join(unified, 'cgroup.controllers')).trim().split(' ').filter(Boolean),
    layout,
    problem,
    // v1 always knows it.
    hasPeak: layout?.kind !== 'v2' || existsSync(path.join(layout.base, 'memory.peak')),
  };
}

/** Has the kernel tried. */
async function probe(
  firstId: number,
  { unified }: CgroupFacts,
  mapped: readonly string[],
): Promise<{ probes: Map<string, string>; problem: string }> {
  // The group that this process is in takes another one, whatever its controllers.
  const own = /^0::(.*)$/m.exec(read('/proc/self/cgroup'))?.[1] ?? '/';
  const birth = unified === '' ? '' : path.join(unified, own);
  try {
    const args = ['probe', String(firstId), birth, ...mapped];
    const { stdout } = await run(LAUNCH_BINARY, args, { env: {} });
    const lines = stdout.trimEnd().split('\n');
    return {
      probes: new Map(lines.map((line) => line.split('\t') as [string, string])),
      problem: '',
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const problem =
      code === 'ENOENT' ? `${LAUNCH_BINARY} is not there; build it with ./dev` : message;
    return { probes: new Map(), problem };
  }
}

/** Looks at the nearest directory above that exists. */
function readPlace(wanted: string, mounts: readonly JobMount[]): Place {
  let directory = path.resolve(wanted);
  while (!existsSync(directory)) directory = path.dirname(directory);
  const real = realpathSync(directory);
  // Of several on one place the last covers the others.
  const mount = mounts
    .filter(({ target }) => real === target || real.startsWith(target === '/' ? '/' : `${target}/`))
    .reduce<JobMount | undefined>(
      (best, each) => (best !== undefined && best.target.length > each.target.length ? best : each),
      undefined,
    );
  const { bavail, bsize, ffree, files } = statfsSync(directory);
  return {
    path: wanted,
    directory,
    isWholeDisk: mount !== undefined && mount.root === '/' && mount.target === real,
    fileSystem: mount?.type ?? '',
    options: [...(mount?.options ?? []), ...(mount?.fileSystemOptions ?? [])],
    freeBytes: bavail * bsize,
    // A file system that makes them as needed counts none.
    freeFiles: files === 0 ? Number.POSITIVE_INFINITY : ffree,
  };
}

/** The name of a disk that is given as `major:minor`. */
function diskName(device: string): string {
  const link = path.join('/sys/dev/block', device);
  return existsSync(link) ? path.basename(realpathSync(link)) : device;
}

function parseOpenFiles(limits: string): number {
  const [, hard = ''] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits) ?? [];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

function isProgram(name: string): boolean {
  return SEARCHED.some((directory) => {
    try {
      accessSync(path.join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
