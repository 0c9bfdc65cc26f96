// The daemon is replaced by a newer build while jobs run: they do not notice, and nobody who waits for
// them loses anything.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { cancelJob, getJobLogs, sendJobInput, stopJob } from '../src/client/methods.ts';
import { JobletError } from '../src/shared/errors.ts';
import { ROOT } from '../tools/steps.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { ended, output, printed, shell, start, statusOf } from './job-calls.ts';

const skip = cannotRun();

/** Output of a job until a reader was cut off, and where to go on. */
interface Part {
  bytes: Buffer;
  position: bigint;
}

/** The sources of this build, and one migration more. Answers the path of its main. */
function makeNewerBuild(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-newer-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const part of ['src', 'native/build', 'package.json']) {
    cpSync(path.join(ROOT, part), path.join(directory, part), { recursive: true });
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'));
  writeFileSync(
    path.join(directory, 'src/daemon/store/migrations/9999-colours.sql'),
    "ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';",
  );
  return path.join(directory, 'src/daemon/main.ts');
}

/** Follows a job from a position until it ends, or the daemon does. */
async function follow(api: Connection, uuid: string, part: Part): Promise<void> {
  const pieces = [part.bytes];
  try {
    for await (const chunk of api.serverStream(getJobLogs, { uuid, position: part.position })) {
      assert.equal(chunk.position, part.position, 'no gap and nothing twice');
      pieces.push(Buffer.from(chunk.payload));
      part.position += BigInt(chunk.payload.length);
    }
  } catch (error) {
    if (!(error instanceof JobletError) || error.kind !== 'unavailable') throw error;
  } finally {
    part.bytes = Buffer.concat(pieces);
  }
}

const COUNT = 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.01; done;';
const counted = Array.from({ length: 400 }, (_, at) => `line ${at + 1}\n`).join('');
const FIVE = [1, 2, 3, 4, 5];

test('twenty jobs run on while the daemon is replaced by a newer build', { skip }, async (t) => {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const old = daemon.as('admin');
  const five = (script: (code: number) => string, more: JobRequest = {}) =>
    Promise.all(FIVE.map((code) => start(old, shell(script(code), more))));

  const ending = await five((code) => `echo ready; sleep 1; echo late; exit ${code}`);
  const counting = await five((code) => `${COUNT} exit 1${code}`);
  const patient = await five((code) => `echo ready; read line; echo on; exit 2${code}`, {
    stdin: true,
  });
  const late = await five((code) => `echo ready ${code}; sleep 600`, { timeoutMs: 1500n });
  const due = await start(old, {
    ...shell('echo once'),
    schedule: new Date(Date.now() + 900).toISOString(),
  });
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  const later = await start(old, { command: '/bin/true', schedule: inAnHour });
  for (const uuid of [...patient, ...late]) await printed(old, uuid, 'ready');
  const parts = counting.map((): Part => ({ bytes: Buffer.alloc(0), position: 0n }));
  const followers = counting.map((uuid, at) => follow(old, uuid, parts[at] as Part));
  const startOf = async (uuid: string) => (await statusOf(old, uuid)).startTime;
  const starts = new Map(
    await Promise.all(
      [...ending, ...patient, ...late].map(async (uuid) => [uuid, await startOf(uuid)] as const),
    ),
  );

  await daemon.kill();
  await Promise.all(followers);
  for (const uuid of [...ending, ...late]) await daemon.jobEnded(uuid);
  const upAtMs = Date.now();
  await daemon.restart(makeNewerBuild(t));
  const api = daemon.as('admin');

  await t.test('those that ended meanwhile have their codes, times and output', async () => {
    for (const [at, uuid] of ending.entries()) {
      const { job, stdout } = await ended(api, uuid);
      assert.deepEqual([job.reason, job.exitCode, stdout], ['EXITED', at + 1, 'ready\nlate\n']);
      assert.equal(job.startTime, starts.get(uuid));
      assert.ok(
        Date.parse(job.endTime) <= upAtMs,
        'the time is that of the end, not of our return',
      );
    }
  });

  await t.test('timeouts were kept', async () => {
    for (const uuid of late) {
      const { job } = await ended(api, uuid);
      assert.deepEqual([job.reason, job.exitCode], ['TIMEOUT', 124]);
      assert.equal(job.startTime, starts.get(uuid));
      assert.ok(Date.parse(job.endTime) <= upAtMs, 'no daemon was needed for it');
    }
  });

  await t.test('those that run go on, and hear what is said to them', async () => {
    for (const [at, uuid] of patient.entries()) {
      assert.equal((await statusOf(api, uuid)).status, 'RUNNING');
      await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n'), end: true }]);
      const { job, stdout } = await ended(api, uuid);
      assert.deepEqual([job.exitCode, stdout], [21 + at, 'ready\non\n']);
      assert.equal(job.startTime, starts.get(uuid));
    }
  });

  await t.test(
    'readers go on where they were cut off, without a gap and nothing twice',
    async () => {
      await Promise.all(counting.map((uuid, at) => follow(api, uuid, parts[at] as Part)));
      for (const [at, uuid] of counting.entries()) {
        assert.equal(parts[at]?.bytes.toString(), counted);
        assert.equal((await ended(api, uuid)).job.exitCode, 11 + at);
      }
    },
  );

  await t.test('schedules hold: what was due ran once, the rest waits', async () => {
    const { job, stdout } = await ended(api, due);
    assert.deepEqual([job.status, stdout], ['COMPLETED', 'once\n']);
    assert.equal((await statusOf(api, later)).status, 'SCHEDULED');
    await api.unary(cancelJob, { uuid: later });
  });

  await t.test('the older build refuses what the newer one has written', async () => {
    const uuid = await start(api, shell('echo ready; sleep 600'));
    await printed(api, uuid, 'ready');
    await daemon.end();
    const { code, output: said } = await daemon.second();
    assert.equal(code, 1);
    assert.match(said, /written by a newer joblet/);
    await daemon.restart(makeNewerBuild(t));
    const stopped = await daemon.as('admin').unary(stopJob, { uuid });
    assert.equal(stopped.status, 'STOPPED');
    assert.equal((await output(daemon.as('admin'), { uuid })).toString(), 'ready\n');
  });
});
