// How much goes through a job's network: without a limit beside namespaces that were attached by hand,
// with veth pairs on a bridge, as container engines do it; and with limits, in both directions. All of it
// is in a network namespace of the trial's own, with an outside world behind a link.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import type { Connection } from '../../src/client/connection.ts';
import type { JobRequest } from '../../src/client/messages.ts';
import { createNetwork, stopJob } from '../../src/client/methods.ts';
import { type Daemon, startDaemon } from '../../test/harness.ts';
import { finish, printed, start, statusOf } from '../../test/job-calls.ts';
import { spreadOf } from '../spread.ts';
import { type Row, ratio, type Trial } from '../trial.ts';

const STREAM = path.join(import.meta.dirname, '../stream.py');
const PYTHON = '/usr/bin/python3';
const OUTSIDE = '192.0.2.2';
/** Of the bridge that is made by hand; the namespaces have 2 and 3 at the end. */
const GATEWAY = '198.18.0.1';
const NET6 = 'fd18::';
const STREAM_SECONDS = 1;
/** Long enough for what goes through at once in the beginning not to count. */
const LIMITED_SECONDS = 4;
const WAYS = ['send', 'receive'] as const;

const NETWORK_MB = 10;
const JOB_MB = 4;

const NOTE =
  'On a busy machine jobs are ahead: their cgroup has a share of the processors of its own.';

type Way = (typeof WAYS)[number];

/** Somebody who sends to and receives from a place; answers megabytes a second. */
type Streamer = (way: Way, seconds: number) => Promise<number>;

export const trial: Trial = {
  title: 'what goes through the network of a job, beside one made by hand',
  hasOwnHost: true,
  async body({ seconds }) {
    run('ip link set lo up');
    // The daemon forwards for jobs alone where nobody else asked the kernel to.
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    linkOutside(await makeNamespace(PYTHON, STREAM, 'serve'));
    makeBridge();
    const here = await makeNamespace('sh', '-c', 'echo ready; read line');
    linkToBridge('hand2', here, '2');
    linkToBridge('hand3', await makeNamespace(PYTHON, STREAM, 'serve'), '3');
    const daemon = await startDaemon({ logging: { level: 'WARN' } });
    try {
      const rows = await measure(daemon, here, seconds);
      return { rows, ratios: ratiosOf(rows), notes: [NOTE] };
    } finally {
      await daemon.stop();
    }
  },
};

/** Resolves with the id of a process in it that has said something; it ends with this one. */
async function makeNamespace(...command: string[]): Promise<number> {
  const inside = ['--net', 'setpriv', '--pdeathsig', 'KILL', ...command];
  const child = spawn('unshare', inside, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as Socket).unref();
  return child.pid ?? 0;
}

async function measure(daemon: Daemon, hand: number, seconds: number): Promise<Row[]> {
  const api = daemon.as('admin');
  const wish = { name: 'limited', cidr: '10.20.0.0/24' };
  const bandwidthBytesPerSecond = BigInt(NETWORK_MB * 1e6);
  await api.unary(createNetwork, { ...wish, bandwidthBytesPerSecond });
  const server = await start(api, streaming({ network: 'bridge' }, 'serve'));
  await printed(api, server, 'ready');
  const [server4 = '', server6 = ''] = (await statusOf(api, server)).addresses;
  const byHand =
    (host: string): Streamer =>
    async (way, time) =>
      Number(run(`nsenter --net --target ${hand} ${PYTHON} ${STREAM} ${way} ${host} ${time}`));
  const inJob =
    (host: string, more: JobRequest): Streamer =>
    (way, time) =>
      streamed(api, more, way, host, time);
  const limit = { bandwidthBytesPerSecond: BigInt(JOB_MB * 1e6) };
  const unlimited: [string, Streamer][] = [
    [OUT_HAND, byHand(OUTSIDE)],
    [OUT_JOB, inJob(OUTSIDE, { network: 'isolated' })],
    [PEER_HAND, byHand('198.18.0.3')],
    [PEER_JOB, inJob(server4, { network: 'bridge' })],
    [PEER6_HAND, byHand(`${NET6}3`)],
    [PEER6_JOB, inJob(server6, { network: 'bridge' })],
  ];
  const limited: [string, Streamer][] = [
    [NETWORK, inJob(OUTSIDE, { network: 'limited' })],
    [JOB, inJob(OUTSIDE, { network: 'isolated', ...limit })],
  ];
  const samples = new Map<string, number[]>();
  const turn = async (streamers: [string, Streamer][], time: number) => {
    for (const [who, streamer] of streamers) {
      for (const way of WAYS) {
        const name = nameOf(who, way);
        samples.set(name, [...(samples.get(name) ?? []), await streamer(way, time)]);
      }
    }
  };
  for (let round = 0; round < seconds / STREAM_SECONDS; round += 1) {
    await turn(unlimited, STREAM_SECONDS);
    if (round % LIMITED_SECONDS === 0) await turn(limited, LIMITED_SECONDS);
  }
  await api.unary(stopJob, { uuid: server, force: true });
  return [...samples].map(([name, values]) => ({ name, unit: 'MB/s', spread: spreadOf(values) }));
}

const OUT_HAND = 'by hand, on a bridge, to and from outside';
const OUT_JOB = 'a job, to and from outside';
const PEER_HAND = 'by hand, to another on the bridge, IPv4';
const PEER_JOB = 'a job, to another of its network, IPv4';
const PEER6_HAND = 'by hand, to another on the bridge, IPv6';
const PEER6_JOB = 'a job, to another of its network, IPv6';
const NETWORK = `a job of a network of ${NETWORK_MB} MB/s`;
const JOB = `a job that may have ${JOB_MB} MB/s`;

function nameOf(who: string, way: Way): string {
  return `${who}: ${way === 'send' ? 'sends' : 'receives'}`;
}

function ratiosOf(rows: readonly Row[]) {
  const median = (name: string) => rows.find((row) => row.name === name)?.spread.p50 ?? 0;
  return WAYS.flatMap((way) => [
    ...ratio(rows, nameOf(OUT_JOB, way), nameOf(OUT_HAND, way), 'at least 0.9'),
    ...ratio(rows, nameOf(PEER_JOB, way), nameOf(PEER_HAND, way), 'at least 0.9'),
    ...ratio(rows, nameOf(PEER6_JOB, way), nameOf(PEER6_HAND, way), 'at least 0.9'),
    ...[
      { name: nameOf(NETWORK, way), limit: NETWORK_MB },
      { name: nameOf(JOB, way), limit: JOB_MB },
    ].map(({ name, limit }) => ({
      name: `${name} / its limit`,
      value: median(name) / limit,
      promise: '0.9 to 1.1',
    })),
  ]);
}

function streaming(more: JobRequest, ...args: string[]): JobRequest {
  const upload = { path: 'stream.py', content: readFileSync(STREAM) };
  return { command: PYTHON, args: ['stream.py', ...args], uploads: [upload], ...more };
}

async function streamed(
  api: Connection,
  more: JobRequest,
  way: Way,
  host: string,
  time: number,
): Promise<number> {
  const { stdout, stderr } = await finish(api, streaming(more, way, host, String(time)));
  if (stdout === '') throw new Error(stderr);
  return Number(stdout);
}

/** The world has one address, and knows nothing of what lies behind the host. */
function linkOutside(pid: number): void {
  run(`ip link add out0 type veth peer name eth0 netns ${pid}`);
  run('ip address add 192.0.2.1/24 dev out0');
  run('ip link set out0 up');
  run(`nsenter --net --target ${pid} ip address add ${OUTSIDE}/24 dev eth0`);
  run(`nsenter --net --target ${pid} ip link set eth0 up`);
}

function makeBridge(): void {
  run('ip link add hand type bridge');
  run(`ip address add ${GATEWAY}/24 dev hand`);
  run('ip link set hand up');
  const rule = 'rule ip hand out ip saddr 198.18.0.0/24 oifname "out0" masquerade';
  execFileSync('nft', ['-f', '-'], {
    input: [
      'add table ip hand',
      'add chain ip hand out { type nat hook postrouting priority srcnat; }',
      `add ${rule}`,
      '',
    ].join('\n'),
  });
}

function linkToBridge(name: string, pid: number, end: string): void {
  run(`ip link add ${name} type veth peer name eth0 netns ${pid}`);
  run(`ip link set ${name} master hand up`);
  run(`nsenter --net --target ${pid} ip address add 198.18.0.${end}/24 dev eth0`);
  run(`nsenter --net --target ${pid} ip address add ${NET6}${end}/64 dev eth0 nodad`);
  run(`nsenter --net --target ${pid} ip link set eth0 up`);
  run(`nsenter --net --target ${pid} ip route add default via ${GATEWAY}`);
}

function run(line: string): string {
  const [program = '', ...args] = line.split(' ');
  return execFileSync(program, args, { encoding: 'utf8' });
}
