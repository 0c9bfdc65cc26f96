// What a daemon has on the host: cgroups, mounts, processes, files, descriptors. Two snapshots are
// compared, so everything in them is sorted and free of numbers that change by themselves.

import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

export interface Snapshot {
  /**
   * Directories below the daemon's cgroup base, in every hierarchy, without those that go from job to
   * job and that no process is in.
   */
  readonly cgroups: readonly string[];
  /** Mount points that name the daemon's directory, and loop devices that stand on its files. */
  readonly mounts: readonly string[];
  /** Names of the processes below the daemon, of those in its cgroups, and of orphaned keepers. */
  readonly processes: readonly string[];
  /** Everything below the daemon's directory. */
  readonly files: readonly string[];
  /** How many mounts the processes below the daemon see that are not the host's own, which come and go. */
  readonly mountsInside: readonly number[];
  /** How many descriptors the daemon holds, and then each process below it. */
  readonly descriptors: readonly number[];
}

const CGROUPS = '/sys/fs/cgroup';

export function takeSnapshot(pid: number, cgroupName: string, directory: string): Snapshot {
  const below = withoutStandby(
    descendants(pid).flatMap((each) => look(each) ?? []),
    1,
  );
  return {
    cgroups: cgroupBases(cgroupName).flatMap(directoriesBelow).filter(isHeld).toSorted(),
    mounts: [...mountsOf(directory), ...loopsOf(directory)].toSorted(),
    processes: below.map(({ name }) => name).toSorted(),
    files: readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted(),
    mountsInside: below.map(({ mounts }) => mounts),
    descriptors: [descriptorsOf(pid), ...below.map(({ descriptors }) => descriptors)],
  };
}

/**
 * Processes without the keeper that stands by: it takes the next job, and another one comes when there
 * is time. One that was just forked has the name of its launcher still, and is the youngest of them.
 */
export function withoutStandby<T extends { readonly name: string }>(
  processes: readonly T[],
  launchers: number,
): T[] {
  const rest = processes.filter(({ name }) => name !== 'joblet-standby');
  // With what a build with sanitizers is called behind.
  const unnamed = rest.filter(({ name }) => name.startsWith('joblet-launch'));
  if (rest.length < processes.length || unnamed.length <= launchers) return rest;
  return rest.filter((each) => each !== unnamed.at(-1));
}

/** What is seen of a process; undefined when it ended while it was being looked at. */
function look(pid: number): { name: string; mounts: number; descriptors: number } | undefined {
  const ofHost = new Set(lines('/proc/self/mountinfo'));
  try {
    return {
      name: nameOf(pid),
      mounts: lines(`/proc/${pid}/mountinfo`).filter((line) => !ofHost.has(line)).length,
      descriptors: descriptorsOf(pid),
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EINVAL') return undefined;
    throw error;
  }
}

/** Without the launcher's sockets: it has one to the keeper that stands by, while there is one. */
function descriptorsOf(pid: number): number {
  const all = readdirSync(`/proc/${pid}/fd`);
  return nameOf(pid) === 'joblet-launch'
    ? all.filter((fd) => !isSocket(pid, fd)).length
    : all.length;
}

function isSocket(pid: number, fd: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
  } catch {
    // It was closed while it was being looked at.
    return true;
  }
}

/** The living processes below one, by pid, with their names. */
export function processesBelow(pid: number): ReadonlyMap<number, string> {
  return new Map(descendants(pid).map((each) => [each, nameOf(each)]));
}

function isHeld(directory: string): boolean {
  if (!/^ids-\d+$/.test(path.basename(directory))) return true;
  const pids = readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').split('\n').slice(0, -1);
  // Nor what is in the sandbox of a job that has not come yet.
  return pids.some((pid) => nameOf(Number(pid)) !== 'joblet-standby');
}

/** Kills what is left in the cgroups of a daemon's jobs and waits until it is dead. */
export async function killAll(cgroupName: string): Promise<void> {
  for (const base of cgroupBases(cgroupName)) {
    const kill = path.join(base, 'cgroup.kill');
    if (!existsSync(kill)) continue;
    writeFileSync(kill, '1');
    await emptied(path.join(base, 'cgroup.events'));
  }
}

/** Removes a daemon's cgroups; they have to be empty. */
export function removeCgroups(cgroupName: string): void {
  for (const base of cgroupBases(cgroupName)) {
    // What lies deeper comes first.
    for (const directory of [...directoriesBelow(base).toReversed(), base]) rmdirSync(directory);
  }
}

/** The daemon's own directory in each hierarchy, on v1, hybrid and v2 hosts. */
function cgroupBases(cgroupName: string): string[] {
  const places = [CGROUPS, ...readdirSync(CGROUPS).map((name) => path.join(CGROUPS, name))];
  const bases = places.map((place) => path.join(place, cgroupName)).filter((at) => existsSync(at));
  return bases;
}

function directoriesBelow(base: string): string[] {
  return readdirSync(base, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .toSorted();
}

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

function mountsOf(directory: string): string[] {
  return lines('/proc/self/mountinfo')
    .filter((line) => line.includes(directory))
    .map((line) => line.split(' ')[4] ?? '');
}

function loopsOf(directory: string): string[] {
  return readdirSync('/sys/block')
    .map((name) => `/sys/block/${name}/loop/backing_file`)
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8').trim())
    .filter((backing) => backing.startsWith(directory));
}

function lines(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

/** All living processes below one, the older before the younger. */
function descendants(pid: number): number[] {
  let children: string;
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    // It ended while it was being looked at.
    return [];
  }
  return children
    .split(' ')
    .filter((text) => text !== '')
    .flatMap((text) => [Number(text), ...descendants(Number(text))])
    .filter((each) => nameOf(each) !== '');
}

function nameOf(pid: number): string {
  try {
    // The name of a kernel thread or of a process that is gone has no program behind it.
    readlinkSync(`/proc/${pid}/exe`);
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}
