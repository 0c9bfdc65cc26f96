// ./dev as a developer uses it: a daemon in the background with everything below JOBLET_HOME, and
// nothing of it on the host afterwards.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { homeAt } from '../tools/home.ts';
import { ROOT } from '../tools/steps.ts';
import { cannotRun } from './harness.ts';

const skip = cannotRun();

function makeHome(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-dev-'));
  t.after(async () => {
    await dev(directory, ['down']);
    rmSync(directory, { recursive: true });
  });
  return directory;
}

function start(home: string, args: readonly string[], cwd = ROOT): ChildProcess {
  return spawn(path.join(ROOT, 'dev'), args, {
    cwd,
    // A process group of its own, so that Ctrl-C can be told to all of it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, JOBLET_HOME: home },
  });
}

/** Runs a command of ./dev to its end. */
async function dev(home: string, args: readonly string[], cwd = ROOT) {
  const child = start(home, args, cwd);
  const closed = once(child, 'close');
  assert.ok(child.stdout && child.stderr);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await closed) as [number | null];
  return { code, stdout, stderr };
}

/** What of an instance is left on the host: cgroups, processes that name it, mounts. */
function leftOf(directory: string): string[] {
  const base = '/sys/fs/cgroup';
  const { cgroupName } = homeAt(directory);
  const cgroups = [base, ...readdirSync(base).map((name) => path.join(base, name))]
    .map((place) => path.join(place, cgroupName))
    .filter((place) => existsSync(place));
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandLine(pid).includes(directory));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(directory));
  return [...cgroups, ...processes.map(commandLine), ...mounts];
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

test('instances stand side by side, and down leaves nothing of a running job', {
  skip,
}, async (t) => {
  const homes = [makeHome(t), makeHome(t)];
  for (const home of homes) {
    const { code, stdout, stderr } = await dev(home, ['up']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /joblet is up on 127\.0\.0\.1:\d+/);
    assert.ok(existsSync(path.join(home, 'rnx-config.yml')));
    process.kill(Number(readFileSync(path.join(home, 'run/joblet.pid'), 'utf8')), 0);
  }
  const [home = '', other = ''] = homes;
  const run = await dev(home, ['rnx', 'job', 'run', 'sleep', '1000']);
  assert.equal(run.code, 0, run.stderr);
  assert.match((await dev(other, ['rnx', 'job', 'list'])).stdout, /No jobs found/);
  const { checks } = JSON.parse((await dev(home, ['doctor', '--json'])).stdout);
  const foundOf = (wanted: string) =>
    checks.find(({ name }: { name: string }) => name === wanted).found;
  assert.equal(foundOf('configuration'), path.join(home, 'joblet-config.yml'));
  assert.match(foundOf('logs'), RegExp(`^${home}/logs: `));
  const added = await dev(home, ['joblet', 'certs', 'add', 'ann', '--role', 'viewer']);
  assert.match(added.stdout, RegExp(`^Client ann: ${home}/rnx-config-ann.yml$`, 'm'));
  const down = await dev(home, ['down']);
  assert.equal(down.code, 0, down.stderr);
  assert.deepEqual(leftOf(home), []);
  assert.ok(!existsSync(path.join(home, 'run/joblet.pid')));
  // What became of the job is still known to the next daemon.
  await dev(home, ['up']);
  assert.match((await dev(home, ['rnx', 'job', 'list'])).stdout, /STOPPED .* sleep 1000/);
});

test('whoever asks a command for help, or says more than it takes, has it not done', {
  skip,
}, async (t) => {
  const home = makeHome(t);
  for (const args of [['--help'], ['up', '--help'], ['down', '-h']]) {
    const { code, stdout } = await dev(home, args);
    assert.equal(code, 0);
    assert.match(stdout, /^\.\/dev is the one entry point/);
  }
  const { code, stderr } = await dev(home, ['up', 'now']);
  assert.deepEqual([code, stderr], [2, 'Error: ./dev up takes no arguments, and was given: now\n']);
  assert.ok(!existsSync(path.join(home, 'rnx-config.yml')));
});

test('rnx runs in the directory of its caller', { skip }, async (t) => {
  const home = makeHome(t);
  const early = await dev(home, ['rnx', 'job', 'list']);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /no daemon in .*; \.\/dev up starts one/);
  await dev(home, ['up']);
  const cwd = path.join(ROOT, 'examples');
  const args = ['rnx', 'job', 'run', '--follow', '--upload=hello.sh', './hello.sh'];
  const { code, stdout, stderr } = await dev(home, args, cwd);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^hello from /m);
});

test('a daemon that was killed is followed by one that ends its jobs', { skip }, async (t) => {
  const home = makeHome(t);
  await dev(home, ['up']);
  await dev(home, ['rnx', 'job', 'run', 'sleep', '1000']);
  process.kill(Number(readFileSync(path.join(home, 'run/joblet.pid'), 'utf8')), 'SIGKILL');
  const { code, stderr } = await dev(home, ['down']);
  assert.equal(code, 0, stderr);
  assert.deepEqual(leftOf(home), []);
});

test('run shows a first job and leaves a daemon; Ctrl-C on the way leaves nothing', {
  skip,
}, async (t) => {
  const home = makeHome(t);
  const whole = await dev(home, ['run']);
  assert.equal(whole.code, 0, whole.stderr);
  assert.match(whole.stdout, /^hello from [\s\S]*\.\/dev rnx job list/m);
  assert.match((await dev(home, ['rnx', 'job', 'list'])).stdout, /COMPLETED .* \.\/hello\.sh/);
  await dev(home, ['down']);

  const child = start(home, ['run']);
  const closed = once(child, 'close');
  assert.ok(child.stdout && child.stderr && child.pid);
  child.stderr.resume();
  for await (const chunk of child.stdout) {
    if (String(chunk).includes('hello from')) process.kill(-child.pid, 'SIGINT');
  }
  const [code] = (await closed) as [number | null];
  assert.equal(code, 130);
  assert.deepEqual(leftOf(home), []);
});
