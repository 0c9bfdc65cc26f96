// An outside world for the daemons of a test file that is a host of its own (own-host.ts): namespaces
// behind links, in which programs answer and say who came.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { after, before } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, start, statusOf } from './job-calls.ts';

const PROBES = path.join(import.meta.dirname, 'probes/network');

/** The program by which jobs try what they reach. */
const REACH = { path: 'reach.py', content: readFileSync(path.join(PROBES, 'reach.py')) };

/** A job that says whatever reaches it, on TCP port 80 of both families. */
const LISTENER = `
import socket
listener = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)
print('listens', flush=True)
while True:
    connection, peer = listener.accept()
    print('came', peer[0], flush=True)
    connection.sendall(b'hello')
    connection.close()
`;

const MARK_PORT = 9;
const MARK = `tcp ${MARK_PORT} `;

/** Where a world lies; the host has the same with 1 at the end. */
export interface WorldPlace {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
}

/** The outside of most tests, and a server of names beside it. */
export const OUTSIDE: WorldPlace = { name: 'out0', v4: '192.0.2.2', v6: '2001:db8:1::2' };
export const DNS: WorldPlace = { name: 'dns0', v4: '198.51.100.2', v6: '2001:db8:2::2' };
/** The addresses of the host that the outside sees. */
export const HOST = { v4: '192.0.2.1', v6: '2001:db8:1::1' };

/** What names stand for outside. */
const NAMES = {
  'www.example': OUTSIDE.v4,
  'six.example': OUTSIDE.v6,
  'inside.example': HOST.v4,
  'metadata.example': '169.254.169.254',
} as const;

/** A daemon whose jobs are on `isolated`, the outside, and who answers it about names, for the tests of a file. */
export class Surroundings {
  readonly skip = cannotRun();
  #daemon: Daemon | undefined;
  #world: World | undefined;
  #dns: World | undefined;

  constructor() {
    before(async () => {
      if (this.skip !== false) return;
      this.#world = await openWorld(OUTSIDE);
      this.#dns = await openWorld(DNS, NAMES);
      this.#daemon = await startDaemon({
        network: { default_network: 'isolated', nameServers: [DNS.v4, DNS.v6] },
      });
    });
    after(async () => {
      await this.#daemon?.stop();
      await this.#world?.close();
      await this.#dns?.close();
    });
  }

  get daemon(): Daemon {
    return there(this.#daemon);
  }

  get world(): World {
    return there(this.#world);
  }

  get dns(): World {
    return there(this.#dns);
  }

  /** Takes the outside away and puts another one in its place. */
  async renewWorld(): Promise<void> {
    await this.world.close();
    this.#world = await openWorld(OUTSIDE);
  }

  readonly api = (): Connection => this.daemon.as('developer');

  /** Starts a job that listens; answers its id and its addresses. */
  readonly listen = async (network: string, name = '') => {
    const uuid = await start(this.api(), python(LISTENER, { network, name }));
    await printed(this.api(), uuid, 'listens');
    const [v4 = '', v6 = ''] = (await statusOf(this.api(), uuid)).addresses;
    return { uuid, v4, v6, targets: [`tcp:${v4}:80`, `tcp:[${v6}]:80`] };
  };

  /** Ends a job; answers all that it has printed. */
  readonly outputOf = async (uuid: string): Promise<string> => {
    await this.api().unary(stopJob, { uuid, force: true });
    return (await ended(this.api(), uuid)).stdout;
  };
}

function there<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('there are no surroundings: this test is skipped');
  return part;
}

export class World {
  readonly place: WorldPlace;
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #said: string[] = [];

  constructor(place: WorldPlace, child: ChildProcess) {
    this.place = place;
    this.#child = child;
    if (child.stdout === null) throw new Error('the world has no output');
    this.#lines = createInterface(child.stdout);
    this.#lines.on('line', (line) => this.#said.push(line));
  }

  /** Resolves when it answers. */
  async ready(): Promise<void> {
    await once(this.#lines, 'line');
  }

  /** What arrived since this was asked the last time. */
  async arrived(): Promise<string[]> {
    await Promise.all([this.#marked(this.place.v4), this.#marked(this.place.v6)]);
    return this.#said.splice(0).filter((line) => line !== 'ready' && !line.startsWith(MARK));
  }

  /** Resolves when it has said that somebody came to the port for marks: all before is said then. */
  async #marked(address: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      const look = (line: string) => {
        if (!line.startsWith(MARK) || line.includes(':') !== address.includes(':')) return;
        this.#lines.off('line', look);
        resolve();
      };
      this.#lines.on('line', look);
    });
    const socket = connect(MARK_PORT, address);
    socket.resume();
    await Promise.all([said, once(socket, 'close')]);
  }

  /** Runs a program in its namespace. */
  run(...command: readonly string[]): string {
    const args = ['--net', '--target', String(this.#child.pid), ...command];
    return execFileSync('nsenter', args, { encoding: 'utf8' });
  }

  /** Doing it twice does no harm. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const over = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await over;
  }
}

/** Starts a world behind a link of its own. `names` is what its DNS knows, if it has one. */
export async function openWorld(
  place: WorldPlace,
  names: Readonly<Record<string, string>> = {},
): Promise<World> {
  const { name, v4, v6 } = place;
  const known = Object.entries(names).map(([each, address]) => `${each}=${address}`);
  const child = spawn('unshare', ['--net', 'python3', path.join(PROBES, 'world.py'), ...known], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const world = new World(place, child);
  await world.ready();
  const host = (address: string) => address.replace(/\d+$/, '1');
  ip(`link add ${name} type veth peer name eth0 netns ${child.pid}`);
  ip(`address add ${host(v4)}/24 dev ${name}`, `-6 address add ${host(v6)}/64 dev ${name} nodad`);
  ip(`link set ${name} up`);
  world.run('ip', 'link', 'set', 'lo', 'up');
  world.run('ip', 'address', 'add', `${v4}/24`, 'dev', 'eth0');
  world.run('ip', '-6', 'address', 'add', `${v6}/64`, 'dev', 'eth0', 'nodad');
  world.run('ip', 'link', 'set', 'eth0', 'up');
  // The kernel takes its time to find a new neighbour; from now on it knows it.
  await world.arrived();
  return world;
}

export function ip(...lines: readonly string[]): void {
  for (const line of lines) execFileSync('ip', line.split(' '));
}

/** What a job reaches of some places, as probes/network/reach.py says it: `open ...` or `closed ...`. */
export async function reach(
  api: Connection,
  network: string,
  targets: readonly string[],
  more: JobRequest = {},
): Promise<Record<string, string>> {
  const { stdout, stderr } = await finish(api, {
    command: '/usr/bin/python3',
    args: ['reach.py', ...targets],
    uploads: [REACH],
    network,
    ...more,
  });
  if (stderr !== '') throw new Error(stderr);
  return Object.fromEntries(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ (.*)/s).slice(0, 2) as [string, string]),
  );
}
