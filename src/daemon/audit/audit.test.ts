import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Log } from '../log.ts';
import { Db } from '../store/db.ts';
import { anchorFile } from './anchor.ts';
import { Audit, type AuditBounds } from './audit.ts';
import { actions, type Entry } from './record.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, change() {} };
const never = new AbortController().signal;

function entry(at: number, more: Partial<Entry> = {}): Entry {
  return { atMs: at, action: 'job.created', jobId: `job-${at}`, result: 'PENDING', ...more };
}

/** A state directory whose daemon comes and goes. */
class World {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'joblet-audit-'));
  readonly #bounds: AuditBounds;

  constructor(t: TestContext, bounds: Partial<AuditBounds> = {}) {
    this.#bounds = { maxRecords: 1_000_000, maxAgeMs: 0, ...bounds };
    t.after(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  async live<T>(body: (audit: Audit, db: Db) => Promise<T>): Promise<T> {
    const db = new Db(this.directory);
    const audit = new Audit(db, this.directory, this.#bounds, quiet);
    await audit.start('a test');
    try {
      return await body(audit, db);
    } finally {
      await audit.stop();
      db.close();
    }
  }

  /** Changes the table behind the daemon's back. */
  tamper(sql: string): void {
    const db = new Db(this.directory);
    db.prepare(sql).run();
    db.close();
  }

  damages(): Promise<string[]> {
    return this.live(async (audit) =>
      (await audit.verify(undefined, never)).damages.map(({ message }) => message),
    );
  }

  actions(): Promise<string[]> {
    return this.live(async (audit) =>
      (await audit.query({}, 0, 1000, never)).records.map(({ action }) => action).reverse(),
    );
  }
}

test('a daemon’s lives and what they record are one chain', async (t) => {
  const world = new World(t);
  await world.live((audit) => audit.record(entry(1)));
  assert.deepEqual(await world.actions(), [
    'daemon.start',
    'job.created',
    'daemon.stop',
    'daemon.start',
  ]);
  assert.deepEqual(await world.damages(), []);
});

test('what a transaction takes back takes its record along, and the chain goes on', async (t) => {
  const world = new World(t);
  await world.live(async (audit, db) => {
    const failed = db.write(() => {
      audit.append(entry(1));
      throw new Error('no');
    });
    await assert.rejects(failed, /no/);
    await audit.record(entry(2));
    const { records } = await audit.query({}, 0, 10, never);
    assert.deepEqual(
      records.map(({ sequence, jobId }) => [sequence, jobId]),
      [
        [2, 'job-2'],
        [1, ''],
      ],
    );
  });
  assert.deepEqual(await world.damages(), []);
});

test('a tail cut off while no daemon ran is recorded by the next one, which gives no number twice', async (t) => {
  const world = new World(t);
  await world.live((audit) => audit.record(entry(1)));
  world.tamper('DELETE FROM audit WHERE sequence > 1');
  assert.deepEqual(await world.damages(), [
    'record 2 and those up to 3 are missing: they were cut off before the log went on',
    'record 5 says: records 2 to 3 were gone when the daemon started; audit.anchor knew of them',
  ]);
});

test('a log written anew, or one without its anchor, is recorded by the next daemon', async (t) => {
  const world = new World(t);
  await world.live((audit) => audit.record(entry(1)));
  world.tamper(`UPDATE audit SET hash = '${'0'.repeat(64)}' WHERE sequence = 3`);
  assert.match(
    (await world.damages()).at(-1) ?? '',
    /^record 5 says: record 3 was not the one that audit.anchor/,
  );

  const other = new World(t);
  await other.live((audit) => audit.record(entry(1)));
  rmSync(anchorFile(other.directory));
  assert.match((await other.damages()).join(), /^record 5 says: audit.anchor was not there/);
  assert.ok(existsSync(anchorFile(other.directory)));
});

test('the oldest records go when there are too many, and what stays is sound', async (t) => {
  const world = new World(t, { maxRecords: 1000 });
  await world.live(async (audit, db) => {
    for (let at = 0; at < 50; at += 1) {
      await db.write(() => {
        for (let more = 0; more < 100; more += 1) audit.append(entry(at * 100 + more));
      });
    }
    // The record of the pruning that leaves too few for another.
    for await (const record of audit.read({ actions: ['audit.pruned'] }, 0, true, never)) {
      if (Number(record.detail.split(':')[0]) > 3900) break;
    }
    const { damageCount, records, first } = await audit.verify(undefined, never);
    assert.equal(damageCount, 0);
    assert.ok(records >= 1000 && records <= 1100 && first > 3900, `${records} from ${first}`);
  });
});

test('a reader that would miss records is told so, whether it comes too late or is too slow', async (t) => {
  const world = new World(t, { maxRecords: 1000 });
  await world.live(async (audit, db) => {
    const fill = () =>
      db.write(() => {
        for (let more = 0; more < 2000; more += 1) audit.append(entry(more));
      });
    await fill();
    // Holds the first batch while what comes behind it is taken away.
    const slow = audit.batches({}, 0, true, never);
    assert.equal((await slow.next()).value?.through, 500);
    await fill();
    for await (const { detail } of audit.read({ actions: ['audit.pruned'] }, 0, true, never)) {
      if (Number(detail.split(':')[0]) > 2900) break;
    }
    await assert.rejects(slow.next(), /what came behind 500 is not kept any more: the oldest/);
    const [late, early] = [
      audit.batches({}, 600, false, never),
      audit.batches({}, 9000, false, never),
    ];
    await assert.rejects(late.next(), /what came behind 600 is not kept any more/);
    await assert.rejects(early.next(), /there is no 9000 yet/);
    const oldest = await audit.batches({}, 0, false, never).next();
    assert.ok((oldest.value?.records[0]?.sequence ?? 0) > 2900);
  });
});

test('records go when they are too old', async (t) => {
  const world = new World(t, { maxAgeMs: 1000 });
  await world.live(async (audit, db) => {
    await db.write(() => {
      for (let at = 0; at < 150; at += 1) audit.append(entry(at));
    });
    await audit.record(entry(Date.now() + 60_000));
    for await (const { action } of audit.read({}, 0, true, never))
      if (action === 'audit.pruned') break;
    const { damageCount, records } = await audit.verify(undefined, never);
    assert.equal(damageCount, 0);
    assert.ok(records < 10, `${records}`);
  });
});

test('records are found by time, job, who, action and result, page by page', async (t) => {
  const world = new World(t);
  const ann = { name: 'ann', role: 'admin', certificate: '0A', peer: '::1:1' };
  await world.live(async (audit) => {
    for (let at = 1; at <= 9; at += 1) {
      await audit.record(
        entry(at, { result: at % 2 === 0 ? 'RUNNING' : 'PENDING', who: at > 7 ? ann : undefined }),
      );
    }
    const find = async (filter: Parameters<Audit['query']>[0]) =>
      (await audit.query(filter, 0, 100, never)).records.map(({ atMs }) => atMs);
    assert.deepEqual(await find({ sinceMs: 3, untilMs: 6 }), [5, 4, 3]);
    assert.deepEqual(await find({ jobId: 'job-4' }), [4]);
    assert.deepEqual(await find({ who: 'ann' }), [9, 8]);
    assert.deepEqual(await find({ who: 'ann', result: 'RUNNING' }), [8]);
    assert.equal((await find({ actions: ['daemon.start', 'daemon.stop'] })).length, 1);
    const page = await audit.query({ untilMs: 10 }, 0, 4, never);
    assert.deepEqual(
      page.records.map(({ atMs }) => atMs),
      [9, 8, 7, 6],
    );
    const next = await audit.query({ untilMs: 10 }, page.records.at(-1)?.sequence ?? 0, 4, never);
    assert.deepEqual(
      next.records.map(({ atMs }) => atMs),
      [5, 4, 3, 2],
    );
  });
});

test('a follower gets every record once and in order, those before it came and those after', async (t) => {
  const world = new World(t);
  await world.live(async (audit, db) => {
    const writing = (async () => {
      for (let at = 0; at < 300; at += 1) await audit.record(entry(at));
    })();
    const seen: number[] = [];
    for await (const { sequence } of audit.read({ actions: ['job.created'] }, 0, true, never)) {
      seen.push(sequence);
      if (seen.length === 300) break;
    }
    await writing;
    assert.deepEqual(
      seen,
      Array.from({ length: 300 }, (_, at) => (seen[0] ?? 0) + at),
    );
    await db.durable();
  });
});

test('a text that is no text is recorded as one, and bounded', async (t) => {
  const world = new World(t);
  await world.live((audit) =>
    audit.record(entry(1, { detail: `\ud800\0${'x'.repeat(100_000)}`, method: '\udfff' })),
  );
  assert.deepEqual(await world.damages(), []);
});

test('every action that is recorded is explained', () => {
  const guide = readFileSync(
    path.join(import.meta.dirname, '../../../docs/guide/audit.md'),
    'utf8',
  );
  assert.deepEqual(
    actions.filter((action) => !guide.includes(`\`${action}\``)),
    [],
  );
});

test('what becomes of a runtime is in the daemon’s log too, once it is recorded', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-audit-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const lines: string[] = [];
  const say = (message: string, fields = {}) =>
    lines.push(`${message} ${Object.values(fields).join()}`);
  const db = new Db(directory);
  const bounds = { maxRecords: 1_000_000, maxAgeMs: 0 };
  const audit = new Audit(db, directory, bounds, { ...quiet, info: say, warn: say });
  await audit.start('a test');
  lines.length = 0;
  const about = { action: 'runtime.installed', atMs: 1 } as const;
  await audit.record({ ...about, result: 'ok', detail: 'python@3.11' });
  await audit.record({ ...about, result: 'failed', detail: 'python@3.11: no' });
  await audit.record(entry(2));
  assert.deepEqual(lines, [
    'runtime installed python@3.11',
    'runtime installed: failed python@3.11: no',
  ]);
  await audit.stop();
  db.close();
});
