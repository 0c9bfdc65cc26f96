import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type { Rule } from '../alert-rules.ts';
import { Audit } from '../audit/audit.ts';
import type { Clock } from '../jobs/due.ts';
import type { Log } from '../log.ts';
import { Db } from '../store/db.ts';
import { Alerts } from './alerts.ts';
import { Outbox } from './outbox.ts';
import type { Reading } from './readings.ts';
import { AlertStore, HISTORY } from './store.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, change() {} };
const SECOND = 1000;

/** Time that passes when it is told to. */
class MovedClock implements Clock {
  nowMs = 1_800_000_000_000;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Goes to the next timer; answers how far that was. */
  next(): number {
    const [first] = this.#timers.toSorted((a, b) => a.atMs - b.atMs);
    assert.ok(first, 'nothing is due');
    const ms = Math.max(0, first.atMs - this.nowMs);
    this.nowMs += ms;
    this.#timers = this.#timers.filter((each) => each !== first);
    first.callback();
    return ms;
  }
}

/** A webhook, and what it was told. */
class Hook {
  readonly #server: Server;
  readonly told: string[] = [];
  /** What it answers. */
  status = 204;
  #calls = Promise.withResolvers<void>();

  constructor(server: Server) {
    this.#server = server;
    server.on('request', async (request, response) => {
      const { notices } = (await json(request)) as { notices: Record<string, string>[] };
      if (this.status < 300) {
        for (const { rule, state, subject } of notices)
          this.told.push(`${rule} ${state} ${subject}`);
      }
      response.writeHead(this.status).end();
      this.#calls.resolve();
    });
  }

  static async open(t: TestContext): Promise<Hook> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return new Hook(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** The next call from now on has been answered. */
  async called(): Promise<void> {
    await this.#calls.promise;
    this.#calls = Promise.withResolvers();
  }
}

/** A state directory whose daemon comes and goes, with a clock and readings of the test's. */
class World {
  readonly clock = new MovedClock();
  /** Of what is tried again. */
  readonly later = new MovedClock();
  readonly hook: Hook;
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'joblet-alerts-'));
  /** What is beyond its limit, by rule and subject. */
  beyond: readonly string[] = [];
  /** The first error that was said of alerts. */
  readonly error = Promise.withResolvers<object>();
  #looked = Promise.withResolvers<void>();
  #warned = Promise.withResolvers<void>();

  constructor(t: TestContext, hook: Hook) {
    this.hook = hook;
    t.after(() => rmSync(this.#directory, { recursive: true, force: true }));
  }

  async live<T>(
    rules: readonly Rule[],
    body: (alerts: Alerts, audit: Audit) => Promise<T>,
    target = 'ops',
  ): Promise<T> {
    const db = new Db(this.#directory);
    const bounds = { maxRecords: 1_000_000, maxAgeMs: 0 };
    const audit = new Audit(db, this.#directory, bounds, quiet);
    await audit.start('a test');
    const store = new AlertStore(db);
    const targets = [{ name: target, webhook: this.hook.url }];
    const { clock, later } = this;
    const say = () => this.#warned.resolve();
    const log = { ...quiet, warn: say, error: say };
    const look = async (all: readonly Rule[]) => all.flatMap((rule) => this.#readingsOf(rule));
    const alerts = new Alerts({
      db,
      audit,
      store,
      outbox: new Outbox({ db, store, targets, nodeId: 'n', clock: later, log }),
      readings: { look },
      rules,
      targets,
      intervalMs: 10 * SECOND,
      nameOf: (id) => id.replace(/\d+$/, ''),
      clock,
      log: { ...quiet, error: (message, fields) => this.error.resolve({ message, ...fields }) },
    });
    await alerts.start();
    try {
      return await body(alerts, audit);
    } finally {
      await alerts.stop();
      await audit.stop();
      db.close();
    }
  }

  /** An earlier daemon left so many alerts that are over and of which nobody has been told. */
  async leave(count: number): Promise<void> {
    const db = new Db(this.#directory);
    const store = new AlertStore(db);
    const over = { rule: 'failed', measure: 'job-failed', subject: '', jobId: '', reading: '' };
    await db.write(() => {
      for (let at = 0; at < count; at += 1) {
        const id = `left-${at}`;
        store.add({ ...over, id, firedAtMs: 1, resolvedAtMs: 0, resolution: '' });
        store.resolve({ ...over, id, firedAtMs: 1, resolvedAtMs: 2, resolution: '' });
        store.addNotice(id, 'fired', 'ops');
      }
    });
    db.close();
  }

  /** Passes the time to the next look, which has been dealt with then. */
  async look(): Promise<void> {
    this.#looked = Promise.withResolvers();
    this.clock.next();
    await this.#looked.promise;
    // What it found is written with this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Something has been warned of since this was last asked. */
  async warned(): Promise<void> {
    await this.#warned.promise;
    this.#warned = Promise.withResolvers();
    await new Promise((resolve) => setImmediate(resolve));
  }

  #readingsOf(rule: Rule): Reading[] {
    setImmediate(() => this.#looked.resolve());
    return ['a', 'b'].map((subject) => {
      const isBeyond = this.beyond.includes(`${rule.name} ${subject}`);
      return { rule, subject, jobId: '', isBeyond, text: `it is ${isBeyond}` };
    });
  }
}

const full: Rule = { name: 'full', when: 'disk', above: 90, for: 20 * SECOND, to: ['ops'] };
const failed: Rule = { name: 'failed', when: 'job-failed', jobs: undefined, to: ['ops'] };

test('what fires is told once, over restarts, and told again only when it is over', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  world.beyond = ['full a'];
  await world.live([full], async () => {
    await world.look();
    assert.deepEqual(hook.told, []);
    await world.look();
    await hook.called();
    await world.look();
  });
  await world.live([full], async (alerts) => {
    await world.look();
    assert.deepEqual(hook.told, ['full fired a']);
    const [{ alert, notices } = assert.fail()] = alerts.list(false, 10);
    assert.deepEqual([alert.subject, notices[0]?.status], ['a', 'SENT']);
    world.beyond = [];
    for (let looks = 0; looks < 3; looks += 1) await world.look();
    await hook.called();
    assert.deepEqual(hook.told, ['full fired a', 'full resolved a']);
    assert.deepEqual(alerts.list(false, 10), []);
    assert.equal(alerts.list(true, 10).length, 1);
  });
});

test('a target that does not answer is tried less and less often, and then given up', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  hook.status = 500;
  const now = { ...full, for: 0 };
  world.beyond = ['full a'];
  await world.live([now], async (alerts) => {
    // The alert itself is one.
    await world.warned();
    const waits: number[] = [];
    const notice = () => alerts.list(false, 1)[0]?.notices[0];
    while (notice()?.status === 'WAITING') {
      waits.push(world.later.next() / SECOND);
      await world.warned();
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
    assert.equal(notice()?.status, 'GIVEN_UP');
    assert.equal(notice()?.problem, 'the webhook answered 500');
  });
  // Nor does the next daemon.
  hook.status = 200;
  await world.live([now], () => world.look());
  assert.deepEqual(hook.told, []);
});

test('what piles up for a target that does not answer is bounded, and what is given up is said', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  hook.status = 500;
  await world.leave(HISTORY + 1);
  await world.live([failed], async (alerts, audit) => {
    await hook.called();
    await audit.record({
      atMs: 5,
      action: 'job.ended',
      jobId: '7',
      result: 'FAILED',
      detail: 'EXITED',
    });
    const why = 'more than 1000 alerts are over';
    const message = 'notices of alerts were given up';
    assert.deepEqual(await world.error.promise, { message, target: 'ops', count: 2, why });
    assert.equal(alerts.list(true, HISTORY + 10).length, HISTORY);
  });
});

test('a notice that could not be sent is sent by the next daemon', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  hook.status = 503;
  world.beyond = ['full b'];
  const now = { ...full, for: 0 };
  await world.live([now], () => hook.called());
  hook.status = 200;
  await world.live([now], () => hook.called());
  assert.deepEqual(hook.told, ['full fired b']);
});

test('what a target that is gone was to be told is given up', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  hook.status = 503;
  world.beyond = ['full b'];
  const now = { ...full, for: 0 };
  await world.live([now], () => hook.called());
  await world.live(
    [{ ...now, to: [] }],
    async (alerts) => {
      const [{ notices } = assert.fail()] = alerts.list(false, 1);
      const [{ status, problem } = assert.fail()] = notices;
      assert.deepEqual([status, problem], ['GIVEN_UP', 'it is no target any more']);
    },
    'others',
  );
});

test('an alert of a rule that is gone is over, and nobody is told', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  world.beyond = ['full a'];
  await world.live([{ ...full, for: 0 }], () => hook.called());
  await world.live([{ ...full, name: 'other' }], async (alerts) => {
    const [{ alert } = assert.fail()] = alerts.list(true, 10);
    assert.equal(alert.resolution, 'the rule is gone');
  });
  assert.deepEqual(hook.told, ['full fired a']);
});

test('a job that fails is told, by its name once until it completes, also over restarts', async (t) => {
  const hook = await Hook.open(t);
  const world = new World(t, hook);
  const end = (audit: Audit, jobId: string, result: string, detail = 'EXITED') =>
    audit.record({ atMs: 5, action: 'job.ended', jobId, result, detail });
  await world.live([failed], async (_alerts, audit) => {
    await end(audit, 'nightly1', 'FAILED');
    await hook.called();
    await end(audit, 'nightly2', 'STOPPED', 'TIMEOUT: too long');
    await end(audit, '33', 'FAILED');
    await hook.called();
  });
  assert.deepEqual(hook.told, ['failed fired nightly', 'failed fired 33']);
  // While nobody watched, as it is when jobs are found to have ended by the next daemon.
  await world.live([], (_alerts, audit) => end(audit, 'other1', 'FAILED'));
  await world.live([failed], async (alerts, audit) => {
    assert.equal(alerts.list(false, 10).length, 0);
    await end(audit, 'nightly3', 'FAILED');
    await hook.called();
    await end(audit, 'nightly4', 'COMPLETED');
    await hook.called();
    assert.equal(alerts.list(false, 10).length, 0);
  });
  assert.deepEqual(hook.told.slice(2), ['failed fired nightly', 'failed resolved nightly']);
});
