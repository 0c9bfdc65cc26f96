// A real daemon on loopback with its own certificates, directories, database and cgroups, for tests
// that see what a user would see. It is driven through the client; what it may leave on the host is
// read from the host (snapshot.ts).

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Connection, connect } from '../src/client/connection.ts';
import { cancelJob, queryJobs, stopJob } from '../src/client/methods.ts';
import type { Node } from '../src/client/nodes-file.ts';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';
import type { Role } from '../src/daemon/jobs/job.ts';
import { HEADER_BYTES, isSegment, parseHeader } from '../src/shared/log-record.ts';
import { NODE_FLAGS } from '../tools/steps.ts';
import { forgetFailuresOf, reportFailuresOf } from './failure-report.ts';
import { killAll, removeCgroups, type Snapshot, takeSnapshot } from './snapshot.ts';

export type { Snapshot } from './snapshot.ts';

const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');
const IDS_PER_RANGE = 65_536;
/** Ranges of user ids for one daemon under test, and how many daemons may run side by side. */
const ID_RANGES = 256;
const DAEMONS = 32;

/** Sections of the configuration, as in joblet-config.yml; they are laid over the harness's own. */
export type Settings = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Why this process cannot run a daemon, or false when it can: the `skip` of a test. */
export function cannotRun(): string | false {
  if (process.platform !== 'linux') return 'a daemon runs on Linux only';
  if (process.getuid?.() !== 0) return 'a daemon needs root';
  return false;
}

export class Daemon {
  readonly directory: string;
  /** Signs whatever certificates a test needs. */
  readonly authority: KeyPair;
  readonly cgroupName: string;
  readonly #configFile: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #pairs: Readonly<Record<Role, KeyPair>>;
  readonly #connections = new Map<Role, Connection>();
  #child: ChildProcess | undefined;
  #port = 0;
  #webPort = 0;
  #log = '';
  readonly #lines = new EventEmitter<{ line: [string] }>();

  constructor(
    directory: string,
    authority: KeyPair,
    pairs: Readonly<Record<Role, KeyPair>>,
    cgroupName: string,
    configFile: string,
    environment: Readonly<Record<string, string>>,
  ) {
    this.directory = directory;
    this.authority = authority;
    this.cgroupName = cgroupName;
    this.#pairs = pairs;
    this.#configFile = configFile;
    this.#environment = environment;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the daemon does not run');
    return this.#child.pid;
  }

  get port(): number {
    return this.#port;
  }

  /** The web port, where the settings want one. */
  get webPort(): number {
    return this.#webPort;
  }

  /** What it has written so far, over all its lives. */
  log(): string {
    return this.#log;
  }

  /** Resolves when it writes a line that matches, from now on. */
  logged(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const look = (line: string) => {
        if (!pattern.test(line)) return;
        this.#lines.off('line', look);
        resolve();
      };
      this.#lines.on('line', look);
    });
  }

  /** An open connection with a certificate of this role; the same one each time. */
  as(role: Role): Connection {
    const open = this.#connections.get(role);
    if (open !== undefined) return open;
    const connection = connect(this.node(role));
    this.#connections.set(role, connection);
    return connection;
  }

  /** What a client needs to know to call as this role. */
  node(role: Role): Node {
    return {
      name: 'test',
      host: 'localhost',
      port: this.#port,
      nodeId: '',
      ...this.#pairs[role],
      ca: this.authority.cert,
      source: 'the harness',
    };
  }

  /** Writes a nodes file for rnx; answers its path. */
  nodesFile(role: Role): string {
    const { cert, key, ca } = this.node(role);
    const block = (pem: string) => `|\n${pem.trimEnd().replaceAll(/^/gm, '      ')}`;
    const file = path.join(this.directory, `rnx-config-${role}.yml`);
    const text = `version: "3.0"
nodes:
  default:
    address: "localhost:${this.#port}"
    cert: ${block(cert)}
    key: ${block(key)}
    ca: ${block(ca)}
`;
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** Resolves when the keeper of an ended job has left as well. */
  async keeperLeft(uuid: string): Promise<void> {
    const socket = createConnection(`\0joblet/${uuid}`);
    socket.resume();
    await new Promise<void>((resolve) => {
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
  }

  /** What of it is on the host now. */
  snapshot(): Snapshot {
    return takeSnapshot(this.pid, this.cgroupName, this.directory);
  }

  /**
   * Starts it, also again on what an earlier life left, and from another build where `main` names one.
   * Resolves when it answers calls.
   */
  async restart(main = MAIN): Promise<void> {
    const child = this.#spawn(main);
    this.#child = child;
    const listening = Promise.withResolvers<number>();
    if (child.stdout === null) throw new Error('the daemon has no output');
    createInterface(child.stdout).on('line', (line) => {
      this.#log += `${line}\n`;
      this.#lines.emit('line', line);
      const port = /\bjoblet is listening on [^"]*:(\d+)(?:"|$)/.exec(line)?.[1];
      if (port !== undefined) listening.resolve(Number(port));
      const web = /\bjoblet serves the web on [^"]*:(\d+)(?:"|$)/.exec(line)?.[1];
      if (web !== undefined) this.#webPort = Number(web);
    });
    child.once('close', (code, signal) =>
      listening.reject(new Error(`the daemon ended (${signal ?? code}):\n${this.#log}`)),
    );
    this.#port = await listening.promise;
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  /** SIGKILL, as a crash would have it. Its launcher may not have noticed yet. */
  async kill(): Promise<void> {
    await this.#signal('SIGKILL', 'exit');
  }

  /** SIGTERM: it stops by itself; its jobs run on. */
  async end(): Promise<void> {
    await this.#signal('SIGTERM', 'close');
  }

  /** Tries to start another daemon with the same configuration. */
  async second(): Promise<{ readonly code: number | null; readonly output: string }> {
    const child = this.#spawn(MAIN);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text) => {
        output += text;
      });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  }

  /** Resolves when the job's keeper has written its end, whether or not a daemon runs. */
  async jobEnded(uuid: string): Promise<void> {
    const directory = path.join(this.directory, 'logs', uuid);
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = watch(directory, () => {
      if (hasEnd(directory)) resolve();
    });
    if (hasEnd(directory)) resolve();
    await promise;
    watcher.close();
  }

  /** Ends its jobs and itself and removes everything of it. */
  async stop(): Promise<void> {
    forgetFailuresOf(this);
    try {
      if (this.#child?.exitCode === null && this.#child.signalCode === null) {
        await endJobs(this.as('admin'));
        await this.end();
      }
    } finally {
      // One that could not be asked to end would keep the test's process waiting for ever.
      this.#child?.kill('SIGKILL');
      await killAll(this.cgroupName);
      for (const connection of this.#connections.values()) connection.close();
      removeCgroups(this.cgroupName);
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  #spawn(main: string): ChildProcess {
    const child = spawn(
      process.execPath,
      [...NODE_FLAGS, main, 'serve', '--config', this.#configFile],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env['PATH'] ?? '', ...this.#environment },
      },
    );
    child.stderr.on('data', (text) => {
      this.#log += text;
    });
    return child;
  }

  /** Resolves with the end of the process, or when nobody holds its output any more either. */
  async #signal(signal: NodeJS.Signals, until: 'exit' | 'close'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const over = once(child, until);
    child.kill(signal);
    await over;
  }
}

/**
 * Starts a daemon of its own, or one on what an earlier one left in a directory, with so much more in
 * its environment. Whoever starts it stops it.
 */
export async function startDaemon(
  settings: Settings = {},
  directory = mkdtempSync(path.join(tmpdir(), 'joblet-')),
  environment: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  const now = Date.now();
  const authority = await makeAuthority(now);
  const [server, viewer, developer, operator, admin] = await Promise.all([
    issue(authority, { kind: 'server', names: [] }, now),
    ...(['viewer', 'developer', 'operator', 'admin'] as const).map((role) =>
      issue(authority, { kind: 'client', name: `test-${role}`, units: [role] }, now),
    ),
  ]);
  if (!viewer || !developer || !operator || !admin) throw new Error('a role has no certificate');
  const cgroupName = `joblet-test-${randomBytes(6).toString('hex')}`;
  const configFile = path.join(directory, 'joblet-config.yml');
  // JSON is YAML too.
  writeFileSync(
    configFile,
    JSON.stringify(laid(ownSettings(directory, cgroupName, authority, server), settings)),
    { mode: 0o600 },
  );
  const pairs = { viewer, developer, operator, admin };
  const daemon = new Daemon(directory, authority, pairs, cgroupName, configFile, environment);
  try {
    await daemon.restart();
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  reportFailuresOf(daemon);
  return daemon;
}

function ownSettings(
  directory: string,
  cgroupName: string,
  authority: KeyPair,
  server: KeyPair,
): Settings {
  return {
    server: { address: '127.0.0.1', port: 0, nodeId: 'test-node' },
    security: { serverCert: server.cert, serverKey: server.key, caCert: authority.cert },
    joblet: {
      idRangeFirst: 0x30000000 + (process.pid % DAEMONS) * ID_RANGES * IDS_PER_RANGE,
      idRanges: ID_RANGES,
    },
    cgroup: { baseDir: `/sys/fs/cgroup/${cgroupName}` },
    filesystem: { baseDir: path.join(directory, 'jobs') },
    // A sample is a file, which would come into being whenever the machine is slow.
    job_metrics: { default_sample_rate: '1h' },
    runtime: { base_path: path.join(directory, 'runtimes') },
    state: { path: path.join(directory, 'state') },
    logs: { directory: path.join(directory, 'logs') },
    run: { directory: path.join(directory, 'run') },
    volumes: { base_path: path.join(directory, 'volumes') },
    // Most tests are about something else; those of networks have a host of their own (own-host.ts).
    network: { default_network: 'none' },
  };
}

function laid(below: Settings, above: Settings): Settings {
  const names = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries(
    [...names].map((name) => [name, { ...below[name], ...above[name] }] as const),
  );
}

async function endJobs(api: Connection): Promise<void> {
  for (const status of ['PENDING', 'SCHEDULED', 'INITIALIZING', 'RUNNING']) {
    const { jobs } = await api.unary(queryJobs, { statuses: [status], limit: 1000 });
    const method = status === 'SCHEDULED' ? cancelJob : stopJob;
    // A job that ended in between is as well ended.
    await Promise.allSettled(jobs.map(({ uuid }) => api.unary(method, { uuid, force: true })));
  }
}

function hasEnd(directory: string): boolean {
  const last = readdirSync(directory).filter(isSegment).toSorted().at(-1);
  if (last === undefined) return false;
  const bytes = readFileSync(path.join(directory, last));
  for (let at = 0; ; ) {
    const header = parseHeader(bytes, at);
    if (header === undefined) return false;
    if (header.stream === 'end') return true;
    at += HEADER_BYTES + header.length;
  }
}
