// Stopping: valid in every state, whoever asks how often and whatever happens beside it. The end is
// one, it is true, and it says who asked.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest, JobStopped } from '../src/client/messages.ts';
import { queryJobs, runJob, sendJobInput, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, printed, python, shell, start, statusOf } from './job-calls.ts';
import { processesBelow } from './snapshot.ts';

const skip = cannotRun();

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip === false) daemon = await startDaemon({ joblet: { maxConcurrentJobs: 40 } });
});

beforeEach(() => {
  if (skip === false) api = daemon.as('admin');
});

after(async () => {
  await daemon?.stop();
});

const IDLE = { command: '/usr/bin/sleep', args: ['600'] } as const;

/** Says `term` when it is asked to end, and does not. */
const STUBBORN = shell('trap "echo term" TERM; echo ready; while :; do sleep 600 & wait $!; done');

function launcherPid(): number {
  const found = [...processesBelow(daemon.pid)].find(([, name]) => name === 'joblet-launch');
  assert.ok(found, 'the launcher runs');
  return found[0];
}

/** A stop that is answered with the final status and its reason and message. */
async function stop(uuid: string, more: { graceMs?: bigint; force?: boolean } = {}) {
  const { status, reason, message } = await api.unary(stopJob, { uuid, ...more });
  return { status, reason, message };
}

const stopped = { status: 'STOPPED', reason: 'STOPPED', message: 'stopped by test-admin' };
const withdrawn = {
  status: 'CANCELED',
  reason: 'CANCELED',
  message: 'stopped by test-admin before it ran',
};

// Each brings a job into a state and stops it there.
const states: Readonly<Record<string, () => Promise<void>>> = {
  async SCHEDULED() {
    const schedule = new Date(Date.now() + 3_600_000).toISOString();
    assert.deepEqual(await stop(await start(api, { ...IDLE, schedule })), withdrawn);
  },

  async PENDING() {
    const running = await Promise.all(Array.from({ length: 40 }, () => start(api, IDLE)));
    const waiting = await start(api, IDLE);
    assert.equal((await statusOf(api, waiting)).status, 'PENDING');
    assert.deepEqual(await stop(waiting), withdrawn);
    await Promise.all(running.map((uuid) => stop(uuid, { force: true })));
  },

  async INITIALIZING() {
    // A launcher that stands still keeps the job from starting.
    const pid = launcherPid();
    process.kill(pid, 'SIGSTOP');
    const begins = daemon.logged(/job INITIALIZING/);
    const answer = api.unary(runJob, IDLE);
    await begins;
    const { jobs } = await api.unary(queryJobs, { statuses: ['INITIALIZING'] });
    const uuid = jobs[0]?.uuid ?? '';
    const stopping = stop(uuid);
    // Answered behind the stop, so that the stop has been taken.
    assert.equal((await statusOf(api, uuid)).stoppedBy, 'test-admin');
    process.kill(pid, 'SIGCONT');
    assert.deepEqual(await stopping, stopped);
    assert.equal((await answer).jobUuid, uuid);
  },

  async RUNNING() {
    assert.deepEqual(await stop(await start(api, IDLE)), stopped);
  },

  async 'RUNNING, found again by a daemon that has just been started'() {
    const uuid = await start(api, IDLE);
    await daemon.kill();
    await daemon.restart();
    api = daemon.as('admin');
    assert.deepEqual(await stop(uuid), stopped);
  },

  async 'RUNNING, with a launcher that has died'() {
    const uuid = await start(api, IDLE);
    const noticed = daemon.logged(/the launcher died; starting another/);
    process.kill(launcherPid(), 'SIGKILL');
    await noticed;
    assert.deepEqual(await stop(uuid), stopped);
  },

  async 'RUNNING, fed by as many callers as may'() {
    const uuid = await start(api, shell('while read line; do echo $line; done', { stdin: true }));
    const open = Promise.withResolvers<void>();
    const says = { uuid, data: Buffer.from('x\n') };
    async function* sayAndStay() {
      yield says;
      await open.promise;
    }
    const callers = Array.from({ length: 4 }, () => api.clientStream(sendJobInput, sayAndStay()));
    const outcomes = Promise.allSettled(callers);
    await printed(api, uuid, 'x\n'.repeat(callers.length));
    await assert.rejects(
      api.clientStream(sendJobInput, [says]),
      /4 calls write to the standard input of job .* already/,
    );
    assert.deepEqual(await stop(uuid), stopped);
    open.resolve();
    await outcomes;
  },

  async 'being stopped already, with a long grace'() {
    const uuid = await start(api, STUBBORN);
    const first = stop(uuid, { graceMs: 600_000n });
    await printed(api, uuid, 'term');
    assert.equal((await statusOf(api, uuid)).stoppedBy, 'test-admin');
    // The second one has less patience, and both get the one end.
    const second = daemon.as('developer').unary(stopJob, { uuid, force: true });
    assert.deepEqual(await first, stopped);
    assert.equal((await second).message, stopped.message);
  },

  async 'being stopped while the daemon is killed'() {
    const uuid = await start(api, STUBBORN);
    const first = stop(uuid, { graceMs: 600_000n });
    first.catch(() => {});
    await printed(api, uuid, 'term');
    await daemon.kill();
    await daemon.restart();
    api = daemon.as('admin');
    assert.equal((await statusOf(api, uuid)).stoppedBy, 'test-admin');
    const end = await daemon.as('operator').unary(stopJob, { uuid, force: true });
    assert.equal(end.message, stopped.message);
  },

  async 'ended: an error that says so'() {
    const ends: readonly [JobRequest, string][] = [
      [{ command: '/bin/true' }, 'COMPLETED'],
      [{ command: '/bin/false' }, 'FAILED'],
      [{ command: '/not/there' }, 'FAILED'],
      [{ ...IDLE, timeoutMs: 1n }, '(STOPPED|FAILED)'],
    ];
    for (const [request, status] of ends) {
      const uuid = await start(api, request);
      await ended(api, uuid);
      const error = new RegExp(`job is not running: ${uuid} \\(current status: ${status}\\)`);
      await assert.rejects(stop(uuid), error);
    }
  },
};

for (const [state, check] of Object.entries(states)) {
  test(`a job can be stopped in any state: ${state} (S4-13, S4-31)`, { skip }, check);
}

test('a whole group of processes is asked to end, not only the command', { skip }, async () => {
  const child = 'trap "echo child; exit" TERM; echo ready; while :; do sleep 600 & wait $!; done';
  const uuid = await start(api, shell(`sh -c '${child}' & trap 'wait; exit' TERM; wait; wait`));
  await printed(api, uuid, 'ready');
  await stop(uuid, { graceMs: 60_000n });
  assert.equal((await ended(api, uuid)).stdout, 'ready\nchild\n');
});

test('many who stop one job at the same time get one end', { skip }, async () => {
  const uuid = await start(api, IDLE);
  const calls = Array.from({ length: 30 }, (_, at) =>
    at % 2 === 0 ? stop(uuid) : stop(uuid, { force: true }),
  );
  for (const answer of await Promise.all(calls)) assert.deepEqual(answer, stopped);
});

/** Ends that come at about the time of a stop, with all that may have come first. */
const races: Readonly<Record<string, { request: JobRequest; reasons: readonly string[] }>> = {
  'its own end': { request: shell('exit 7'), reasons: ['EXITED', 'STOPPED'] },
  'its timeout': {
    request: { ...IDLE, timeoutMs: 20n },
    reasons: ['TIMEOUT', 'STOPPED', 'NOT_STARTED'],
  },
  'its memory limit': {
    request: python('x = bytearray(64 << 20)', { maxMemory: 16 }),
    reasons: ['OOM_KILLED', 'STOPPED'],
  },
};

const ROUNDS = 12;

for (const [rival, { request, reasons }] of Object.entries(races)) {
  test(`a stop that races with ${rival} gives one end, the same for all`, { skip }, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const uuid = await start(api, request);
      // Each round the stop comes a little later.
      for (let call = 0; call < round; call += 1) await statusOf(api, uuid);
      const answer = await api.unary(stopJob, { uuid }).catch(String);
      const { job } = await ended(api, uuid);
      assert.ok(reasons.includes(job.reason), `${job.status} ${job.reason}: ${job.message}`);
      if (job.reason === 'EXITED') assert.equal(job.exitCode, 7);
      if (typeof answer === 'string') assert.match(answer, /job is not running/);
      else assert.deepEqual(endOf(answer), endOf(job));
      assert.deepEqual(endOf(await statusOf(api, uuid)), endOf(job));
    }
  });
}

function endOf(job: Pick<JobStopped, 'status' | 'reason' | 'message' | 'exitCode' | 'endTime'>) {
  const { status, reason, message, exitCode, endTime } = job;
  return { status, reason, message, exitCode, endTime };
}
