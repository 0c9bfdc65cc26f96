// Drives joblet-launch the way the daemon does, without a daemon: for tests of the C program alone.
// A world is one test file's directory and cgroups; a launcher is one process; a job is one launch.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import {
  type CgroupLayout,
  type CgroupLimits,
  cgroupNameOf,
  cgroupPlan,
  openCgroups,
} from '../src/daemon/linux/cgroup.ts';
import {
  FrameReader,
  formatDataFrame,
  formatFrame,
  parsePairs,
} from '../src/daemon/linux/frames.ts';
import { hostRoot } from '../src/daemon/linux/host-root.ts';
import { HEADER_BYTES, isSegment, parseHeader, type StreamName } from '../src/shared/log-record.ts';
import { withoutStandby } from './snapshot.ts';

/** The program under test; JOBLET_LAUNCH names another build of it. */
export const launchBinary =
  process.env['JOBLET_LAUNCH'] ??
  path.join(import.meta.dirname, '..', 'native', 'build', 'joblet-launch');

/** Why these tests cannot run here, or undefined. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'the launcher needs Linux';
  if (process.getuid?.() !== 0) return 'the launcher needs root';
  return undefined;
}

export const hostMounts = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib64',
  '/etc/alternatives',
  '/etc/ld.so.cache',
];

const noLimits: CgroupLimits = {
  cpuPercent: 0,
  memoryBytes: 256 << 20,
  ioBps: 0,
  cpuCores: '',
  processes: 256,
};

/** What may differ from a plain job. */
export interface Wishes {
  readonly id?: string;
  /** First host id. */
  readonly ids?: number;
  readonly limits?: Partial<CgroupLimits>;
  /** Further operations in the shared part of the root; they make for another key. */
  readonly root?: readonly string[];
  /** Further operations of this job alone. */
  readonly mounts?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly stdin?: 'null' | 'pipe';
  readonly noInit?: boolean;
  readonly timeoutMs?: number;
  readonly graceMs?: number;
  readonly quotaBytes?: number;
  readonly reserveBytes?: number;
  readonly segmentBytes?: number;
  readonly logDirectory?: string;
  /** Cgroups of this name stay when the job ends, and were made by one before it or are made anew. */
  readonly kept?: { readonly name: string; readonly life: 'as-is' | 'anew' };
  /** Options put at the end, as they are. */
  readonly more?: readonly string[];
}

const PF_EXITING = 4;

export const FIRST_ID = 0x3000_0000;

export class World {
  readonly directory: string;
  readonly cgroups: CgroupLayout;
  readonly #launchers: LauncherProcess[] = [];

  constructor() {
    // Not /tmp: that may be a memory file system, whose ids older kernels cannot map.
    mkdirSync('/var/tmp', { recursive: true, mode: 0o1777 });
    this.directory = mkdtempSync('/var/tmp/joblet-launcher-');
    mkdirSync(path.join(this.directory, 'logs'));
    this.cgroups = openCgroups(`/sys/fs/cgroup/joblet-launcher-${process.pid}`);
  }

  /** Starts a launcher; resolves when it is ready. `wrap` is a command that starts it. */
  async start(wrap: readonly string[] = []): Promise<LauncherProcess> {
    const launcher = this.spawn(String(this.#launchers.length), wrap);
    await launcher.ready;
    return launcher;
  }

  /** Starts a launcher that takes turns with those of the same `line`. */
  spawn(line: string, wrap: readonly string[] = []): LauncherProcess {
    const launcher = new LauncherProcess(wrap, path.join(this.directory, `launcher-${line}.lock`));
    this.#launchers.push(launcher);
    return launcher;
  }

  /** Stops all that runs in the jobs' cgroups where it stands, or lets it go on. */
  freeze(frozen: boolean): void {
    const tree = this.cgroups.kind === 'v2' ? this.cgroups.base : this.cgroups.unified;
    writeFileSync(path.join(tree, 'cgroup.freeze'), frozen ? '1' : '0');
  }

  /** A plan for a plain job: host's programs, memory file systems, cgroups of its own. */
  plan(args: readonly string[], wishes: Wishes = {}): { id: string; plan: string[] } {
    const id = wishes.id ?? randomUUID();
    const limits = { ...noLimits, ...wishes.limits };
    const root = hostRoot(hostMounts);
    const tmpfs = (target: string) => ['tmpfs', target, String(16 << 20), '1024', '1777'];
    const plan = [
      ...['id', id, 'log-dir', wishes.logDirectory ?? this.logDirectory(id)],
      ...['log-segment', String(wishes.segmentBytes ?? 8 << 20)],
      ...['log-quota', String(wishes.quotaBytes ?? 0)],
      ...['log-reserve', String(wishes.reserveBytes ?? 0)],
      ...['socket', socketOf(id)],
      ...['timeout', String(wishes.timeoutMs ?? 0), 'grace', String(wishes.graceMs ?? 100)],
      ...['ids', String(wishes.ids ?? FIRST_ID), 'net', 'pool', 'hostname', 'a-job'],
      ...(wishes.kept === undefined ? [] : ['cgroups-kept', wishes.kept.life]),
      ...cgroupPlan(
        this.cgroups,
        wishes.kept?.name ?? cgroupNameOf(id),
        limits,
        [],
        wishes.noInit !== true,
      ),
      ...[
        'root-key',
        `${root.key}+${(wishes.root ?? []).join('').replace(/[^\w]/g, '').slice(0, 90)}`,
      ],
      ...root.operations,
      ...(wishes.root ?? []),
      'root-end',
      ...tmpfs('/work'),
      ...tmpfs('/tmp'),
      ...tmpfs('/dev/shm'),
      ...(wishes.mounts ?? []),
      ...['proc', '/proc'],
      ...['run-file', 'hostname', 'a-job\n', 'run-file', 'machine-id', `${'ab'.repeat(16)}\n`],
      ...['boot-id', '11111111-2222-4333-8444-555555555555'],
      ...['sys', '/sys'],
      ...['stdin', wishes.stdin ?? 'null', 'cwd', wishes.cwd ?? '/work'],
      ...(wishes.noInit === true ? ['no-init'] : []),
      ...['env', 'PATH=/usr/bin:/bin', 'env', 'HOME=/work'],
      ...(wishes.env ?? []).flatMap((each) => ['env', each]),
      ...args.flatMap((each) => ['arg', each]),
      ...(wishes.more ?? []),
    ];
    return { id, plan };
  }

  logDirectory(id: string): string {
    return path.join(this.directory, 'logs', id);
  }

  readLog(id: string): JobLog {
    return readLog(this.logDirectory(id));
  }

  /** What a failed or ended job must leave as it was. */
  snapshot(): { cgroups: string[]; mounts: string[]; files: string[]; keepers: string[] } {
    return {
      cgroups: this.#cgroupBases().flatMap(listDirectories),
      mounts: this.#mounts(),
      files: readdirSync(this.directory, { recursive: true }).map(String).sort(),
      keepers: this.#launchers.flatMap((launcher) => launcher.keepers()),
    };
  }

  /** All of the host's but those that other tests make and take away below their own directories. */
  #mounts(): string[] {
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => !line.includes('/joblet-') || line.includes(this.directory));
  }

  async close(): Promise<void> {
    for (const launcher of this.#launchers) await launcher.stop();
    rmSync(this.directory, { recursive: true });
    for (const base of this.#cgroupBases()) rmdirSync(base);
  }

  #cgroupBases(): string[] {
    const { cgroups } = this;
    return cgroups.kind === 'v2'
      ? [cgroups.base]
      : [...new Set([...Object.values(cgroups.base), cgroups.unified])];
  }
}

/** A job that was exec'd. */
export interface StartedJob {
  readonly id: string;
  readonly keeperPid: number;
  readonly initPid: number;
  /** The pairs of its end. */
  readonly ended: Promise<Map<string, string>>;
}

type Frame = readonly string[];

/** Somebody who waits for a frame. */
interface Waiting {
  matches(frame: Frame): boolean;
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

export class LauncherProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<Frame>;
  readonly socket: Socket;
  readonly stderr: Promise<string>;
  readonly exited: Promise<number | null>;
  readonly #heard: Frame[] = [];
  readonly #waiting: Waiting[] = [];
  #stopping = false;

  /** `lockFile` is where launchers take turns. */
  constructor(wrap: readonly string[], lockFile: string) {
    const [program = '', ...args] = [...wrap, launchBinary, 'launcher', lockFile];
    this.child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ASAN_OPTIONS: 'detect_leaks=0' },
    });
    this.socket = this.child.stdio[3] as Socket;
    this.stderr = this.child.stderr === null ? Promise.resolve('') : text(this.child.stderr);
    this.exited = new Promise((resolve) => this.child.once('exit', resolve));
    const reader = new FrameReader();
    this.socket.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk) ?? []) this.#hear(frame);
    });
    // A launcher that ends on a bad frame resets what we still send.
    this.socket.on('error', () => {});
    this.socket.on('close', () => void this.#giveUp());
    this.ready = this.frame('ready');
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** The next frame of one of these verbs, and of this job where one is named. */
  frame(verbs: string | readonly string[], id = ''): Promise<Frame> {
    const matches = ([verb = '', of]: Frame) => verbs.includes(verb) && (id === '' || of === id);
    const at = this.#heard.findIndex(matches);
    const [found] = at < 0 ? [] : this.#heard.splice(at, 1);
    if (found !== undefined) return Promise.resolve(found);
    const { promise, resolve, reject } = Promise.withResolvers<Frame>();
    this.#waiting.push({ matches, resolve, reject });
    // Whoever waits hears of it; nobody has to wait.
    promise.catch(() => {});
    return promise;
  }

  send(strings: readonly string[]): void {
    this.socket.write(formatFrame(strings));
  }

  /** Launches; resolves when the command was exec'd, throws what failed otherwise. */
  async launch({ id, plan }: { id: string; plan: readonly string[] }): Promise<StartedJob> {
    this.send(['launch', ...plan]);
    const frame = await this.frame(['started', 'failed'], id);
    if (frame[0] === 'failed') throw new LaunchFailed(frame.slice(2));
    const ended = this.frame('ended', id).then((end) => parsePairs(end.slice(2)));
    ended.catch(() => {});
    return { id, keeperPid: Number(frame[2]), initPid: Number(frame[3]), ended };
  }

  /** Resolves with [step, object, errno] of a launch that must fail. */
  async fail({ id, plan }: { id: string; plan: readonly string[] }): Promise<readonly string[]> {
    this.send(['launch', ...plan]);
    const frame = await this.frame(['started', 'failed'], id);
    return frame[0] === 'failed' ? frame.slice(2) : ['it started'];
  }

  /** Its children, the oldest first: what fills the pool of networks, then the keeper that stands by. */
  children(): number[] {
    const file = path.join('/proc', String(this.pid), 'task', String(this.pid), 'children');
    const pids = readFileSync(file, 'utf8').split(' ');
    return pids.filter((pid) => pid !== '').map(Number);
  }

  /** Keepers that live and have a job, by name. */
  keepers(): string[] {
    try {
      const living = this.children()
        .map((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8'))
        .filter((stat) => !stat.includes('(joblet-netns)') && !isLeaving(stat))
        .map((stat) => ({ stat, name: /\((.*)\)/.exec(stat)?.[1] ?? '' }));
      return withoutStandby(living, 0).map(({ stat }) => stat);
    } catch {
      return [];
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.socket.destroy();
    await this.exited;
  }

  /** Nothing more comes: a launcher that a sanitizer ended says why. */
  async #giveUp(): Promise<void> {
    if (this.#stopping) return;
    const error = new Error(`the launcher is gone: ${await this.stderr}`);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #hear(frame: Frame): void {
    const at = this.#waiting.findIndex(({ matches }) => matches(frame));
    const [waiting] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (waiting === undefined) this.#heard.push(frame);
    else waiting.resolve(frame);
  }
}

export class LaunchFailed extends Error {
  readonly what: readonly string[];

  constructor(what: readonly string[]) {
    super(`not started: ${what.join(': ')}`);
    this.what = what;
  }
}

/** The name of the abstract socket of a job's keeper. */
export function socketOf(id: string): string {
  return `joblet-launcher-test/${id}`;
}

/** A client of a keeper. */
export class KeeperClient {
  readonly socket: Socket;
  /** Resolves when the keeper has closed its end: with its death at the latest. */
  readonly closed: Promise<void>;
  readonly #heard: Frame[] = [];
  readonly #waiting: ((frame: Frame) => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk) ?? []) {
        const resolve = this.#waiting.shift();
        if (resolve === undefined) this.#heard.push(frame);
        else resolve(frame);
      }
    });
    this.closed = new Promise((resolve) =>
      socket.on('close', () => {
        for (const each of this.#waiting) each(['closed']);
        resolve();
      }),
    );
    socket.on('error', () => {});
  }

  static connect(id: string): Promise<KeeperClient> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(`\0${socketOf(id)}`);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new KeeperClient(socket)));
    });
  }

  /** The next frame, whatever it is; `closed` when there is none to come. */
  next(): Promise<Frame> {
    const heard = this.#heard.shift();
    if (heard !== undefined) return Promise.resolve(heard);
    if (this.socket.closed) return Promise.resolve(['closed']);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  send(...strings: string[]): void {
    this.socket.write(formatFrame(strings));
  }

  input(data: string | Buffer): void {
    this.socket.write(formatDataFrame('stdin', Buffer.from(data)));
  }
}

export interface LogRecord {
  readonly stream: StreamName;
  readonly position: number;
  readonly bytes: Buffer;
}

export interface JobLog {
  readonly segments: readonly string[];
  readonly records: readonly LogRecord[];
  readonly stdout: string;
  readonly stderr: string;
  /** Pairs of the end record. */
  readonly end: Map<string, string> | undefined;
  /** Bytes behind the last whole record. */
  readonly torn: number;
}

/** Reads the log of a job. */
export function readLog(directory: string): JobLog {
  const segments = readdirSync(directory).filter(isSegment).sort();
  const records: LogRecord[] = [];
  let torn = 0;
  for (const segment of segments) {
    const bytes = readFileSync(path.join(directory, segment));
    let at = 0;
    for (;;) {
      const header = parseHeader(bytes, at);
      if (header === undefined || at + HEADER_BYTES + header.length > bytes.length) break;
      const payload = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + header.length);
      records.push({ stream: header.stream, position: header.position, bytes: payload });
      at += HEADER_BYTES + header.length;
    }
    torn += bytes.length - at;
  }
  const of = (stream: StreamName) =>
    Buffer.concat(records.filter((each) => each.stream === stream).map((each) => each.bytes));
  const last = records.at(-1);
  return {
    segments,
    records,
    stdout: of('stdout').toString(),
    stderr: of('stderr').toString(),
    end: last?.stream === 'end' ? parsePairs(pairsOf(last)) : undefined,
    torn,
  };
}

/** The `key=value` strings of a gap or end record. */
export function pairsOf(record: LogRecord): string[] {
  return record.bytes.toString().split('\0').slice(0, -1);
}

/** Whether a process, by its line in /proc, is dead or on its way out. */
function isLeaving(stat: string): boolean {
  const [state, , , , , , flags] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || (Number(flags) & PF_EXITING) !== 0;
}

function listDirectories(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(directory, entry.name));
}

/** Ends a job at once. */
export async function endJob(id: string): Promise<void> {
  const keeper = await KeeperClient.connect(id);
  keeper.send('stop', '0');
  await keeper.closed;
}

/** Resolves when a process has ended, whoever's child it is: its pidfd becomes readable. */
export function untilDead(pid: number): Promise<void> {
  const wait = 'import os, select, sys; select.select([os.pidfd_open(int(sys.argv[1]))], [], [])';
  // A process that is gone already cannot be opened, which is as good.
  return new Promise((resolve) => {
    execFile('python3', ['-c', wait, String(pid)], () => resolve());
  });
}
