// A developer's daemon in the background: started with a configuration of its own, and ended with
// everything it had on the host.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { parseDocument } from 'yaml';
import { connect } from '../src/client/connection.ts';
import { cancelJob, queryJobs, stopJob } from '../src/client/methods.ts';
import { resolveNode } from '../src/client/nodes-file.ts';
import { killAll, removeCgroups } from '../test/snapshot.ts';
import type { Home } from './home.ts';
import { NODE_FLAGS, ROOT } from './steps.ts';

const MAIN = path.join(ROOT, 'src/daemon/main.ts');

/** A daemon that is told to stop and has not done so after this is killed. */
const STOP_SECONDS = 30;

/** Starts the daemon unless it runs. Resolves with its port when it answers calls. */
export async function up(home: Home): Promise<number> {
  mkdirSync(path.dirname(home.lockFile), { recursive: true });
  if (isUp(home)) return portOf(home);
  // A port of its own, and after that the same one again, so that clients find it.
  const lastPort = portOf(home);
  if (!existsSync(home.configFile)) makeConfig(home);
  const port = (await isFree(lastPort)) ? lastPort : 0;
  const began = existsSync(home.logFile) ? statSync(home.logFile).size : 0;
  const log = openSync(home.logFile, 'a', 0o644);
  // flock turns into the daemon and hands it the lock, which goes when the daemon does.
  const serve = [process.execPath, ...NODE_FLAGS, MAIN, 'serve', '--config', home.configFile];
  const child = spawn('flock', ['--no-fork', '--nonblock', home.lockFile, ...serve], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'] ?? '', JOBLET_SERVER_PORT: String(port) },
  });
  const listening = await firstLine(
    home.logFile,
    began,
    /\bjoblet is listening on [^"]*:(\d+)(?:"|$)/m,
    child,
  );
  child.unref();
  settle(home, Number(listening));
  return Number(listening);
}

/** Ends the daemon's jobs, then the daemon, and takes away what is left of them on the host. */
export async function down(home: Home): Promise<void> {
  if (!existsSync(home.directory)) return;
  // Jobs outlive their daemon, and so do its mounts: one that was killed has left them to its successor,
  // which is started to end them as they should.
  const hasLeft = isUp(home) || hasCgroups(home) || hasMounts(home);
  if (hasLeft && existsSync(home.configFile)) {
    await up(home);
    await endJobs(home);
    await endDaemon(home);
  }
  await killAll(home.cgroupName);
  removeCgroups(home.cgroupName);
  rmSync(home.pidFile, { force: true });
  giveBack(home.directory);
}

/** Whether a daemon holds the lock. */
export function isUp(home: Home): boolean {
  if (!existsSync(home.lockFile)) return false;
  return spawnSync('flock', ['--nonblock', home.lockFile, 'true']).status !== 0;
}

function hasMounts({ directory }: Home): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory}/`);
}

function hasCgroups(home: Home): boolean {
  const base = '/sys/fs/cgroup';
  const places = [base, ...readdirSync(base).map((name) => path.join(base, name))];
  return places.some((place) => existsSync(path.join(place, home.cgroupName)));
}

/** Certificates, and a configuration in which everything lies below this home. */
function makeConfig(home: Home): void {
  const made = spawnSync(
    process.execPath,
    [MAIN, 'certs', 'init', '--dir', home.directory, '--address', '127.0.0.1'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  if (made.status !== 0) throw new Error('the certificates could not be made');
  const settings: Readonly<Record<string, unknown>> = {
    'server.address': '127.0.0.1',
    'server.port': 0,
    'joblet.idRangeFirst': home.idRangeFirst,
    'joblet.idRanges': home.idRanges,
    'cgroup.baseDir': path.join('/sys/fs/cgroup', home.cgroupName),
    'filesystem.baseDir': path.join(home.directory, 'jobs'),
    'volumes.base_path': path.join(home.directory, 'volumes'),
    'runtime.base_path': path.join(home.directory, 'runtimes'),
    'state.path': path.join(home.directory, 'state'),
    'logs.directory': path.join(home.directory, 'logs'),
    'run.directory': path.join(home.directory, 'run'),
  };
  const document = parseDocument(readFileSync(home.configFile, 'utf8'));
  for (const [key, value] of Object.entries(settings)) document.setIn(key.split('.'), value);
  writeFileSync(home.configFile, document.toString({ lineWidth: 0 }));
}

/** Writes the port into the nodes files, and hands them to whoever called sudo. */
function settle(home: Home, port: number): void {
  for (const name of readdirSync(home.directory)) {
    if (!/^rnx-config.*\.yml$/.test(name)) continue;
    const file = path.join(home.directory, name);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replaceAll(/^( *address:).*$/gm, `$1 "127.0.0.1:${port}"`));
    give(file);
  }
  give(home.directory);
}

/** The port that clients are told; 0 when they have not been told any. */
function portOf(home: Home): number {
  if (!existsSync(home.nodesFile)) return 0;
  const text = readFileSync(home.nodesFile, 'utf8');
  return Number(/address: "?127\.0\.0\.1:(\d+)/.exec(text)?.[1] ?? 0);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return promise;
}

/** Waits until a file that a process writes holds a line; rejects when the process ends before. */
async function firstLine(
  file: string,
  from: number,
  pattern: RegExp,
  child: ChildProcess,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const written = () => readFileSync(file).subarray(from).toString();
  const look = () => {
    const found = pattern.exec(written())?.[1];
    if (found !== undefined) resolve(found);
  };
  const watcher = watch(file, look);
  child.once('error', reject);
  child.once('exit', () => reject(new Error(`the daemon ended at once:\n${written()}`)));
  look();
  try {
    return await promise;
  } finally {
    watcher.close();
  }
}

const PAGE = 500;

/** Those that wait come first, or they would start when the others end. */
const ENDING = [
  ['SCHEDULED', cancelJob],
  ['PENDING', cancelJob],
  ['INITIALIZING', stopJob],
  ['RUNNING', stopJob],
] as const;

async function endJobs(home: Home): Promise<void> {
  const connection = connect(await resolveNode({ config: home.nodesFile }, {}));
  try {
    for (const [status, method] of ENDING) {
      for (let page = ''; ; ) {
        const found = await connection.unary(queryJobs, {
          statuses: [status],
          limit: PAGE,
          pageToken: page,
        });
        // A job that ended in between is as well ended.
        await Promise.allSettled(
          found.jobs.map(({ uuid }) => connection.unary(method, { uuid, force: true })),
        );
        page = found.nextPageToken;
        if (page === '') break;
      }
    }
  } finally {
    connection.close();
  }
}

async function endDaemon(home: Home): Promise<void> {
  const pid = Number(readFileSync(home.pidFile, 'utf8'));
  process.kill(pid, 'SIGTERM');
  if (await isReleased(home, STOP_SECONDS)) return;
  process.stderr.write(`dev: the daemon ${pid} did not end in ${STOP_SECONDS} s; killing it\n`);
  process.kill(pid, 'SIGKILL');
  await isReleased(home, STOP_SECONDS);
}

/** Waits for the daemon's lock. */
async function isReleased(home: Home, seconds: number): Promise<boolean> {
  const wait = spawn('flock', ['--timeout', String(seconds), home.lockFile, 'true']);
  const [code] = (await once(wait, 'close')) as [number];
  return code === 0;
}

/** Whoever called sudo; undefined when nobody did. */
function caller(): { readonly uid: number; readonly gid: number } | undefined {
  const { SUDO_UID: uid, SUDO_GID: gid } = process.env;
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined;
}

function give(file: string): void {
  const to = caller();
  if (to !== undefined) lchownSync(file, to.uid, to.gid);
}

/** Nothing that belongs to root stays behind. */
function giveBack(directory: string): void {
  if (caller() === undefined) return;
  give(directory);
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    give(path.join(directory, entry));
  }
}
