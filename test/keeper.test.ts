// joblet-launch alone: how a job is ended, who may speak to its keeper, and what its log says.
// Shows S4-13 (stop by SIGTERM, grace, SIGKILL), S4-23 (a timeout stops) and S4-17 (history, then live) on
// this level.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatFrame } from '../src/daemon/linux/frames.ts';
import { LauncherWorld } from './launcher-world.ts';
import {
  FIRST_ID,
  KeeperClient,
  launchBinary,
  pairsOf,
  readLog,
  type StartedJob,
} from './launching.ts';

const here = new LauncherWorld();
const { start, run } = here;

describe('joblet-launch', { skip: here.skip }, () => {
  describe('ending a job', () => {
    test('a timeout ends it, after the grace when it does not listen', async () => {
      const script = 'trap "echo term" TERM; echo ready; sleep 100 & wait; echo on; sleep 100';
      const job = await start(['sh', '-c', script], { timeoutMs: 60_000, graceMs: 300 });
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      keeper.send('watch');
      assert.deepEqual(await keeper.next(), ['bell', '6']);
      keeper.send('deadline', '1');
      const end = await job.ended;
      assert.equal(end.get('cause'), 'timeout');
      assert.equal(end.get('how'), 'signaled');
      assert.equal(end.get('code'), '9');
      assert.equal(here.world.readLog(job.id).stdout, 'ready\nterm\non\n');
    });

    test('a deadline can be moved and lifted', async () => {
      const job = await start(['sleep', '100'], { timeoutMs: 50_000 });
      const keeper = await KeeperClient.connect(job.id);
      keeper.send('deadline', '0');
      keeper.send('deadline', '1');
      assert.equal((await job.ended).get('cause'), 'timeout');
    });

    test('stop sends SIGTERM to the whole group, and the job may end by itself', async () => {
      const script = 'trap "echo bye; exit 3" TERM; echo ready; sleep 100 & wait';
      const job = await start(['sh', '-c', script]);
      const keeper = await KeeperClient.connect(job.id);
      assert.equal((await keeper.next())[2], 'running');
      keeper.send('watch');
      assert.deepEqual(await keeper.next(), ['bell', '6']);
      keeper.send('stop', '60000');
      const end = await job.ended;
      assert.equal(end.get('how'), 'exited');
      assert.equal(end.get('code'), '3');
      assert.equal(end.get('cause'), 'stop');
      assert.equal(here.world.readLog(job.id).stdout, 'ready\nbye\n');
    });

    for (const noInit of [false, true]) {
      test(`stop without grace ends everything at once${noInit ? ', without an init too' : ''}`, async () => {
        // S4-13, with a grace of 0: sessions, double forks and ignored signals do not help.
        const script = 'trap "" TERM HUP; setsid sh -c "sleep 1000 & sleep 1000" & sleep 1000';
        const job = await start(['sh', '-c', script], { noInit });
        const keeper = await KeeperClient.connect(job.id);
        keeper.send('stop', '0');
        assert.equal((await job.ended).get('code'), '9');
        assert.deepEqual(here.world.snapshot().cgroups, []);
      });
    }

    test('stop reaches a job that has not been started yet', async () => {
      // A copy of much data keeps the start busy.
      const source = `${here.world.directory}/many`;
      execFileSync('sh', [
        '-c',
        `mkdir ${source}; cd ${source}; head -c 15M /dev/zero >big;` +
          'for i in $(seq 500); do : >f$i; done',
      ]);
      const { id, plan } = here.world.plan(['true'], {
        mounts: ['copy-in', source, '/work'],
        timeoutMs: 1,
      });
      const failed = await here.launcher.fail({ id, plan });
      rmSync(source, { recursive: true });
      assert.deepEqual(failed, ['start', 'timeout', 'ETIMEDOUT']);
    });

    test('a second stop may only shorten the grace', async () => {
      const job = await start(['sh', '-c', 'trap "" TERM; echo deaf; sleep 1000']);
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      keeper.send('watch');
      assert.equal((await keeper.next())[0], 'bell');
      keeper.send('stop', '600000');
      keeper.send('stop', '900000');
      keeper.send('stop', '10');
      assert.equal((await job.ended).get('code'), '9');
    });
  });

  describe('the keeper', () => {
    test('says where the job is, rings for output once, and tells the end last', async () => {
      const job = await start(['sh', '-c', 'read a; echo $a; read a; echo $a'], { stdin: 'pipe' });
      const keeper = await KeeperClient.connect(job.id);
      const [verb, id, phase, keeperPid, initPid, startedNs] = await keeper.next();
      assert.deepEqual([verb, id, phase], ['state', job.id, 'running']);
      assert.deepEqual([Number(keeperPid), Number(initPid)], [job.keeperPid, job.initPid]);
      assert.match(startedNs ?? '', /^\d{19}$/);
      keeper.send('watch');
      keeper.input('one\n');
      assert.deepEqual(await keeper.next(), ['stdin-taken']);
      assert.deepEqual(await keeper.next(), ['bell', '4']);
      keeper.input('two\n');
      assert.deepEqual(await keeper.next(), ['stdin-taken']);
      const last = await keeper.next();
      assert.deepEqual(last.slice(0, 3), ['ended', job.id, 'how=exited']);
      await keeper.closed;
    });

    test('feeds any amount of any bytes, as fast as the job reads', async () => {
      const job = await start(['sha256sum'], { stdin: 'pipe' });
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      const hash = createHash('sha256');
      for (let i = 0; i < 20; i++) {
        const data = randomBytes(i * 20_000);
        hash.update(data);
        keeper.input(data);
        assert.deepEqual(await keeper.next(), ['stdin-taken']);
      }
      keeper.send('stdin-close');
      await job.ended;
      assert.equal(here.world.readLog(job.id).stdout, `${hash.digest('hex')}  -\n`);
    });

    test('says so when nobody reads standard input any more', async () => {
      const job = await start(['sh', '-c', 'exec <&-; echo closed; sleep 1000'], { stdin: 'pipe' });
      const keeper = await KeeperClient.connect(job.id);
      await keeper.next();
      keeper.send('watch');
      assert.equal((await keeper.next())[0], 'bell');
      // It is taken as long as the job's init has not let go of its own end.
      let answer: readonly string[];
      do {
        keeper.input('x');
        answer = await keeper.next();
      } while (answer[0] === 'stdin-taken');
      assert.deepEqual(answer, ['stdin-gone']);
      keeper.send('stop', '0');
      await job.ended;
    });

    test('lets a client go that does not keep to the protocol, and nobody else', async () => {
      const job = await start(['sleep', '1000']);
      const good = await KeeperClient.connect(job.id);
      await good.next();
      const bad = [
        ['nonsense'],
        ['stop'],
        ['stop', '-1'],
        ['stop', '1', '2'],
        ['stdin-close', 'x'],
        [''],
      ];
      for (const frame of bad) {
        const client = await KeeperClient.connect(job.id);
        await client.next();
        client.send(...frame);
        assert.deepEqual(await client.next(), ['closed'], frame.join(' '));
      }
      const large = await KeeperClient.connect(job.id);
      await large.next();
      large.socket.write(Buffer.from([1, 0, 16, 0]));
      assert.deepEqual(await large.next(), ['closed']);
      good.send('stop', '0');
      assert.equal((await good.next())[0], 'ended');
    });

    test('outlives whatever bytes a client sends', async () => {
      const job = await start(['sleep', '1000'], { stdin: 'pipe' });
      const good = await KeeperClient.connect(job.id);
      await good.next();
      const verbs = ['stdin', 'watch', 'deadline', 'stdin-close', 'seen', 'state', ''];
      const operand = fc.oneof(
        fc.constantFrom('', '0', '-1', '1e9'),
        fc.string({ maxLength: 200 }),
      );
      const frame = fc
        .tuple(fc.constantFrom(...verbs), fc.array(operand, { maxLength: 3 }))
        // A deadline is a fair way to end this job, so none is ever set.
        .map(([verb, operands]) =>
          formatFrame(verb === 'deadline' ? [verb, '0'] : [verb, ...operands]),
        );
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 100 }).map((each) => Buffer.from(each)),
        fc.array(frame, { maxLength: 6 }).map((each) => Buffer.concat(each)),
      );
      await fc.assert(
        fc.asyncProperty(bytes, async (each) => {
          const client = await KeeperClient.connect(job.id);
          assert.equal((await client.next())[0], 'state');
          client.socket.end(each);
          await client.closed;
        }),
        { numRuns: 100 },
      );
      good.send('stop', '0');
      assert.equal((await job.ended).get('cause'), 'stop');
    });

    test('serves eight clients and refuses the ninth', async () => {
      const job = await start(['sleep', '1000']);
      const clients: KeeperClient[] = [];
      for (let i = 0; i < 8; i++) {
        const client = await KeeperClient.connect(job.id);
        assert.equal((await client.next())[0], 'state');
        clients.push(client);
      }
      const ninth = await KeeperClient.connect(job.id);
      assert.deepEqual(await ninth.next(), ['closed']);
      clients[0]?.send('stop', '0');
      for (const client of clients) assert.equal((await client.next())[0], 'ended');
    });

    const sanitized = launchBinary.endsWith('-asan') && 'a sanitizer’s own memory would count';
    if (sanitized) console.log(`skipped: ${sanitized}`);
    test('and its init take 100 kB together at most', { skip: sanitized }, async () => {
      const jobs: StartedJob[] = [];
      for (let i = 0; i < 20; i++) {
        jobs.push(await start(['sleep', '1000'], { ids: FIRST_ID + i * 65536 }));
      }
      const pss = (pid: number) =>
        Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
      const kilobytes = jobs.map((job) => pss(job.keeperPid) + pss(job.initPid));
      for (const job of jobs) {
        (await KeeperClient.connect(job.id)).send('stop', '0');
        await job.ended;
      }
      // The median, because the last ones may still be giving back what starting took.
      const median = kilobytes.toSorted((a, b) => a - b)[kilobytes.length / 2] ?? Number.NaN;
      assert.ok(median <= 100, `${median} kB`);
    });

    test('is a process of its own that looks like nothing else', async () => {
      const job = await start(['sleep', '1000']);
      const stat = readFileSync(`/proc/${job.keeperPid}/stat`, 'utf8').split(' ');
      assert.equal(stat[1], '(joblet-keeper)');
      assert.equal(Number(stat[5]), job.keeperPid, 'its session is its own');
      const keeper = await KeeperClient.connect(job.id);
      keeper.send('stop', '0');
      await job.ended;
    });
  });

  describe('the log', () => {
    test('is cut into segments named by position, and no byte is lost', async () => {
      const { end, log } = await run('seq 1 20000', { segmentBytes: 10_000 });
      assert.equal(log.stdout, `${Array.from({ length: 20_000 }, (_, i) => i + 1).join('\n')}\n`);
      assert.ok(log.segments.length > 1);
      assert.equal(log.segments[0], `${'0'.repeat(20)}.log`);
      assert.equal(log.torn, 0);
      assert.equal(end.get('log-bytes'), String(log.stdout.length));
      let position = 0;
      for (const record of log.records) {
        assert.equal(record.position, position);
        if (record.stream === 'stdout') position += record.bytes.length;
      }
    });

    test('keeps what the quota allows, marks the rest at once, and the job goes on', async () => {
      const { end, log } = await run('printf 123456; echo rest >&2; echo more; exit 4', {
        quotaBytes: 8,
      });
      assert.equal(end.get('code'), '4');
      assert.equal(end.get('log-bytes'), '8');
      assert.equal(end.get('dropped-bytes'), '8');
      assert.equal(log.stdout.length + log.stderr.length, 8);
      const gaps = log.records.filter((record) => record.stream === 'gap').map(pairsOf);
      const lost = gaps.map(([bytes = '']) => Number(bytes.slice('bytes='.length)));
      assert.equal(
        lost.reduce((a, b) => a + b),
        8,
      );
      for (const [, reason] of gaps) assert.equal(reason, 'reason=quota');
    });

    test('byte by byte, takes little more than twice its quota of the disk', async () => {
      const quotaBytes = 64 << 10;
      const { id, end } = await run(
        `exec python3 -c 'import os\nfor _ in range(100000): os.write(1, b"x"); os.write(2, b"y")'`,
        { quotaBytes },
      );
      assert.ok(Number(end.get('dropped-bytes')) > 0);
      const directory = here.world.logDirectory(id);
      const sizes = readdirSync(directory).map((name) => statSync(`${directory}/${name}`).size);
      const bytes = sizes.reduce((sum, each) => sum + each, 0);
      assert.ok(bytes <= 3 * quotaBytes, `${bytes} bytes of disk`);
    });

    test('leaves the last of its disk free, and says so once', async () => {
      const small = await here.world.start([
        'unshare',
        '-m',
        'sh',
        '-c',
        `mount -t tmpfs -o size=4m none ${here.world.directory}/logs && exec "$@"`,
        'sh',
      ]);
      const { id, plan } = here.world.plan(['head', '-c', '9000000', '/dev/zero'], {
        reserveBytes: 2 << 20,
      });
      const job = await small.launch({ id, plan });
      await job.ended;
      const logs = `/proc/${small.pid}/root${here.world.directory}/logs`;
      const { bavail, bsize } = statfsSync(logs);
      assert.ok(bavail * bsize > 1.5 * (1 << 20), `${bavail * bsize} bytes are free`);
      const log = readLog(`${logs}/${id}`);
      assert.ok(log.stdout.length > 1 << 20, `${log.stdout.length} bytes kept`);
      const gaps = log.records.filter((record) => record.stream === 'gap').map(pairsOf);
      assert.equal(gaps.length, 2, 'at the first loss, and at the end');
      for (const [, reason] of gaps) assert.equal(reason, 'reason=ENOSPC');
      await small.stop();
    });

    test('survives a full disk: a gap, no torn record, and the end waits to be seen', async () => {
      const small = await here.world.start([
        'unshare',
        '-m',
        'sh',
        '-c',
        `mount -t tmpfs -o size=64k none ${here.world.directory}/logs && exec "$@"`,
        'sh',
      ]);
      const { id, plan } = here.world.plan(['sh', '-c', 'read go; head -c 300000 /dev/zero'], {
        stdin: 'pipe',
      });
      const job = await small.launch({ id, plan });
      const keeper = await KeeperClient.connect(id);
      await keeper.next();
      keeper.input('go\n');
      assert.deepEqual(await keeper.next(), ['stdin-taken']);
      const end = await job.ended;
      assert.ok(Number(end.get('dropped-bytes')) > 200_000);
      const log = readLog(`/proc/${small.pid}/root${here.world.logDirectory(id)}`);
      assert.equal(log.torn, 0);
      const [verb] = await keeper.next();
      assert.equal(verb, 'ended');
      if (log.end === undefined) {
        const late = await KeeperClient.connect(id);
        assert.equal((await late.next())[2], 'ended');
        assert.equal((await late.next())[0], 'ended');
        late.send('seen');
      }
      await keeper.closed;
      await small.stop();
    });
  });
});
