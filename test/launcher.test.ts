// joblet-launch alone: what survives a crash, and what the launcher itself keeps to. What a job is, is in
// launched-job.test.ts; its keeper in keeper.test.ts; that failing launches leave nothing behind in
// launcher-failures.test.ts.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { cgroupNameOf, clearCgroups } from '../src/daemon/linux/cgroup.ts';
import { LauncherWorld } from './launcher-world.ts';
import { endJob, FIRST_ID, KeeperClient, untilDead } from './launching.ts';

const here = new LauncherWorld();
const { start, run } = here;

/** Starts a program on whose descriptor 3 next to nothing can be sent that is not read. */
const SMALL_SOCKET = `
import os, socket, sys
kept = socket.socket(fileno=3)
kept.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
os.execvp(sys.argv[1], sys.argv[1:])
`;

describe('joblet-launch', { skip: here.skip }, () => {
  describe('crashes', () => {
    /** Kills a process of a running job and hears what became of it. */
    async function hearGone(noInit: boolean, leave: string) {
      const job = await start(['sh', '-c', `${leave} sleep 1000`], { noInit });
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      process.kill(job.keeperPid, 'SIGKILL');
      const gone = await here.launcher.frame('gone', job.id);
      return { job, gone };
    }

    for (const noInit of [false, true]) {
      test(`a killed keeper takes its job along${noInit ? ', without an init too' : ''}`, async () => {
        const { job, gone } = await hearGone(
          noInit,
          noInit ? 'python3 -c "import ctypes; print(ctypes.CDLL(None).prctl(1, 0))";' : '',
        );
        assert.equal(gone[2], '9');
        await untilDead(job.initPid);
        await clearCgroups(here.world.cgroups, cgroupNameOf(job.id));
        assert.deepEqual(here.world.snapshot().cgroups, []);
      });
    }

    test('a job lives on without launcher and daemon, is stopped by its timeout, and says so', async () => {
      const other = await here.world.start();
      const { id, plan } = here.world.plan(['sh', '-c', 'read a; echo $a; sleep 1000'], {
        stdin: 'pipe',
        timeoutMs: 60_000,
        graceMs: 0,
      });
      await other.launch({ id, plan });
      other.child.kill('SIGKILL');
      await other.stop();
      const keeper = await KeeperClient.connect(id);
      assert.equal((await keeper.next())[2], 'running');
      keeper.input('still here\n');
      assert.deepEqual(await keeper.next(), ['stdin-taken']);
      keeper.send('watch');
      assert.equal((await keeper.next())[0], 'bell');
      keeper.send('deadline', '1');
      assert.deepEqual(await keeper.next(), ['deadline-set']);
      assert.equal((await keeper.next())[0], 'ended');
      await keeper.closed;
      const log = here.world.readLog(id);
      assert.equal(log.stdout, 'still here\n');
      assert.equal(log.end?.get('cause'), 'timeout');
      assert.deepEqual(here.world.snapshot().cgroups, []);
    });

    test('the next launcher is ready when all that the one before was starting is decided', async () => {
      const first = here.world.spawn('turns');
      await first.ready;
      const { id, plan } = here.world.plan(['sh', '-c', 'read line'], { stdin: 'pipe' });
      here.world.freeze(true);
      const logs = watch(`${here.world.directory}/logs`);
      const begun = once(logs, 'change');
      first.send(['launch', ...plan]);
      await begun;
      logs.close();
      first.child.kill('SIGKILL');
      await first.stop();
      const second = here.world.spawn('turns');
      const [said] = await once(second.child.stderr ?? first.child, 'data');
      assert.match(String(said), /waits for what the launcher before was starting/);
      here.world.freeze(false);
      await second.ready;
      const keeper = await KeeperClient.connect(id);
      for (let state = ''; state !== 'running'; ) state = (await keeper.next())[2] ?? 'closed';
      keeper.send('stop', '0');
      await keeper.closed;
      assert.deepEqual(here.world.snapshot().cgroups, []);
    });

    test('a daemon that lives and does not read keeps no job from its timeout, and is told all at last', async () => {
      const deaf = await here.world.start(['python3', '-c', SMALL_SOCKET]);
      deaf.socket.pause();
      // What these say is more than the socket and its reader here hold.
      const many = Array.from({ length: 250 }, () => here.world.plan(['true']));
      for (const { plan } of many) deaf.send(['launch', ...plan]);
      const shelf = `${here.world.directory}/shelf`;
      mkdirSync(shelf, { mode: 0o777 });
      execFileSync('mkfifo', ['-m', '666', `${shelf}/here`]);
      const { id, plan } = here.world.plan(['sh', '-c', 'echo here >/shelf/here; sleep 1000'], {
        timeoutMs: 60_000,
        graceMs: 0,
        root: ['dir', '/shelf', '0755'],
        mounts: ['bind-rw', shelf, '/shelf'],
      });
      deaf.send(['launch', ...plan]);
      await readFile(`${shelf}/here`);
      const keeper = await KeeperClient.connect(id);
      for (let state = ''; state !== 'running'; ) state = (await keeper.next())[2] ?? 'closed';
      keeper.send('deadline', '1');
      assert.deepEqual(await keeper.next(), ['deadline-set']);
      assert.equal((await keeper.next())[0], 'ended');
      assert.equal(here.world.readLog(id).end?.get('cause'), 'timeout');
      deaf.socket.resume();
      for (const each of [...many, { id }]) {
        for (const verb of ['started', 'ended']) {
          assert.equal((await deaf.frame(['started', 'ended'], each.id))[0], verb);
        }
      }
      await keeper.closed;
      rmSync(shelf, { recursive: true });
      assert.deepEqual(here.world.snapshot().cgroups, []);
    });

    test('SIGTERM to a keeper, as when a service is stopped, does its job no harm', async () => {
      const job = await start(['sleep', '1000']);
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
        process.kill(job.keeperPid, signal);
      }
      keeper.send('watch');
      keeper.send('stop', '0');
      assert.equal((await keeper.next())[0], 'ended');
    });
  });

  describe('the launcher', () => {
    test('runs many jobs at once, each with its own ids, and keeps no descriptor of them', async () => {
      const batch = () =>
        Promise.all(
          Array.from({ length: 8 }, async (_, i) => {
            const job = await start(['true'], { ids: FIRST_ID + i * 65536 });
            assert.equal((await job.ended).get('code'), '0');
          }),
        );
      for (let i = 0; i < 4; i++) await batch();
      const before = readdirSync(`/proc/${here.launcher.pid}/fd`).length;
      for (let i = 0; i < 6; i++) await batch();
      const after = readdirSync(`/proc/${here.launcher.pid}/fd`).length;
      // Namespaces made ahead come and go.
      assert.ok(after <= before + 16, `${before} -> ${after}`);
    });

    test('has a keeper stand by for the next job, and does without where that was killed', async () => {
      const other = await here.world.start();
      const [, standby = 0] = other.children();
      const first = here.world.plan(['sleep', '1000']);
      assert.equal((await other.launch(first)).keeperPid, standby);
      const [, next = 0] = other.children().filter((pid) => pid !== standby);
      if (next !== 0) {
        process.kill(next, 'SIGKILL');
        await untilDead(next);
      }
      const second = here.world.plan(['sleep', '1000'], { ids: FIRST_ID + 65536 });
      assert.notEqual((await other.launch(second)).keeperPid, next);
      for (const { id } of [first, second]) await endJob(id);
      await other.stop();
    });

    test('takes the keeper that stands by along when it ends, however that is', async () => {
      const other = await here.world.start();
      const [, standby = 0] = other.children();
      other.child.kill('SIGKILL');
      await other.stop();
      await untilDead(standby);
      const plan = here.world.plan(['true']);
      const next = await here.world.start();
      assert.equal((await (await next.launch(plan)).ended).get('code'), '0');
      await next.stop();
    });

    test('forgets the root of a runtime that is removed', async () => {
      const source = `${here.world.directory}/runtime`;
      mkdirSync(source);
      writeFileSync(`${source}/version`, 'one\n');
      const wishes = { root: ['bind-ro', source, '/opt/runtime'] };
      const cat = 'cat /opt/runtime/version';
      assert.equal((await run(cat, wishes)).log.stdout, 'one\n');
      const { plan } = here.world.plan(['true'], wishes);
      const key = plan[plan.indexOf('root-key') + 1] ?? '';
      // By its own name, and with all that have more in them.
      for (const forgotten of [key, key.slice(0, key.indexOf('+'))]) {
        rmSync(source, { recursive: true });
        mkdirSync(source);
        writeFileSync(`${source}/version`, `${forgotten}\n`);
        here.launcher.send(['forget', forgotten]);
        assert.equal((await run(cat, wishes)).log.stdout, `${forgotten}\n`);
      }
      rmSync(source, { recursive: true });
    });

    test('ends when the daemon is gone', async () => {
      const other = await here.world.start();
      other.socket.destroy();
      assert.equal(await other.exited, 0);
    });

    for (const [what, bytes] of [
      ['an empty frame', Buffer.alloc(4)],
      ['a frame over the limit', Buffer.from([1, 0, 16, 0])],
      ['an unknown verb', Buffer.from('\x04\0\0\0abc\0', 'latin1')],
    ] as const) {
      test(`ends with an error on ${what}`, async () => {
        const other = await here.world.start();
        other.socket.write(bytes);
        assert.equal(await other.exited, 1);
        assert.match(await other.stderr, /^joblet-launch: a frame /);
      });
    }
  });
});
