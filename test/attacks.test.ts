// Hostile jobs. Each takes all it can get of one thing; meanwhile the daemon answers every call, an
// ordinary job gets what it needs, and a third one ticks on without missing a tick. How fast the
// answers come is measured by the bench (bench/trials/attack.ts), not here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import {
  deleteAllJobs,
  getJobLogs,
  getJobStatus,
  getServerVersion,
  queryJobs,
  stopJob,
} from '../src/client/methods.ts';
import { type Attack, attacks, ORDINARY } from './attacks.ts';
import { idleBytes, shrunkTo } from './daemon-memory.ts';
import { cannotRun, type Settings, startDaemon } from './harness.ts';
import { ended, finish, output, python, start, statusOf } from './job-calls.ts';

const skip = cannotRun();
const MB = 1 << 20;

/** Calls that the daemon has to answer while an attack goes on. */
const CALLS = 51;

/** What the daemon may have grown by when all attacks are over: heap that is not collected yet. */
const MEMORY_SLACK_BYTES = 32 * MB;
/** Network namespaces that the launcher keeps, as in load.test.ts. */
const POOL_DESCRIPTORS = 2 * 64;

const QUOTA_BYTES = 4 * MB;

const worlds: readonly { readonly name: string; readonly settings: Settings }[] = [
  { name: 'default limits', settings: { logs: { quotaBytes: QUOTA_BYTES } } },
  {
    name: 'tight limits',
    settings: {
      joblet: { defaultCpuLimit: 50, defaultMemoryLimit: 48, defaultProcessLimit: 64 },
      logs: { quotaBytes: 64 * 1024, segmentBytes: 64 * 1024 },
      filesystem: { tmpBytes: MB, shmBytes: MB },
    },
  },
];

/** Prints one number after the other for as long as it runs. */
const TICKER = python(`
import itertools, time
for tick in itertools.count():
    print(tick, flush=True)
    time.sleep(0.02)
`);

class Ticker {
  readonly uuid: string;
  readonly #chunks: AsyncIterator<{ readonly payload: Uint8Array }>;

  constructor(api: Connection, uuid: string) {
    this.uuid = uuid;
    this.#chunks = api.serverStream(getJobLogs, { uuid })[Symbol.asyncIterator]();
  }

  /** Resolves when it has ticked again. */
  async ticked(): Promise<void> {
    const { done } = await this.#chunks.next();
    assert.equal(done ?? false, false, 'the ticking job has ended');
  }
}

/** Calls the daemon in every way that reads; answers how many calls were answered. */
async function probe(api: Connection, uuid: string): Promise<number> {
  let answered = 0;
  for (; answered < CALLS; answered += 3) {
    await api.unary(getServerVersion, {});
    await api.unary(getJobStatus, { uuid });
    await api.unary(queryJobs, { limit: 10 });
  }
  return answered;
}

/** Whether an attack holds what it took. One that has little memory may have been killed for it. */
async function holds(api: Connection, uuid: string): Promise<boolean> {
  for await (const { payload } of api.serverStream(getJobLogs, { uuid })) {
    if (Buffer.from(payload).includes('held')) return true;
  }
  return false;
}

async function attack(api: Connection, { request, dies }: Attack, ticker: Ticker): Promise<void> {
  const uuid = await start(api, request);
  const isHeld = dies !== true && (await holds(api, uuid));
  await ticker.ticked();
  const [answered, ordinary] = await Promise.all([probe(api, uuid), finish(api, ORDINARY)]);
  assert.equal(answered, CALLS);
  assert.equal(ordinary.stdout, 'all there\n', ordinary.stderr);
  await ticker.ticked();
  if (!isHeld) {
    const { job, stderr } = await ended(api, uuid);
    assert.equal(job.reason, 'OOM_KILLED', stderr);
    return;
  }
  const { status, message } = await statusOf(api, uuid);
  assert.equal(status, 'RUNNING', message);
  assert.equal((await api.unary(stopJob, { uuid })).status, 'STOPPED');
  const log = await output(api, { uuid, streams: ['stdout'], tailLines: 1 });
  assert.ok(!log.includes('given'), 'real-time was given');
}

for (const { name, settings } of worlds) {
  test(`hostile jobs harm nobody else, with ${name} (S2-33)`, { skip }, async (t) => {
    const daemon = await startDaemon(settings);
    t.after(() => daemon.stop());
    const api = daemon.as('admin');
    // What the first jobs leave behind on purpose: pools, caches, code that has been compiled.
    await Promise.all(Array.from({ length: 20 }, () => finish(api, ORDINARY)));
    await api.unary(deleteAllJobs, {});
    const { descriptors: descriptorsBefore, ...leftBefore } = daemon.snapshot();
    const memoryBefore = await idleBytes(daemon);
    const ticker = new Ticker(api, await start(api, TICKER));

    for (const each of attacks) {
      await t.test(each.name, () => attack(api, each, ticker));
    }

    await t.test('the ticking job missed no tick', async () => {
      await api.unary(stopJob, { uuid: ticker.uuid, force: true });
      const lines = (await output(api, { uuid: ticker.uuid })).toString().trimEnd().split('\n');
      lines.forEach((line, at) => {
        assert.equal(line, String(at));
      });
    });

    await t.test('nothing of them is left, on the host or in the daemon', async () => {
      await api.unary(deleteAllJobs, {});
      const { descriptors, ...left } = daemon.snapshot();
      assert.deepEqual(left, leftBefore);
      for (const [at, count] of descriptors.entries()) {
        const allowed = (descriptorsBefore[at] ?? 0) + (at === 0 ? 0 : POOL_DESCRIPTORS);
        assert.ok(count <= allowed, `process ${at} holds ${count} descriptors, ${allowed} allowed`);
      }
      await shrunkTo(daemon, memoryBefore + MEMORY_SLACK_BYTES);
    });
  });
}
