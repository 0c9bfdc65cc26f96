// What the launcher has ready for jobs that it does not know yet: a keeper, and a sandbox where a job
// was, for one like it. A job cannot tell; a sandbox that is not like the one it would get is not used.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cgroupDirectories } from '../src/daemon/linux/cgroup.ts';
import { LauncherWorld } from './launcher-world.ts';
import { endJob, FIRST_ID, type StartedJob, untilDead, type Wishes } from './launching.ts';
import { processesIn, untilPopulated } from './populated.ts';

const here = new LauncherWorld();

const NAME = 'kept';
const ELSEWHERE = ['elsewhere', 'third'] as const;
const ALL = [NAME, ...ELSEWHERE];
const anew = { kept: { name: NAME, life: 'anew' } } as const;
const asIs = { kept: { name: NAME, life: 'as-is' } } as const;

describe('what stands by', { skip: here.skip }, () => {
  before(async () => {
    for (const each of ALL.flatMap((name) => cgroupDirectories(here.world.cgroups, name)))
      mkdirSync(each);
  });

  after(async () => {
    await here.launcher.stop();
    for (const each of ALL.flatMap((name) => cgroupDirectories(here.world.cgroups, name)))
      rmdirSync(each);
  });

  /** The cgroup that a job there is born into. */
  function birthplace(name: string): string {
    const { cgroups } = here.world;
    return path.join(cgroups.kind === 'v2' ? cgroups.base : cgroups.unified, name);
  }

  /** Process 1 of the sandbox that is made ahead, as soon as there is one. */
  async function untilMade(name: string = NAME): Promise<number> {
    const [pid = 0] = await untilPopulated(birthplace(name));
    return pid;
  }

  /** Kills process 1 of the sandbox that is made ahead. */
  async function killAhead(): Promise<void> {
    const ahead = await untilMade();
    process.kill(ahead, 'SIGKILL');
    await untilDead(ahead);
  }

  function start(args: readonly string[], wishes: Wishes): Promise<StartedJob> {
    return here.launcher.launch(here.world.plan(args, wishes));
  }

  /** Runs one job until its keeper is gone; answers what it printed. */
  async function run(
    command: string,
    wishes: Wishes,
  ): Promise<{ job: StartedJob; stdout: string }> {
    const job = await start(['sh', '-c', command], wishes);
    await job.ended;
    await untilDead(job.keeperPid);
    return { job, stdout: here.world.readLog(job.id).stdout };
  }

  test('a job like the one before it gets the sandbox that was made ahead', async () => {
    await run('true', anew);
    const ahead = await untilMade();
    const { job, stdout } = await run('echo $$; hostname; cat /etc/hostname; id -u', asIs);
    assert.equal(job.initPid, ahead);
    assert.equal(stdout, '2\na-job\na-job\n0\n');
  });

  test('nothing of the job before it is in that sandbox', async () => {
    const secret = 'a-word-of-the-first-job';
    const fill = 'for each in /work /tmp /dev/shm; do echo x > $each/left; done; sleep 1000 & true';
    await run(fill, { ...asIs, env: [`SECRET=${secret}`] });
    const ahead = await untilMade();
    assert.ok(!readFileSync(`/proc/${ahead}/environ`, 'utf8').includes(secret));
    // Who has it is found to have it: one that idles too, so that its maps stay as they are.
    const holder = spawn('cat', { env: { SECRET: secret }, stdio: ['pipe', 'ignore', 'ignore'] });
    await once(holder, 'spawn');
    assert.deepEqual([holds(Number(holder.pid), secret), holds(ahead, secret)], [true, false]);
    holder.stdin.end();
    // ps is alone when it looks: a program beside it may not have been executed yet.
    const look =
      'ls -A /work /tmp /dev/shm; ps -e -o comm= >/tmp/ps; sort /tmp/ps; env | grep -c SECRET';
    const { job, stdout } = await run(look, asIs);
    assert.equal(job.initPid, ahead);
    const without = await run(look, { ids: FIRST_ID + 65_536 });
    assert.equal(stdout, without.stdout);
  });

  test('process 1 that stands by is that of the job in all that counts', async () => {
    await run('true', asIs);
    const ahead = await untilMade();
    const look =
      'cat /proc/1/status /proc/self/status | grep -E "^(Name|Cap|Seccomp|NoNew|Uid|Gid|Groups)"; ' +
      'cat /proc/self/mountinfo | cut -d" " -f4- | sed "s/ [0-9]*:[0-9]* / /"; cat /proc/self/cgroup; ' +
      'ls /proc/self/fd | wc -l; ls /run; cat /proc/sys/kernel/random/boot_id; ls /sys/class/net';
    const { job, stdout } = await run(look, asIs);
    assert.equal(job.initPid, ahead);
    await killAhead();
    const plain = await run(look, asIs);
    assert.equal(stdout, plain.stdout);
  });

  for (const [what, wishes] of [
    ['other limits', { limits: { memoryBytes: 64 << 20 }, kept: { name: NAME, life: 'anew' } }],
    ['its cgroups made anew', anew],
    [
      'a file system more',
      { ...asIs, mounts: ['tmpfs', '/srv', '4096', '16', '0755'], root: ['dir', '/srv', '0755'] },
    ],
    ['another root', { ...asIs, root: ['dir', '/opt', '0755'] }],
    ['standard input', { ...asIs, stdin: 'pipe' }],
    ['no init', { ...asIs, noInit: true }],
  ] as const satisfies readonly (readonly [string, Wishes])[]) {
    test(`a job with ${what} gets a sandbox of its own, and the other one is gone`, async () => {
      await run('true', anew);
      const ahead = await untilMade();
      const job = await start(['sleep', '1000'], wishes);
      assert.notEqual(job.initPid, ahead);
      assert.ok(!existsSync(`/proc/${ahead}`));
      await endJob(job.id);
      await untilDead(job.keeperPid);
    });
  }

  for (const [what, command] of [
    ['could not be started', ['/no/such/program']],
    ['was killed for its memory', ['python3', '-c', 'x = bytearray(1 << 30)']],
  ] as const) {
    test(`none is made where a job ${what}: what is there is cleared up first`, async () => {
      const { id, plan } = here.world.plan(command, anew);
      here.launcher.send(['launch', ...plan]);
      const [verb] = await here.launcher.frame(['started', 'failed'], id);
      if (verb === 'started') await here.launcher.frame('ended', id);
      // By the time that a later keeper is gone and the next job runs, the launcher knows of both.
      for (let turn = 0; turn < 2; turn += 1) await run('true', { ids: FIRST_ID + 9 * 65_536 });
      assert.deepEqual(processesIn(birthplace(NAME)), []);
    });
  }

  test('a sandbox whose process was killed is not used', async () => {
    await run('true', anew);
    const ahead = await untilMade();
    await killAhead();
    const { job, stdout } = await run('echo fine', asIs);
    assert.notEqual(job.initPid, ahead);
    assert.equal(stdout, 'fine\n');
  });

  test('a sandbox goes with its keeper, and is not used', async () => {
    await run('true', asIs);
    const ahead = await untilMade();
    const [, keeper = ''] =
      /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${ahead}/status`, 'utf8')) ?? [];
    process.kill(Number(keeper), 'SIGKILL');
    await untilDead(ahead);
    const { stdout } = await run('echo fine', asIs);
    assert.equal(stdout, 'fine\n');
  });

  test('a root that is forgotten is let go of by the sandbox too', async () => {
    await run('true', asIs);
    const ahead = await untilMade();
    const { plan } = here.world.plan(['true']);
    here.launcher.send(['forget', plan[plan.indexOf('root-key') + 1] ?? '']);
    await untilDead(ahead);
    assert.equal((await run('echo fine', asIs)).stdout, 'fine\n');
  });

  test('a launcher that ends leaves none, so that its cgroups can be removed at once', async () => {
    const other = await here.world.start();
    const name = 'others';
    const directories = cgroupDirectories(here.world.cgroups, name);
    for (const directory of directories) mkdirSync(directory);
    const wishes = { ids: FIRST_ID + 2 * 65_536, kept: { name, life: 'anew' } } as const;
    const job = await other.launch(here.world.plan(['true'], wishes));
    await untilDead(job.keeperPid);
    await other.stop();
    // Nothing is in them any more: the launcher has waited for that.
    for (const directory of directories) rmdirSync(directory);
  });

  test('jobs elsewhere leave it alone, until they are all that there is', async () => {
    await run('true', asIs);
    const ahead = await untilMade();
    for (let i = 1; i <= 3; i++) {
      const { stdout } = await run('echo fine', { ids: FIRST_ID + i * 65_536 });
      assert.equal(stdout, 'fine\n');
    }
    const { job, stdout } = await run('echo fine', asIs);
    assert.deepEqual([job.initPid, stdout], [ahead, 'fine\n']);

    // Two are made ahead; where a third one would be is found out by jobs that miss it.
    const inTurn = (at: number, life: 'anew' | 'as-is' = 'anew') => ({
      ids: FIRST_ID + at * 65_536,
      kept: { name: ELSEWHERE[at - 1] ?? '', life },
    });
    await run('true', inTurn(1));
    await untilMade(ELSEWHERE[0]);
    await untilMade();
    for (let i = 0; i <= 16; i++) await (await start(['true'], inTurn(2))).ended;
    await untilMade(ELSEWHERE[1]);
  });
});

/** Whether a word stands in the memory that a process can write. */
function holds(pid: number, word: string): boolean {
  const search = `
import re, sys
pid, word = sys.argv[1:]
memory = open(f'/proc/{pid}/mem', 'rb', 0)
for line in open(f'/proc/{pid}/maps'):
    begin, end, rights = re.match('(\\\\w+)-(\\\\w+) (....)', line).groups()
    size = int(end, 16) - int(begin, 16)
    # The launcher has nothing as big; a sanitizer has maps of the memory beside it, of terabytes.
    if 'w' not in rights or size > 1 << 26: continue
    memory.seek(int(begin, 16))
    if word.encode() in memory.read(size): print('it does')
`;
  return execFileSync('python3', ['-c', search, String(pid), word], { encoding: 'utf8' }) !== '';
}
