// What `joblet doctor` says of a host, and which hosts the daemon refuses. Poorer hosts are made of this
// one: in mount namespaces where something is covered or not mounted, and without some rights of root.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fromInside, parseInspection } from '../src/daemon/doctor/inspection.ts';
import { LAUNCH_BINARY } from '../src/daemon/linux/launch-binary.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish } from './job-calls.ts';

const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

const skip = cannotRun();
const hasV1 = existsSync('/sys/fs/cgroup/pids/tasks');
const noV1 = skip || (!hasV1 && 'this host mounts no v1 controllers that could be taken away');

interface Said {
  readonly sound: boolean;
  readonly verdict: string;
  readonly checks: readonly {
    readonly group: string;
    readonly name: string;
    readonly neededFor: string;
    readonly state: string;
    readonly found: string;
    readonly means?: string;
    readonly remedy?: string;
  }[];
}

let directory: string;
/** Its configuration is taken; it does not run all the time. */
let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  directory = mkdtempSync(path.join(tmpdir(), 'joblet-doctor-test-'));
  daemon = await startDaemon();
});

after(async () => {
  if (directory !== undefined) rmSync(directory, { recursive: true });
  await daemon?.stop();
});

async function joblet(argv: readonly string[], wrap: readonly string[] = []) {
  const [program = '', ...args] = [...wrap, process.execPath, MAIN, ...argv];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await closed) as [number | null];
  // Whatever wraps it turns into it.
  return { code, out, err, pid: child.pid ?? 0 };
}

async function ask(wrap: readonly string[] = [], argv: readonly string[] = []): Promise<Said> {
  const { out, err, pid } = await joblet(['doctor', '--json', ...argv], wrap);
  assert.notEqual(out, '', err);
  assert.deepEqual(tracesOf(pid), []);
  return JSON.parse(out) as Said;
}

/** A command's beginning that changes what the rest of it sees of the host. */
function masked(script: string): string[] {
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', `${script} && exec "$@"`, 'sh'];
}

/** The same with texts in the place of files of the kernel's. */
function covered(contents: Readonly<Record<string, string>>): string[] {
  const mounts = Object.entries(contents).map(([file, content]) => {
    const cover = path.join(directory, path.basename(file));
    writeFileSync(cover, content);
    return `mount --bind ${cover} ${file}`;
  });
  return masked(mounts.join(' && '));
}

function without(capability: string): string[] {
  return ['setpriv', '--bounding-set', `-${capability}`, '--inh-caps', `-${capability}`];
}

function configOf(made: Daemon): string {
  return path.join(made.directory, 'joblet-config.yml');
}

/** What a doctor, by its process, has left on the host. */
function tracesOf(pid: number): string[] {
  const name = `joblet-doctor-${pid}`;
  const places = [tmpdir(), '/sys/fs/cgroup', ...globSync('/sys/fs/cgroup/*/')];
  const left = places.flatMap((place) => readdirSync(place).map((each) => path.join(place, each)));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [...left, ...mounts].filter((trace) => trace.includes(name));
}

test('the doctor finds this host sound beside a running daemon, and leaves nothing', {
  skip,
}, async () => {
  const { code, out, pid } = await joblet(['doctor', '--json', '--config', configOf(daemon)]);
  assert.deepEqual(tracesOf(pid), []);
  const said = JSON.parse(out) as Said;
  assert.deepEqual([code, said.sound], [0, true], said.verdict);
  for (const { name, state, means, remedy } of said.checks) {
    const isWanting = state === 'limited' || state === 'missing';
    assert.equal(isWanting, Boolean(means && remedy), name);
  }
  const job = said.checks.filter(({ group }) => group.startsWith('A job'));
  const names = job.map(({ name }) => name);
  for (const promise of [
    'a job starts',
    'capabilities',
    'limits in force',
    'refused system calls',
  ]) {
    assert.ok(names.includes(promise), names.join(', '));
  }
  assert.ok(job.every(({ state }) => state === 'ok'));
});

test('for people every line fits, and nothing acts on a pipe', { skip }, async () => {
  const { code, out } = await joblet(['doctor']);
  assert.equal(code, 0);
  assert.ok(!out.includes('\u001b'));
  for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
  assert.match(out, /\nJobs can run here with everything that is promised\./);
});

test('a wrong call says how it is done, and a bad configuration is told as one', {
  skip,
}, async () => {
  const wrong = await joblet(['doctor', '--verbose']);
  assert.deepEqual([wrong.code, wrong.out], [2, '']);
  assert.match(wrong.err, /Usage:/);
  const bad = path.join(directory, 'bad.yml');
  writeFileSync(bad, 'joblet: { maxConcurrentJobs: many }\n');
  const said = await ask([], ['--config', bad]);
  assert.equal(said.sound, false);
  assert.equal(said.checks[0]?.state, 'missing');
});

test('what a host lacks is named, and so is what stands or falls with it', { skip }, async () => {
  const said = await ask(without('net_admin'));
  const of = (name: string) => said.checks.find((check) => check.name === name);
  assert.equal(said.sound, false);
  assert.match(of('rights of root')?.found ?? '', /CAP_NET_ADMIN/);
  // The check of a real job fails at the step that needs it.
  assert.match(of('a job starts')?.found ?? '', /^net: .*EPERM$/);
  assert.equal(of('links')?.state, 'missing');
  assert.match(of('links')?.neededFor ?? '', /^networks/);
});

test('a controller that is not mounted is named', { skip: noV1 }, async () => {
  const said = await ask(masked('umount /sys/fs/cgroup/pids'));
  const cgroups = said.checks.find(({ name }) => name === 'cgroups');
  assert.equal(said.sound, false);
  assert.equal(cgroups?.state, 'missing');
  assert.match(cgroups.found, /pids/);
});

test('the check inside a job finds doors that are open', { skip }, async () => {
  const binary = readFileSync(LAUNCH_BINARY);
  const { stdout } = await finish(daemon.as('admin'), {
    command: '/work/look',
    args: ['inspect'],
    uploads: [{ path: 'look', content: binary, mode: 0o755 }],
    allow: ['ptrace'],
    environment: { EXTRA: '1' },
  });
  const wanting = fromInside(parseInspection(stdout), '', '')
    .filter(({ state }) => state !== 'ok')
    .map(({ name, found }) => `${name}: ${found}`);
  const [environment, identity, calls, ...others] = wanting;
  assert.match(environment ?? '', /^environment: .*EXTRA/);
  assert.match(identity ?? '', /^an identity of its own: /);
  assert.match(calls ?? '', /^refused system calls: .*ptrace/);
  assert.deepEqual(others, []);
});

/** Where a program takes it for another system. */
const ELSEWHERE = `data:text/javascript,${encodeURIComponent(
  'Object.defineProperty(process, "platform", { value: "darwin" })',
)}`;

/** What is taken from the host, and what the daemon has to say then. */
const poorHosts: readonly (readonly [
  what: string,
  wrap: () => readonly string[],
  says: readonly RegExp[],
])[] = [
  [
    'Linux',
    () => ['env', `NODE_OPTIONS=--import=${ELSEWHERE}`],
    [/job execution requires Linux server \(current: darwin\)/],
  ],
  [
    'cgroups that may be written',
    () =>
      masked(
        'for at in $(findmnt -rno TARGET -t cgroup,cgroup2); do mount -o remount,bind,ro $at; done',
      ),
    [/cgroup setup failed: \/sys\/fs\/cgroup\/.*EROFS/],
  ],
  ['the right to end jobs', () => without('kill'), [/lacks CAP_KILL/]],
  [
    'the count of the kernel’s memory, and life after a job that has none',
    () =>
      covered({
        '/proc/cmdline': 'quiet cgroup.memory=nokmem\n',
        '/proc/sys/vm/panic_on_oom': '2\n',
      }),
    [/cgroup\.memory=nokmem/, /vm\.panic_on_oom = 2/],
  ],
];

const poorV1Hosts: typeof poorHosts = [
  ['a controller', () => masked('umount /sys/fs/cgroup/blkio'), [/no cgroup controller blkio/]],
  ['another one', () => masked('umount /sys/fs/cgroup/memory'), [/no cgroup controller memory/]],
  ['the unified tree', () => masked('umount /sys/fs/cgroup/unified'), [/mount the unified tree/]],
];

test('the daemon does not start where every job would be weaker, and says why (S4-34, S4-35)', {
  skip,
}, async () => {
  await daemon.end();
  for (const [what, wrap, says] of [...poorHosts, ...(hasV1 ? poorV1Hosts : [])]) {
    const { code, err } = await joblet(['serve', '--config', configOf(daemon)], wrap());
    assert.equal(code, 1, `without ${what} it ended with ${code}: ${err}`);
    for (const each of says) assert.match(err, each);
  }
  await daemon.restart();
});

test('a job that its host cannot give what is promised fails, and says where to look (S4-35)', {
  skip,
}, async () => {
  // Nobody's ids can be mapped in this file system of the kernel's.
  const poor = await startDaemon({ filesystem: { allowedMounts: ['/usr', '/sys/kernel'] } });
  try {
    const { job } = await finish(poor.as('admin'), { command: '/usr/bin/true' });
    assert.equal(job.reason, 'NOT_STARTED');
    assert.match(job.message, /bind-ro: \/sys\/kernel: EINVAL; joblet doctor, on the node/);
  } finally {
    await poor.stop();
  }
});
