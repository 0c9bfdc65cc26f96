// The one place that knows how this host arranges its cgroups: pure v2, or v1 controllers with or
// without a unified tree beside them. Everybody else speaks of limits.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { closeHugePages } from './huge-pages.ts';

/** What cgroups can hold a job to. */
export interface CgroupLimits {
  /** Percent of one core; 0 is unlimited. */
  readonly cpuPercent: number;
  /** Resident memory, swap included; 0 is unlimited. */
  readonly memoryBytes: number;
  /** Bytes a second, each for reading and writing, of each disk; 0 is unlimited. */
  readonly ioBps: number;
  /** A list as `0-3` or `0,2`; empty is any. */
  readonly cpuCores: string;
  /** Processes and threads together; 0 is unlimited. */
  readonly processes: number;
}

export type CgroupLayout =
  | { readonly kind: 'v2'; readonly base: string; readonly swap: boolean }
  | {
      readonly kind: 'v1';
      /** Controller name to our base directory below it. */
      readonly base: Readonly<Record<V1Controller, string>>;
      /** Our base directory in the unified tree of a hybrid host: it kills a job as a whole. */
      readonly unified: string;
      readonly swap: boolean;
    };

const v1Controllers = ['memory', 'cpu', 'pids', 'blkio', 'cpuset'] as const;
type V1Controller = (typeof v1Controllers)[number];

/** What a v2 host must offer for our limits; memory first, for it tells a v2 host from the others. */
const v2Controllers = ['memory', 'cpu', 'cpuset', 'io', 'pids'] as const;

/** Where hosts mount them. */
export const CGROUP_ROOT = '/sys/fs/cgroup';

const CPU_PERIOD_USEC = 100_000;

/** Room for some connections also in the smallest job. */
const LEAST_SOCKET_BUFFER_BYTES = 4 << 20;

interface CgroupMount {
  readonly kind: 'v1' | 'v2';
  readonly target: string;
  readonly options: readonly string[];
}

/** Reads the cgroup mounts out of the text of `/proc/self/mountinfo`. */
export function parseCgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const target = left.split(' ')[4] ?? '';
    const [type, , options = ''] = right.split(' ');
    if (type === 'cgroup') mounts.push({ kind: 'v1', target, options: options.split(',') });
    if (type === 'cgroup2') mounts.push({ kind: 'v2', target, options: [] });
  }
  return mounts;
}

/**
 * Finds out how the host arranges its cgroups and makes our base directory in each tree.
 * `baseDir` is the configured one, as below `/sys/fs/cgroup` of a v2 host. Throws when a limit that
 * we promise could not be kept here.
 */
export function openCgroups(baseDir: string): CgroupLayout {
  const relative = path.relative(CGROUP_ROOT, baseDir);
  if (relative === '' || relative.startsWith('..')) {
    throw new JobletError(
      'invalid',
      `cgroup.baseDir must lie below ${CGROUP_ROOT}, not ${baseDir}`,
    );
  }
  const mounts = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  const v1 = mounts.filter((mount) => mount.kind === 'v1');
  const v2 = mounts.find((mount) => mount.kind === 'v2');
  const memory = v1.find((mount) => mount.options.includes('memory'));
  if (memory !== undefined) return openV1(v1, v2, relative);
  if (v2 === undefined) {
    throw new JobletError(
      'unsupported',
      'this host mounts no cgroups; mount cgroup2 on /sys/fs/cgroup',
    );
  }
  return openV2(v2.target, relative);
}

function openV1(
  mounts: readonly CgroupMount[],
  v2: CgroupMount | undefined,
  relative: string,
): CgroupLayout {
  const base = {} as Record<V1Controller, string>;
  for (const controller of v1Controllers) {
    const mount = mounts.find((each) => each.options.includes(controller));
    if (mount === undefined) throw missing(controller);
    base[controller] = path.join(mount.target, relative);
    makeDirectory(mount.target, relative, controller === 'cpuset' ? inheritCpuset : undefined);
  }
  if (v2 === undefined) {
    throw new JobletError(
      'unsupported',
      'this host mounts v1 cgroups only, so a job could not be killed as a whole; mount the unified tree too: mount -t cgroup2 none /sys/fs/cgroup/unified',
    );
  }
  const unified = path.join(v2.target, relative);
  makeDirectory(v2.target, relative);
  requireKill(unified);
  const swap = readdirSync(base.memory).includes('memory.memsw.limit_in_bytes');
  countSocketBuffers(base.memory);
  limitAllProcesses(base.pids);
  closeHugePages(v2.target, relative);
  return { kind: 'v1', base, unified, swap };
}

/** Whatever else fails, one write must be able to end a job as a whole. */
function requireKill(directory: string): void {
  const file = path.join(directory, 'cgroup.kill');
  if (existsSync(file)) return;
  throw new JobletError(
    'unsupported',
    'the kernel of this host cannot kill a cgroup as a whole; boot Linux 5.14 or newer',
    { about: file },
  );
}

/** Buffers of internet sockets, which v1 counts apart from all other memory, and only when asked. */
const V1_SOCKET_BUFFERS = 'memory.kmem.tcp.limit_in_bytes';

/**
 * Has the kernel count them here as long as we exist: it patches its code when the first group asks,
 * which is not to happen at the start of a job.
 */
function countSocketBuffers(directory: string): void {
  const file = path.join(directory, V1_SOCKET_BUFFERS);
  try {
    writeFileSync(file, readFileSync(file));
  } catch (error) {
    if (existsSync(file)) throw notSetUp(file, error);
    throw new JobletError(
      'unsupported',
      `the memory controller of this host does not limit the buffers of sockets: ${messageOf(error)}; mount cgroup v2 instead`,
      { about: file, cause: error },
    );
  }
}

/** Removes an empty base directory from every tree that has it, also where opening it failed. */
export function closeCgroups(baseDir: string): void {
  const relative = path.relative(CGROUP_ROOT, baseDir);
  for (const { target } of parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const directory = path.join(target, relative);
    if (existsSync(directory)) rmdirSync(directory);
  }
}

/** A v1 cpuset is born empty, and an empty one takes no process. */
function inheritCpuset(directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (readFileSync(path.join(directory, file), 'utf8').trim() !== '') continue;
    writeFileSync(path.join(directory, file), readFileSync(path.join(directory, '..', file)));
  }
}

function openV2(root: string, relative: string): CgroupLayout {
  const offered = readFileSync(path.join(root, 'cgroup.controllers'), 'utf8').trim().split(' ');
  for (const controller of v2Controllers) {
    if (!offered.includes(controller)) throw missing(controller);
  }
  const base = path.join(root, relative);
  // Processes live in leaves only: if we were started in the base itself, as systemd does with a
  // delegated unit, we step into a leaf before its controllers can be handed on.
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('::')[1] ?? '/';
  makeDirectory(root, relative);
  if (own === `/${relative}`) {
    mkdirSync(path.join(base, 'daemon'), { recursive: true });
    for (const pid of readFileSync(path.join(base, 'cgroup.procs'), 'utf8').trim().split('\n')) {
      writeFileSync(path.join(base, 'daemon', 'cgroup.procs'), pid);
    }
  }
  const enable = v2Controllers.map((controller) => `+${controller}`).join(' ');
  let at = root;
  for (const part of ['', ...relative.split('/')]) {
    at = path.join(at, part);
    try {
      writeFileSync(path.join(at, 'cgroup.subtree_control'), enable);
    } catch (error) {
      throw new JobletError(
        'unsupported',
        `cgroup setup failed: ${at} does not hand on ${v2Controllers.join(', ')}: ${messageOf(error)}`,
        { about: at, cause: error },
      );
    }
  }
  requireKill(base);
  limitAllProcesses(base);
  closeHugePages(root, relative);
  if (own === `/${relative}`) preferDaemon(path.join(base, 'daemon'));
  const probe = path.join(base, 'probe');
  mkdirSync(probe, { recursive: true });
  const swap = readdirSync(probe).includes('memory.swap.max');
  rmdirSync(probe);
  return { kind: 'v2', base, swap };
}

/** Of all processes that the host can have, so many are left to the host and to us. */
const HOST_SHARE = 1 / 4;

/**
 * All jobs together leave the host some processes: each within its own limit, they could still use up
 * all numbers that there are, and then nobody could start anything, not even a shell to end them.
 */
function limitAllProcesses(base: string): void {
  const read = (file: string) => readFileSync(file, 'utf8').trim();
  const most = Math.min(
    ...['pid_max', 'threads-max'].map((name) => Number(read(`/proc/sys/kernel/${name}`))),
  );
  const wanted = Math.floor(most * (1 - HOST_SHARE));
  const file = path.join(base, 'pids.max');
  const current = read(file);
  // Whoever made the group may have set less.
  if (current === 'max' || Number(current) > wanted) writeFileSync(file, String(wanted));
}

/** Beside its jobs in one group, the daemon would get a share like one of them. */
function preferDaemon(leaf: string): void {
  writeFileSync(path.join(leaf, 'cpu.weight'), '10000');
}

function notSetUp(file: string, cause: unknown): JobletError {
  const message = `cgroup setup failed: ${file}: ${messageOf(cause)}`;
  return new JobletError('unsupported', message, { about: file, cause });
}

function makeDirectory(root: string, relative: string, each?: (directory: string) => void): void {
  let at = root;
  for (const part of relative.split('/')) {
    at = path.join(at, part);
    try {
      mkdirSync(at, { recursive: true });
    } catch (error) {
      throw notSetUp(at, error);
    }
    each?.(at);
  }
}

/**
 * What a job's sockets may hold in buffers beside its memory on v1. At this limit connections get
 * slow and datagrams are dropped, nothing is killed; an eighth is still a lot to have on the way.
 */
function socketBufferBytes(memoryBytes: number): number {
  return Math.max(memoryBytes / 8, LEAST_SOCKET_BUFFER_BYTES);
}

function missing(controller: string): JobletError {
  return new JobletError(
    'unsupported',
    `this host offers no cgroup controller ${controller}, so that limit could not be kept; enable it in the kernel or on its command line`,
    { about: controller },
  );
}

/**
 * Whole disks as `major:minor`. Loop devices are not among them: the one that a job's own work
 * directory is mounted from is added for that job, since what a job writes there reaches the disk
 * behind it in the name of the kernel.
 */
export function listDisks(): string[] {
  return (
    readdirSync('/sys/block')
      .filter((name) => !/^(loop|ram|zram|fd|sr)\d/.test(name))
      .map((name) => `/sys/block/${name}/dev`)
      // One of several ways to the same disk has no number: it cannot be opened, so not be limited.
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file, 'utf8').trim())
  );
}

/** The directory of one job alone. */
export function cgroupNameOf(id: string): string {
  return `job-${id}`;
}

/**
 * The part of a launch plan that puts a job into its cgroups, of this name, with its limits.
 * `processes` counts the job's own; its init is let in on top.
 */
export function cgroupPlan(
  layout: CgroupLayout,
  name: string,
  limits: CgroupLimits,
  disks: readonly string[],
  hasInit: boolean,
): string[] {
  const plan: string[] = [];
  const set = (directory: string, file: string, value: string) =>
    plan.push('cgroup-set', path.join(directory, file), value);
  const pids = String(limits.processes + (hasInit ? 1 : 0));
  const quota = String(limits.cpuPercent * (CPU_PERIOD_USEC / 100));

  if (layout.kind === 'v2') {
    const at = path.join(layout.base, name);
    plan.push('cgroup', 'v2', at);
    if (limits.memoryBytes > 0) {
      set(at, 'memory.max', String(limits.memoryBytes));
      if (layout.swap) set(at, 'memory.swap.max', '0');
    }
    set(at, 'memory.oom.group', '1');
    if (limits.cpuPercent > 0) set(at, 'cpu.max', `${quota} ${CPU_PERIOD_USEC}`);
    if (limits.processes > 0) set(at, 'pids.max', pids);
    if (limits.cpuCores !== '') set(at, 'cpuset.cpus', limits.cpuCores);
    if (limits.ioBps > 0) {
      for (const disk of disks) {
        set(at, 'io.max', `${disk} rbps=${limits.ioBps} wbps=${limits.ioBps}`);
      }
    }
    plan.push('memory-events', 'v2', at, 'cpu-usage', 'v2', at, 'io-usage', 'v2', at);
    return plan;
  }

  const join = (controller: V1Controller) => {
    const at = path.join(layout.base[controller], name);
    // Controllers may share one mount: one directory serves both.
    if (!plan.includes(at)) plan.push('cgroup', 'v1', at);
    return at;
  };
  const memory = join('memory');
  if (limits.memoryBytes > 0) {
    set(memory, 'memory.limit_in_bytes', String(limits.memoryBytes));
    if (layout.swap) set(memory, 'memory.memsw.limit_in_bytes', String(limits.memoryBytes));
    set(memory, V1_SOCKET_BUFFERS, String(socketBufferBytes(limits.memoryBytes)));
  }
  const cpu = join('cpu');
  if (limits.cpuPercent > 0) {
    set(cpu, 'cpu.cfs_period_us', String(CPU_PERIOD_USEC));
    set(cpu, 'cpu.cfs_quota_us', quota);
  }
  const processes = join('pids');
  if (limits.processes > 0) set(processes, 'pids.max', pids);
  const blkio = join('blkio');
  if (limits.ioBps > 0) {
    for (const disk of disks) {
      set(blkio, 'blkio.throttle.read_bps_device', `${disk} ${limits.ioBps}`);
      set(blkio, 'blkio.throttle.write_bps_device', `${disk} ${limits.ioBps}`);
    }
  }
  if (limits.cpuCores !== '') {
    const cpuset = join('cpuset');
    set(cpuset, 'cpuset.cpus', limits.cpuCores);
    set(
      cpuset,
      'cpuset.mems',
      readFileSync(path.join(layout.base.cpuset, 'cpuset.mems'), 'utf8').trim(),
    );
  }
  // The unified tree counts processor time without any controller, so cpuacct is not needed.
  const unified = path.join(layout.unified, name);
  plan.push('cgroup', 'kill', unified, 'memory-events', 'v1', memory, 'cpu-usage', 'v2', unified);
  plan.push('io-usage', 'v1', blkio);
  return plan;
}

/** The directories of one name in every tree. */
export function cgroupDirectories(layout: CgroupLayout, name: string): string[] {
  const bases =
    layout.kind === 'v2' ? [layout.base] : [...Object.values(layout.base), layout.unified];
  return [...new Set(bases)].map((base) => path.join(base, name));
}

/**
 * Kills what still runs in the cgroups of this name, waits until it is dead, and removes them: what
 * the keeper does at an end, for a keeper that can not do it any more.
 */
export async function clearCgroups(layout: CgroupLayout, name: string): Promise<void> {
  const directories = cgroupDirectories(layout, name);
  const tree = path.join(layout.kind === 'v2' ? layout.base : layout.unified, name);
  if (existsSync(tree)) {
    writeFileSync(path.join(tree, 'cgroup.kill'), '1');
    await emptied(path.join(tree, 'cgroup.events'));
  }
  for (const directory of directories) {
    try {
      rmdirSync(directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** Resolves when the kernel says in this file that no process is left. */
async function emptied(eventsFile: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (/^populated 0$/m.test(readFileSync(eventsFile, 'utf8'))) resolve();
  };
  const watcher = watch(eventsFile, look);
  look();
  await promise;
  watcher.close();
}

/** The limits of a job as sentences, with the mechanism that keeps them. */
export function describeLimits(
  layout: Pick<CgroupLayout, 'kind' | 'swap'>,
  limits: CgroupLimits,
): string[] {
  const by = layout.kind === 'v2' ? 'cgroup v2' : 'cgroup v1';
  const lines: string[] = [];
  if (limits.cpuPercent > 0) lines.push(`CPU ${limits.cpuPercent}% of a core (${by})`);
  if (limits.cpuCores !== '') lines.push(`cores ${limits.cpuCores} (${by})`);
  if (limits.memoryBytes > 0) {
    const swap = layout.swap ? 'swap included' : 'this host counts no swap';
    lines.push(`memory ${limits.memoryBytes / (1 << 20)} MB, ${swap} (${by})`);
  }
  if (limits.ioBps > 0) lines.push(`I/O ${limits.ioBps} bytes/s per disk and direction (${by})`);
  if (limits.processes > 0) lines.push(`${limits.processes} processes (${by})`);
  return lines;
}
