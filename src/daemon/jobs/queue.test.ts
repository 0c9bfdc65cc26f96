import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GpuPool } from '../gpus/pool.ts';
import { type Capacity, PRIORITY_LIMIT, Queue } from './queue.ts';

const HOUR_MS = 3_600_000;
const GB = 1024 ** 3;

const unbounded: Capacity = { places: 0, placesKey: 'places', cpuPercent: 0, memoryBytes: 0 };

interface Asked {
  readonly priority: number;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
}

const asked = (more: Partial<Asked> = {}): Asked => ({
  priority: 0,
  cpuPercent: 100,
  memoryBytes: GB,
  ...more,
});

/** Puts a job into the order at a time. */
function join(queue: Queue, id: string, atMs: number, { priority, ...limits }: Asked): void {
  queue.join({ id, priority, queuedAtMs: queue.timeOf(atMs), limits });
}

/** Starts all that there is room for. */
function startAll(queue: Queue): string[] {
  const started: string[] = [];
  for (let id = queue.next(); id !== undefined; id = queue.next()) started.push(id);
  return started;
}

test('jobs start by priority, then in the order in which they came', () => {
  const queue = new Queue({ ...unbounded, places: 1 });
  join(queue, 'first', 0, asked());
  assert.deepEqual(startAll(queue), ['first']);
  join(queue, 'second', 1, asked());
  join(queue, 'low', 1, asked({ priority: -1 }));
  join(queue, 'third', 1, asked());
  join(queue, 'urgent', 2, asked({ priority: 3 }));
  const order: string[] = [];
  for (let running = 'first'; running !== ''; ) {
    queue.leave(running);
    running = queue.next() ?? '';
    order.push(running);
  }
  assert.deepEqual(order, ['urgent', 'second', 'third', 'low', '']);
});

test('a step of priority is worth an hour of waiting and no more', () => {
  const queue = new Queue({ ...unbounded, places: 1 });
  join(queue, 'running', 0, asked());
  startAll(queue);
  join(queue, 'patient', 0, asked());
  join(queue, 'urgent', 2 * HOUR_MS - 1, asked({ priority: 2 }));
  join(queue, 'too late', 2 * HOUR_MS + 1, asked({ priority: 2 }));
  const aheadOf = (id: string) => queue.turnOf(id)?.ahead;
  assert.deepEqual(['urgent', 'patient', 'too late'].map(aheadOf), [0, 1, 2]);
});

test('a small job does not pass a big one that waits for room', () => {
  const queue = new Queue({ ...unbounded, memoryBytes: 4 * GB });
  join(queue, 'half', 0, asked({ memoryBytes: 2 * GB }));
  join(queue, 'big', 1, asked({ memoryBytes: 3 * GB }));
  join(queue, 'small', 2, asked());
  assert.deepEqual(startAll(queue), ['half']);
  assert.deepEqual(queue.turnOf('big'), {
    ahead: 0,
    why: 'it is next; the next one needs 3 GB of memory, and 2 GB of 4 GB are free (joblet.maxTotalMemory)',
  });
  assert.match(queue.turnOf('small')?.why ?? '', /^1 job is ahead; the next one needs 3 GB/);
  queue.leave('half');
  assert.deepEqual(startAll(queue), ['big', 'small']);
});

test('a job without a limit reserves everything, and so does one that asked for more than there is now', () => {
  const queue = new Queue({ ...unbounded, cpuPercent: 400, memoryBytes: 4 * GB });
  join(queue, 'unlimited', 0, asked({ memoryBytes: 0 }));
  join(queue, 'huge', 1, asked({ cpuPercent: 800 }));
  join(queue, 'small', 2, asked());
  assert.deepEqual(startAll(queue), ['unlimited']);
  queue.leave('unlimited');
  assert.deepEqual(startAll(queue), ['huge']);
  assert.match(queue.turnOf('small')?.why ?? '', /needs 100% of CPU, and 0% of 400% are free/);
});

test('a clock that is set back lets no job pass an earlier one', () => {
  const queue = new Queue({ ...unbounded, places: 1 });
  join(queue, 'running', 10 * HOUR_MS, asked());
  startAll(queue);
  join(queue, 'earlier', 10 * HOUR_MS, asked());
  join(queue, 'later', 2 * HOUR_MS, asked());
  assert.equal(queue.turnOf('later')?.ahead, 1);
});

// What may happen to a queue: a job comes, a running one ends, a waiting one is taken back, time goes by.
const happening = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('comes' as const),
      priority: fc.integer({ min: -PRIORITY_LIMIT, max: PRIORITY_LIMIT }),
      cpuPercent: fc.integer({ min: 0, max: 500 }),
      memoryBytes: fc.integer({ min: 0, max: 5 }).map((gb) => gb * GB),
    }),
  },
  fc.record({ what: fc.constant('ends' as const), which: fc.nat() }),
  fc.record({ what: fc.constant('leaves' as const), which: fc.nat() }),
  fc.record({ what: fc.constant('time' as const), ms: fc.nat({ max: 5 * HOUR_MS }) }),
);

const capacities = fc.record({
  places: fc.integer({ min: 0, max: 4 }),
  placesKey: fc.constant('places'),
  cpuPercent: fc.constantFrom(0, 100, 400),
  memoryBytes: fc.constantFrom(0, 1, 4).map((gb) => gb * GB),
});

interface Known extends Asked {
  readonly rankMs: number;
  readonly number: number;
}

test('whatever comes and goes, the limits hold, the order is kept, and every job gets its turn', () => {
  fc.assert(
    fc.property(capacities, fc.array(happening, { maxLength: 120 }), (capacity, happenings) => {
      const queue = new Queue(capacity);
      const waiting = new Map<string, Known>();
      const running = new Map<string, Known>();
      let nowMs = 1000 * HOUR_MS;
      let number = 0;

      const inOrder = () =>
        [...waiting].toSorted(([, a], [, b]) => a.rankMs - b.rankMs || a.number - b.number);
      const start = () => {
        for (const id of startAll(queue)) {
          // Only ever the first.
          assert.equal(id, inOrder()[0]?.[0]);
          running.set(id, waiting.get(id) as Known);
          waiting.delete(id);
          keepsLimits(capacity, [...running.values()]);
        }
        inOrder().forEach(([id], ahead) => {
          assert.equal(queue.turnOf(id)?.ahead, ahead);
        });
        assert.equal(queue.waitingCount, waiting.size);
        assert.equal(queue.runningCount, running.size);
        // Nothing waits for nothing.
        assert.ok(waiting.size === 0 || running.size > 0);
      };
      const end = (jobs: Map<string, Known>, which: number) => {
        const id = [...jobs.keys()][which % jobs.size];
        if (id === undefined) return;
        jobs.delete(id);
        queue.leave(id);
        queue.leave(id);
      };

      for (const each of happenings) {
        if (each.what === 'time') nowMs += each.ms;
        else if (each.what === 'ends') end(running, each.which);
        else if (each.what === 'leaves') end(waiting, each.which);
        else {
          const id = `job ${number}`;
          join(queue, id, nowMs, each);
          waiting.set(id, { ...each, rankMs: nowMs - each.priority * HOUR_MS, number });
          number += 1;
        }
        start();
      }
      // When nothing more comes, all that wait have run after as many ends.
      while (running.size > 0) {
        end(running, 0);
        start();
      }
      assert.equal(waiting.size, 0);
      assert.equal(queue.next(), undefined);
    }),
  );
});

test('jobs that want GPUs keep their order, and hold up those that want none only while they wait for something else', () => {
  const memory = 4 * GB;
  const coming = fc.record({
    what: fc.constant('comes' as const),
    priority: fc.integer({ min: -1, max: 1 }),
    count: fc.constantFrom(0, 0, 1, 2, 4),
    memoryBytes: fc.integer({ min: 1, max: 4 }).map((gb) => gb * GB),
  });
  const steps = fc.array(
    fc.oneof(coming, fc.record({ what: fc.constant('ends' as const), which: fc.nat() })),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const pool = new GpuPool(fourGpus, 'first-fit');
      const queue = new Queue({ ...unbounded, memoryBytes: memory }, pool);
      const order: { id: string; rank: number; count: number; bytes: number }[] = [];
      const running = new Map<string, { count: number; bytes: number }>();
      const free = () =>
        [...running.values()].reduce(
          (left, { count, bytes }) => ({ gpus: left.gpus - count, bytes: left.bytes - bytes }),
          { gpus: fourGpus.length, bytes: memory },
        );
      const expected = () => {
        const { gpus } = free();
        const wanting = order.filter(({ count }) => count > 0);
        const isShort = (wanting[0]?.count ?? 0) > gpus;
        const first = order.find(({ count }) => count === 0 || !isShort);
        return first !== undefined && first.bytes <= free().bytes ? first : undefined;
      };
      const start = () => {
        for (let next = expected(); ; next = expected()) {
          assert.equal(queue.next(), next?.id);
          if (next === undefined) return;
          order.splice(order.indexOf(next), 1);
          running.set(next.id, next);
          assert.equal(pool.of(next.id).length, next.count);
          const given = [...running.keys()].flatMap((id) => pool.of(id));
          assert.equal(new Set(given.map(({ uuid }) => uuid)).size, given.length);
        }
      };
      const end = (which: number) => {
        const id = [...running.keys()][which % running.size];
        if (id === undefined) return;
        running.delete(id);
        queue.leave(id);
        assert.deepEqual(pool.of(id), []);
      };
      for (const [at, step] of all.entries()) {
        if (step.what === 'ends') {
          end(step.which);
        } else {
          const { count, memoryBytes, priority } = step;
          const gpus = count === 0 ? undefined : { count, memoryBytes: 0 };
          const entry = {
            id: `job ${at}`,
            rank: at - priority * HOUR_MS,
            count,
            bytes: memoryBytes,
          };
          queue.join({
            id: entry.id,
            priority,
            queuedAtMs: at,
            limits: asked({ memoryBytes, cpuPercent: 0 }),
            gpus,
          });
          const place = order.findIndex(({ rank }) => rank > entry.rank);
          order.splice(place < 0 ? order.length : place, 0, entry);
        }
        start();
        assert.ok(order.length === 0 || running.size > 0);
      }
      while (running.size > 0) {
        end(0);
        start();
      }
      assert.equal(order.length, 0);
    }),
  );
});

const fourGpus = [0, 1, 2, 3].map((index) => ({
  index,
  uuid: `GPU-${index}`,
  memoryBytes: GB,
  group: 0,
}));

test('a job whose GPUs are not there any more gets its turn, and holds nobody up', () => {
  const queue = new Queue(unbounded, new GpuPool(fourGpus, 'first-fit'));
  const limits = asked();
  queue.join({
    id: 'nine',
    priority: 0,
    queuedAtMs: 0,
    limits,
    gpus: { count: 9, memoryBytes: 0 },
  });
  queue.join({ id: 'one', priority: 0, queuedAtMs: 1, limits, gpus: { count: 1, memoryBytes: 0 } });
  assert.deepEqual(startAll(queue), ['nine', 'one']);
});

function keepsLimits(capacity: Capacity, running: readonly Known[]): void {
  const { places, cpuPercent, memoryBytes } = capacity;
  if (places > 0) assert.ok(running.length <= places);
  // One that reserves everything is alone; all others fit as they are.
  const whole = (asks: number, all: number) => asks === 0 || asks >= all;
  const fits = (all: number, asks: readonly number[]) =>
    all === 0 ||
    (asks.some((each) => whole(each, all))
      ? asks.length === 1
      : asks.reduce((total, each) => total + each, 0) <= all);
  assert.ok(
    fits(
      cpuPercent,
      running.map((each) => each.cpuPercent),
    ),
  );
  assert.ok(
    fits(
      memoryBytes,
      running.map((each) => each.memoryBytes),
    ),
  );
}

test('jobs that come for ever do not keep one from its turn for longer than its priority says', () => {
  const queue = new Queue({ ...unbounded, places: 1 });
  join(queue, 'running', 0, asked());
  let running = startAll(queue)[0] ?? '';
  join(queue, 'least', 0, asked({ priority: -PRIORITY_LIMIT }));
  // One urgent job comes every minute and each runs for a minute.
  let minutes = 0;
  while (running !== 'least') {
    minutes += 1;
    join(queue, `urgent ${minutes}`, minutes * 60_000, asked({ priority: PRIORITY_LIMIT }));
    queue.leave(running);
    running = queue.next() ?? '';
  }
  assert.equal(minutes, 2 * PRIORITY_LIMIT * 60);
});
