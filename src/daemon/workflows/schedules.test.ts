// Schedules with a moved clock, over a real database and workflows that are only said to run.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import type { Clock } from '../jobs/due.ts';
import type { Identity } from '../jobs/job.ts';
import type { Log } from '../log.ts';
import { restoreBackup, sealBackup } from '../store/backup.ts';
import { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import type { Schedule, TickRun } from './schedule.ts';
import { Schedules, type SchedulesParts } from './schedules.ts';
import type { CatchUp, Overlap } from './ticks.ts';
import type { Workflow, WorkflowPlan } from './workflow.ts';

const START = Date.parse('2026-01-01T00:00:30Z');
const MINUTE = 60_000;
const who: Identity = { name: 'somebody', role: 'developer', certificate: '', peer: '' };

/** A clock that a test moves. */
class MovedClock implements Clock {
  #now = START;
  readonly #timers = new Map<object, readonly [atMs: number, callback: () => void]>();

  now(): number {
    return this.#now;
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = {};
    this.#timers.set(timer, [atMs, callback]);
    return () => void this.#timers.delete(timer);
  }

  /** Lets time pass, with every timer at its moment. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const [timer, entry] =
        [...this.#timers]
          .filter(([, [atMs]]) => atMs <= end)
          .sort(([, a], [, b]) => a[0] - b[0])[0] ?? [];
      if (timer === undefined || entry === undefined) break;
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, entry[0]);
      entry[1]();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  /** Puts the clock to another time; no timer is at its moment then. */
  jump(ms: number): void {
    this.#now += ms;
  }
}

/** Everything that waits for the database has come by then. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) {
    await db.durable();
    await new Promise(setImmediate);
  }
}

/** Workflows that run until a test ends them. */
class SaidWorkflows {
  readonly started: string[] = [];
  readonly deleted: string[] = [];
  readonly #status = new Map<string, Workflow['status']>();
  #wake: (() => void)[] = [];

  readonly parts = {
    find: (id: string) => {
      const status = this.#status.get(id);
      return status === undefined ? undefined : ({ id, status } as Workflow);
    },
    runAs: async (id: string) => {
      assert.ok(!this.#status.has(id), 'a workflow was started twice');
      this.#status.set(id, 'RUNNING');
      this.started.push(id);
      return { id } as Workflow;
    },
    stop: async (id: string) => {
      this.end(id, 'STOPPED');
      return { id } as Workflow;
    },
    delete: async (id: string) => {
      assert.notEqual(this.#status.get(id), 'RUNNING');
      this.#status.delete(id);
      this.deleted.push(id);
      return { id } as Workflow;
    },
    changed: () => new Promise<void>((resolve) => void this.#wake.push(resolve)),
  } as unknown as SchedulesParts['workflows'];

  end(id: string, status: Workflow['status'] = 'COMPLETED'): void {
    this.#status.set(id, status);
    for (const wake of this.#wake.splice(0)) wake();
  }

  statusOf(id: string): string {
    return this.#status.get(id) ?? '';
  }
}

let directory: string;
let db: Db;
let clock: MovedClock;
let workflows: SaidWorkflows;
let schedules: Schedules;

function open(): void {
  schedules = new Schedules({
    db,
    audit: { append() {} },
    workflows: workflows.parts,
    files: { keep() {}, copy() {}, drop() {} } as unknown as WorkflowFiles,
    clock,
    log: { info() {}, warn() {}, error() {} } as unknown as Log,
  });
}

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'joblet-schedules-'));
  db = new Db(directory);
  clock = new MovedClock();
  workflows = new SaidWorkflows();
  open();
});

afterEach(() => {
  schedules.stop();
  db.close();
  rmSync(directory, { recursive: true });
});

function make(
  more: { overlap?: Overlap; catchUp?: CatchUp; jitterMs?: number; keep?: number } = {},
): Promise<Schedule> {
  const wish = {
    name: 'often',
    cron: '* * * * *',
    timeZone: 'UTC',
    overlap: 'forbid' as const,
    catchUp: 'one' as const,
    jitterMs: 0,
    keep: 100,
    what: 'x',
    plan: {} as WorkflowPlan,
    ...more,
  };
  return schedules.create(wish, { uploads: [], uploadId: '' }, who);
}

const history = (): TickRun[] => schedules.historyOf(schedules.get('often')).toReversed();
const states = (): string[] => history().map(({ state }) => state);

test('every tick is run once, and the next ones are known', async () => {
  const schedule = await make();
  assert.deepEqual(
    schedules.nextOf(schedule, 3).map((at) => new Date(at).toISOString()),
    ['2026-01-01T00:01:00.000Z', '2026-01-01T00:02:00.000Z', '2026-01-01T00:03:00.000Z'],
  );
  for (let at = 0; at < 3; at += 1) {
    await clock.pass(MINUTE);
    workflows.end(workflows.started.at(-1) ?? '');
  }
  assert.equal(workflows.started.length, 3);
  assert.deepEqual(states(), ['STARTED', 'STARTED', 'STARTED']);
});

test('forbid: a tick is skipped while the run before it is not over', async () => {
  await make({ overlap: 'forbid' });
  await clock.pass(2 * MINUTE);
  assert.deepEqual(states(), ['STARTED', 'SKIPPED']);
  workflows.end(workflows.started[0] ?? '');
  await clock.pass(MINUTE);
  assert.deepEqual(states(), ['STARTED', 'SKIPPED', 'STARTED']);
});

test('queue: a tick waits for the run before it, and then runs', async () => {
  await make({ overlap: 'queue' });
  await clock.pass(3 * MINUTE);
  assert.deepEqual(states(), ['STARTED', 'WAITING', 'WAITING']);
  workflows.end(workflows.started[0] ?? '');
  await settled();
  assert.deepEqual(states(), ['STARTED', 'STARTED', 'WAITING']);
  workflows.end(workflows.started[1] ?? '');
  await settled();
  assert.deepEqual(states(), ['STARTED', 'STARTED', 'STARTED']);
});

test('queue: only so many wait', async () => {
  await make({ overlap: 'queue' });
  await clock.pass(14 * MINUTE);
  assert.equal(states().filter((state) => state === 'WAITING').length, 10);
  assert.equal(states().filter((state) => state === 'SKIPPED').length, 3);
});

test('replace: the run before it is stopped', async () => {
  await make({ overlap: 'replace' });
  await clock.pass(2 * MINUTE);
  const [first = '', second = ''] = workflows.started;
  assert.deepEqual([workflows.statusOf(first), workflows.statusOf(second)], ['STOPPED', 'RUNNING']);
});

test('allow: runs go on side by side', async () => {
  await make({ overlap: 'allow' });
  await clock.pass(3 * MINUTE);
  assert.deepEqual(
    workflows.started.map((id) => workflows.statusOf(id)),
    ['RUNNING', 'RUNNING', 'RUNNING'],
  );
});

for (const [catchUp, runs] of [
  ['none', 0],
  ['one', 1],
  ['all', 3],
] as const) {
  test(`of three ticks that a daemon was down over, ${catchUp} is caught up`, async () => {
    await make({ overlap: 'allow', catchUp });
    await clock.pass(MINUTE);
    schedules.stop();
    // At 00:05:15: those of 2, 3 and 4 minutes were missed, and the one of 5 is hardly late.
    clock.jump(3 * MINUTE + 45_000);
    open();
    await schedules.recover();
    await settled();
    assert.equal(workflows.started.length, 1 + runs + 1);
    await clock.pass(MINUTE);
    assert.equal(new Set(history().map(({ tickMs }) => tickMs)).size, 1 + runs + 2);
  });
}

for (const [overlap, wanted] of [
  ['forbid', ['STARTED', 'STARTED', 'SKIPPED', 'SKIPPED', 'SKIPPED']],
  ['queue', ['STARTED', 'STARTED', 'WAITING', 'WAITING', 'WAITING']],
] as const) {
  test(`all ticks that were missed are caught up one behind the other: ${overlap}`, async () => {
    await make({ overlap, catchUp: 'all' });
    await clock.pass(MINUTE);
    schedules.stop();
    workflows.end(workflows.started[0] ?? '');
    clock.jump(3 * MINUTE + 45_000);
    open();
    await schedules.recover();
    await settled();
    assert.deepEqual(states(), wanted);
    for (const count of [3, 4, 5]) {
      workflows.end(workflows.started.at(-1) ?? '');
      await settled();
      assert.equal(workflows.started.length, overlap === 'queue' ? count : 2);
    }
  });
}

test('so many runs are kept as the schedule says, and what is not over is kept until it is', async () => {
  await make({ overlap: 'allow', keep: 2 });
  await clock.pass(MINUTE);
  const [first = ''] = workflows.started;
  for (let tick = 0; tick < 3; tick += 1) {
    await clock.pass(MINUTE);
    workflows.end(workflows.started.at(-1) ?? '');
  }
  assert.deepEqual(workflows.deleted, [workflows.started[1]]);
  assert.equal(history().length, 3);
  workflows.end(first);
  await clock.pass(MINUTE);
  assert.deepEqual(new Set(workflows.deleted), new Set(workflows.started.slice(0, 3)));
  assert.equal(history().length, 2);
});

test('of a restored state nothing is caught up, and the next tick is one that is to come', async () => {
  await make({ overlap: 'queue', catchUp: 'all' });
  await clock.pass(2 * MINUTE);
  assert.deepEqual(states(), ['STARTED', 'WAITING']);
  schedules.stop();
  db.close();
  const backup = path.join(directory, 'a.backup');
  copyFileSync(path.join(directory, 'joblet.db'), `${backup}.copy`);
  sealBackup(`${backup}.copy`, backup);
  restoreBackup(backup, directory, true);
  workflows.end(workflows.started[0] ?? '');
  db = new Db(directory);
  clock.jump(10 * MINUTE);
  open();
  await schedules.recover();
  await settled();
  assert.deepEqual(states(), ['STARTED', 'SKIPPED']);
  assert.equal(workflows.started.length, 1);
  await clock.pass(MINUTE);
  assert.equal(workflows.started.length, 2);
});

test('a tick that was recorded when the daemon died is started by the next one, once', async () => {
  await make({ overlap: 'queue' });
  await clock.pass(2 * MINUTE);
  assert.deepEqual(states(), ['STARTED', 'WAITING']);
  schedules.stop();
  workflows.end(workflows.started[0] ?? '');
  open();
  await schedules.recover();
  await settled();
  open();
  await schedules.recover();
  await settled();
  assert.equal(workflows.started.length, 2);
});

test('a clock that is put back starts nothing again', async () => {
  await make({ overlap: 'allow' });
  await clock.pass(2 * MINUTE);
  clock.jump(-10 * MINUTE);
  await clock.pass(5 * MINUTE);
  assert.equal(workflows.started.length, 2);
});

test('what is paused starts nothing, and goes on with the next tick', async () => {
  await make({ catchUp: 'all' });
  await schedules.pause('often', true, who);
  await clock.pass(5 * MINUTE);
  assert.deepEqual(workflows.started, []);
  await assert.rejects(schedules.pause('often', true, who), { kind: 'wrong-state' });
  await schedules.pause('often', false, who);
  await clock.pass(MINUTE);
  assert.equal(workflows.started.length, 1);
});

test('a start is put off within its jitter, and not lost by it', async () => {
  await make({ jitterMs: 20_000, overlap: 'allow' });
  await clock.pass(3 * MINUTE);
  assert.ok(workflows.started.length >= 2);
  await clock.pass(30_000);
  assert.equal(workflows.started.length, 3);
});

test('a name is taken once, and free again when it is deleted', async () => {
  await make();
  await assert.rejects(make(), { kind: 'exists' });
  await schedules.delete('often', who);
  await clock.pass(5 * MINUTE);
  assert.deepEqual(workflows.started, []);
  assert.throws(() => schedules.get('often'), JobletError);
  await make();
});
