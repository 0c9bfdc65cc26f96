// Every step of a launch is made to fail, and each time everything is as it was before: cgroups,
// mounts, processes, files. And no plan, whatever it says, brings the launcher down.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { formatFrame } from '../src/daemon/linux/frames.ts';
import { LauncherWorld } from './launcher-world.ts';
import { KeeperClient, socketOf, type Wishes } from './launching.ts';

const here = new LauncherWorld();

describe('a launch that fails', { skip: here.skip }, () => {
  before(async () => {
    mkdirSync(`${here.world.directory}/source/a`, { recursive: true });
    writeFileSync(`${here.world.directory}/source/a/file`, 'x'.repeat(5000));
    execFileSync('mkfifo', [`${here.world.directory}/source/fifo`]);
    writeFileSync(`${here.world.directory}/plain`, '');
    mkdirSync(`${here.world.directory}/good`);
    writeFileSync(`${here.world.directory}/good/data`, Buffer.alloc(8 << 20));
  });

  /** Launches what must fail, and looks at what is left of it. */
  async function refused(plan: { id: string; plan: readonly string[] }) {
    // What the launcher keeps for later launches is there before.
    await runTrue();
    const earlier = here.world.snapshot();
    const failed = await here.launcher.fail(plan);
    // The keeper that failed has left by the time that a later one has.
    await runTrue();
    assert.deepEqual(here.world.snapshot(), earlier);
    return failed;
  }

  /** Runs a plain job until nothing of it is left. */
  async function runTrue(): Promise<void> {
    const job = await here.launcher.launch(here.world.plan(['cat'], { stdin: 'pipe' }));
    const keeper = await KeeperClient.connect(job.id);
    keeper.send('stdin-close');
    await job.ended;
    await keeper.closed;
    rmSync(here.world.logDirectory(job.id), { recursive: true });
  }

  const steps: Record<string, () => [readonly string[], Wishes, readonly string[]]> = {
    'a command that is not there': () => [['nonsense'], {}, ['exec', 'nonsense', 'ENOENT']],
    'a command with a path that is not there': () => [
      ['/no/such'],
      {},
      ['exec', '/no/such', 'ENOENT'],
    ],
    'an empty command': () => [[''], {}, ['exec', '', 'ENOENT']],
    'a command that is a directory': () => [['/usr'], {}, ['exec', '/usr', 'EACCES']],
    'a command that may not be executed': () => [
      ['/etc/passwd'],
      {},
      ['exec', '/etc/passwd', 'EACCES'],
    ],
    'a working directory that is not there': () => [
      ['true'],
      { cwd: '/no' },
      ['cwd', '/no', 'ENOENT'],
    ],
    'a working directory that is a file': () => [
      ['true'],
      { cwd: '/etc/passwd' },
      ['cwd', '/etc/passwd', 'ENOTDIR'],
    ],
    'a source that is not there': () => [
      ['true'],
      { mounts: ['bind-ro', '/no/such', '/volumes'] },
      ['bind-ro', '/no/such', 'ENOENT'],
    ],
    'a source of the shared root that is not there': () => [
      ['true'],
      { root: ['bind-ro', '/no/such', '/opt'] },
      ['bind-ro', '/no/such', 'ENOENT'],
    ],
    'a file system whose ids cannot be mapped': () => [
      ['true'],
      { root: ['bind-rw', '/proc', '/opt'] },
      ['bind-rw', '/proc', 'EINVAL'],
    ],
    'a mount target below a file': () => [
      ['true'],
      { mounts: ['tmpfs', '/etc/passwd/x', '4096', '16', '0755'] },
      ['tmpfs', '/etc/passwd/x', 'ENOTDIR'],
    ],
    'a mount target that the read-only root lacks': () => [
      ['true'],
      { mounts: ['tmpfs', '/new', '4096', '16', '0755'] },
      ['tmpfs', '/new', 'EROFS'],
    ],
    'a directory on a file': () => [
      ['true'],
      { root: ['dir', '/etc/passwd/x', '0755'] },
      ['dir', '/etc/passwd/x', 'ENOTDIR'],
    ],
    'a file that is there': () => [
      ['true'],
      { root: ['file', '/etc/passwd', '0644', 'x'] },
      ['file', '/etc/passwd', 'EEXIST'],
    ],
    'a link that is there': () => [
      ['true'],
      { root: ['symlink', 'x', '/etc/passwd'] },
      ['symlink', '/etc/passwd', 'EEXIST'],
    ],
    'a run file twice': () => [
      ['true'],
      { mounts: ['run-file', 'hostname', ''] },
      ['run-file', 'hostname', 'EEXIST'],
    ],
    'a tree that is not there': () => [
      ['true'],
      { root: ['tree', '/no/such'] },
      ['tree', '/no/such', 'ENOENT'],
    ],
    'a tree that is a file': () => [
      ['true'],
      { root: ['tree', `${here.world.directory}/plain`] },
      ['tree', `${here.world.directory}/plain`, 'EINVAL'],
    ],
    'a tree whose ids cannot be mapped': () => [
      ['true'],
      { root: ['tree', '/proc', 'tree-root'] },
      ['tree', '/proc', 'EINVAL'],
    ],
    'a part that a tree lacks': () => [
      ['true'],
      { root: ['tree', `${here.world.directory}/good`, 'bind-tree', '/no', '/opt'] },
      ['bind-tree', '/no', 'ENOENT'],
    ],
    'a mount target that a tree lacks': () => [
      ['true'],
      { root: ['tree', `${here.world.directory}/good`, 'tree-root'] },
      ['bind-ro', '/usr', 'EROFS'],
    ],
    'a place of its own that is not there': () => [
      ['true'],
      { mounts: ['bind-own', '/no', '/work'] },
      ['bind-own', '/no', 'ENOENT'],
    ],
    'a place of its own that is a link': () => [
      ['true'],
      { root: ['symlink', '/proc', '/link'], mounts: ['bind-own', '/link', '/work'] },
      ['bind-own', '/link', 'ENOTDIR'],
    ],
    'a place of its own below a file': () => [
      ['true'],
      { mounts: ['bind-own', '/dev', '/etc/passwd'] },
      ['bind-own', '/etc/passwd', 'EINVAL'],
    ],
    'a copy of what is not there': () => [
      ['true'],
      { mounts: ['copy-in', '/no/such', '/work'] },
      ['copy-in', '/no/such', 'ENOENT'],
    ],
    'a copy of something that is no file': () => [
      ['true'],
      { mounts: ['copy-in', `${here.world.directory}/source`, '/work'] },
      ['copy-in', 'fifo', 'EINVAL'],
    ],
    'a copy that does not fit': () => [
      ['true'],
      {
        root: ['dir', '/volumes/small', '0755'],
        mounts: [
          ...['tmpfs', '/volumes/small', '16384', '16', '0755'],
          ...['copy-in', `${here.world.directory}/good`, '/volumes/small'],
        ],
      },
      ['copy-in', 'data', 'ENOSPC'],
    ],
    'a copy to nowhere': () => [
      ['true'],
      { mounts: ['copy-in', `${here.world.directory}/good`, '/no'] },
      ['copy-in', '/no', 'ENOENT'],
    ],
    'a log directory that cannot be made': () => [
      ['true'],
      { logDirectory: `${here.world.directory}/plain/log` },
      ['log-dir', `${here.world.directory}/plain/log`, 'ENOTDIR'],
    ],
    'a log directory that is there': () => [
      ['true'],
      { logDirectory: here.world.directory },
      ['log-dir', here.world.directory, 'EEXIST'],
    ],
    'a limit that the kernel refuses': () => {
      const directory = memoryDirectory();
      return [
        ['true'],
        { id: fixedId, more: ['cgroup-set', `${directory}/cgroup.procs`, 'nonsense'] },
        ['cgroup-set', `${directory}/cgroup.procs`, 'EINVAL'],
      ];
    },
    'a limit that the kernel does not know': () => {
      const directory = memoryDirectory();
      return [
        ['true'],
        { id: fixedId, more: ['cgroup-set', `${directory}/no.such.limit`, '1'] },
        // A cgroup directory takes no files of ours.
        ['cgroup-set', `${directory}/no.such.limit`, 'ENOENT'],
      ];
    },
    'a memory limit that starts nothing': () => [
      ['true'],
      { limits: { memoryBytes: 4096 } },
      ['start', 'process 1', 'ENOMEM'],
    ],
    'a timeout that has passed': () => [
      ['true'],
      { mounts: slowCopy(), timeoutMs: 1 },
      ['start', 'timeout', 'ETIMEDOUT'],
    ],
  };

  const fixedId = randomUUID();

  function memoryDirectory(): string {
    const { plan } = here.world.plan(['true'], { id: fixedId });
    return plan[plan.indexOf('memory-events') + 2] ?? '';
  }

  /** A start that takes some time. */
  function slowCopy(): string[] {
    return ['copy-in', `${here.world.directory}/good`, '/work'];
  }

  for (const [what, make] of Object.entries(steps)) {
    test(`for ${what} names step, object and errno, and leaves nothing`, async () => {
      const [args, wishes, expected] = make();
      const failed = await refused(here.world.plan(args, wishes));
      assert.deepEqual(failed, expected);
    });
  }

  test('for a cgroup that is there leaves that one alone', async () => {
    const { id, plan } = here.world.plan(['true']);
    const directory = plan[plan.indexOf('memory-events') + 2] ?? '';
    mkdirSync(directory);
    const failed = await refused({ id, plan });
    execFileSync('rmdir', [directory]);
    assert.deepEqual(failed, ['cgroup', directory, 'EEXIST']);
  });

  test('for a socket that is taken leaves that one alone', async () => {
    const { id, plan } = here.world.plan(['true']);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`\0${socketOf(id)}`, resolve));
    const failed = await refused({ id, plan });
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(failed, ['socket', socketOf(id), 'EADDRINUSE']);
  });

  test('for a copy that is too deep follows it no further', async () => {
    const deep = `${here.world.directory}/deep`;
    mkdirSync(`${deep}/${'d/'.repeat(140)}`, { recursive: true });
    const plan = here.world.plan(['true'], { mounts: ['copy-in', deep, '/work'] });
    const failed = await here.launcher.fail(plan);
    rmSync(deep, { recursive: true });
    assert.deepEqual(failed, ['copy-in', deep, 'ELOOP']);
  });

  test('with no daemon to hear it says so in its log', async () => {
    const other = await here.world.start();
    const { id, plan } = here.world.plan(['nonsense'], { mounts: slowCopy() });
    const written = logWritten(id);
    // The launcher reads all that was sent before it finds the end of its socket.
    other.socket.end(formatFrame(['launch', ...plan]));
    other.socket.destroySoon();
    const end = await written;
    rmSync(here.world.logDirectory(id), { recursive: true });
    assert.deepEqual(
      ['how', 'step', 'object', 'errno'].map((key) => end.get(key)),
      ['not-started', 'exec', 'nonsense', 'ENOENT'],
    );
  });

  /** Resolves with the end record of a job when it is there. */
  function logWritten(id: string): Promise<Map<string, string>> {
    const { promise, resolve } = Promise.withResolvers<Map<string, string>>();
    const watchers: FSWatcher[] = [];
    const look = () => {
      const directory = here.world.logDirectory(id);
      if (!existsSync(directory)) return;
      // Watched before it is read, so that nothing is written between the two.
      if (watchers.length === 1) watchers.push(watch(directory, look));
      const { end } = here.world.readLog(id);
      if (end === undefined) return;
      for (const watcher of watchers) watcher.close();
      resolve(end);
    };
    watchers.push(watch(`${here.world.directory}/logs`, look));
    return promise;
  }

  const badPlans: Record<string, (plan: string[]) => readonly string[]> = {
    'an unknown option': (plan) => [...plan, 'nonsense'],
    'a missing operand': (plan) => [...plan, 'tmpfs', '/x'],
    'a number that is none': (plan) => [...plan, 'timeout', '1s'],
    'a number over its bounds': (plan) => [...plan, 'timeout', '99999999999999999999'],
    'the host’s own ids': (plan) => replaced(plan, 'ids', '0'),
    'ids over the end': (plan) => replaced(plan, 'ids', '4294967295'),
    'an id that leads elsewhere': (plan) => replaced(plan, 'id', '../x'),
    'a relative path': (plan) => [...plan, 'bind-ro', 'usr', '/x'],
    'a path with dots': (plan) => [...plan, 'bind-ro', '/usr/../etc', '/x'],
    'a set-uid mode': (plan) => [...plan, 'dir', '/work/x', '4755'],
    'a limit of another cgroup': (plan) => [...plan, 'cgroup-set', '/sys/fs/cgroup/x/y', '1'],
    'no arguments': (plan) => plan.slice(0, plan.indexOf('arg')),
    'no network': (plan) => without(plan, 'net'),
    'no root': (plan) => without(plan, 'root-end', 1),
    'a run file elsewhere': (plan) => [...plan, 'run-file', '../x', ''],
    'a variable without a name': (plan) => [...plan, 'env', '=x'],
    'a soft limit above the hard one': (plan) => [...plan, 'rlimit', 'nofile', '2', '1'],
    'a capability that reaches further': (plan) => [...plan, 'capability', 'sys-admin'],
    'an unknown door': (plan) => [...plan, 'allow', 'everything'],
    'two ids': (plan) => [...plan, 'id', 'abc'],
  };

  function replaced(plan: readonly string[], option: string, value: string): string[] {
    return plan.map((each, i) => (plan[i - 1] === option ? value : each));
  }

  function without(plan: readonly string[], option: string, strings = 2): string[] {
    return plan.toSpliced(plan.indexOf(option), strings);
  }

  for (const [what, spoil] of Object.entries(badPlans)) {
    test(`a plan with ${what} is refused as a whole`, async () => {
      const { plan } = here.world.plan(['true']);
      here.launcher.send(['launch', ...spoil(plan)]);
      const [, , step, object, errno] = await here.launcher.frame('failed');
      assert.deepEqual([step, errno], ['plan', 'EINVAL']);
      assert.match(object ?? '', /^[\w-]+: [a-z]/);
    });
  }

  test('no plan at all brings the launcher down', async () => {
    const options = [
      ...['id', 'log-dir', 'log-segment', 'socket', 'ids', 'net', 'hostname', 'root-key'],
      ...['root-end', 'bind-ro', 'tmpfs', 'dir', 'file', 'symlink', 'dev', 'proc', 'sys'],
      ...['run-file', 'boot-id', 'copy-in', 'cgroup', 'cgroup-set', 'memory-events', 'rlimit'],
      ...[
        'host-net',
        'tree',
        'tree-root',
        'bind-tree',
        'bind-own',
        'capability',
        'allow',
        'no-init',
        'stdin',
        'cwd',
        'env',
        'arg',
        'timeout',
        'grace',
      ],
    ];
    const operands = ['', '/', '/x', '/x/', '//', '0', '1', '65536', '0755', 'v1', 'kill', 'pool'];
    const word = fc.oneof(
      fc.constantFrom(...options),
      fc.constantFrom(...operands),
      fc.string({ maxLength: 300 }).map((text) => text.replaceAll('\0', '')),
    );
    // Never whole: `arg` is cut out, so that nothing is ever started.
    const anyPlan = fc
      .array(word, { maxLength: 60 })
      .map((words) => words.map((each) => (each === 'arg' ? 'args' : each)));
    const spoiled = fc
      .tuple(fc.nat(), fc.nat({ max: 5 }), fc.array(word, { maxLength: 5 }))
      .map(([at, count, words]) => {
        const { plan } = here.world.plan(['true']);
        const end = plan.indexOf('arg');
        return plan
          .slice(0, end)
          .toSpliced(at % end, count, ...words.filter((each) => each !== 'arg'));
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyPlan, spoiled), async (plan) => {
        here.launcher.send(['launch', ...plan]);
        assert.equal((await here.launcher.frame('failed'))[2], 'plan');
      }),
      { numRuns: 300 },
    );
    const job = await here.launcher.launch(here.world.plan(['true']));
    assert.equal((await job.ended).get('code'), '0');
  });
});
