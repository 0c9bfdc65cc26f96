// Many jobs, each followed by some readers from moments of chance on, while their logs are rotated and
// sealed and daemons are killed and started: every reader gets every line once, in order.
// JOBLET_LOG_JOBS=1000 is the long form.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { getJobLogs, runJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, shell } from './job-calls.ts';

const skip = cannotRun();
const JOBS = Number(process.env['JOBLET_LOG_JOBS'] ?? 30);
const AT_ONCE = 10;
const LINES = 100;
const READERS = 3;
/** A daemon is killed, or ended, whenever so many jobs have been started. */
const LIFE_JOBS = 14;

let daemon: Daemon;
/** Settled when the daemon answers calls; another one while it is being started. */
let isUp = Promise.withResolvers<void>();

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ logs: { segmentBytes: 64 * 1024, sealAfter: '100ms' } });
  isUp.resolve();
});

after(async () => {
  await daemon?.stop();
});

/** Prints its lines to both streams in turn, in bursts; three segments of them. */
const SCRIPT = `i=1; while [ $i -le ${LINES} ]; do printf '%d %02000d\\n' $i 0 >&$((i % 2 + 1));
  [ $((i % 20)) = 0 ] && sleep 0.0$((i / 20)); i=$((i + 1)); done`;

/** What a job writes, as SCRIPT has it; streams arrive each in its order. */
function linesOf(text: string): number[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [number, rest] = line.split(' ');
      assert.equal(rest, '0'.repeat(2000));
      return Number(number);
    });
}

/** Follows a job to its end, through whatever happens to the daemon, and asks for no byte twice. */
async function follow(uuid: string): Promise<void> {
  const texts = new Map<string, string>();
  let position = 0n;
  for (;;) {
    await isUp.promise;
    try {
      const api = daemon.as('viewer');
      for await (const chunk of api.serverStream(getJobLogs, { uuid, position })) {
        assert.equal(chunk.position, position, 'a reader gets what follows what it has');
        assert.equal(chunk.gapReason, '');
        const text = Buffer.from(chunk.payload).toString();
        texts.set(chunk.stream, (texts.get(chunk.stream) ?? '') + text);
        position += BigInt(chunk.payload.length);
      }
      break;
    } catch (error) {
      // The daemon went away; what was read so far is read.
      if (error instanceof assert.AssertionError) throw error;
    }
  }
  const all = Array.from({ length: LINES }, (_, at) => at + 1);
  assert.deepEqual(
    linesOf(texts.get('stdout') ?? ''),
    all.filter((number) => number % 2 === 0),
  );
  assert.deepEqual(
    linesOf(texts.get('stderr') ?? ''),
    all.filter((number) => number % 2 === 1),
  );
}

async function replaceDaemon(): Promise<void> {
  isUp = Promise.withResolvers();
  await (randomInt(2) === 0 ? daemon.kill() : daemon.end());
  await daemon.restart();
  isUp.resolve();
}

test('every reader of many jobs gets every line once, through rotation, sealing and restarts', {
  skip,
}, async () => {
  const uuids: string[] = [];
  const readers: Promise<void>[] = [];
  /** Readers that come when so many jobs have been started. */
  const later = new Map<number, string[]>();
  const arrive = (count: number) => {
    for (const uuid of later.get(count) ?? []) readers.push(follow(uuid));
    later.delete(count);
  };
  while (uuids.length < JOBS) {
    const batch = Math.min(AT_ONCE, JOBS - uuids.length);
    const started = await Promise.all(
      Array.from({ length: batch }, () => daemon.as('admin').unary(runJob, shell(SCRIPT))),
    );
    for (const { jobUuid } of started) {
      for (let left = randomInt(1, READERS + 1); left > 0; left -= 1) {
        const at = uuids.length + 1 + randomInt(AT_ONCE * 2);
        later.set(at, [...(later.get(at) ?? []), jobUuid]);
      }
      uuids.push(jobUuid);
      arrive(uuids.length);
      if (uuids.length % LIFE_JOBS === 0) await replaceDaemon();
    }
  }
  for (const count of [...later.keys()]) arrive(count);
  await Promise.all(readers);
  for (const uuid of uuids) {
    assert.equal((await ended(daemon.as('admin'), uuid)).job.exitCode, 0);
    await follow(uuid);
  }
  const files = uuids.flatMap((uuid) => readdirSync(path.join(daemon.directory, 'logs', uuid)));
  assert.ok(files.some((name) => name.endsWith('.zst')));
});
