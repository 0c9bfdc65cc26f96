// Ticks with a moved clock.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_CAUGHT_UP, spread, Ticks } from './ticks.ts';

const at = (text: string) => Date.parse(text);
const iso = (all: readonly number[]) => all.map((one) => new Date(one).toISOString().slice(0, 16));

const changes: readonly (readonly [
  what: string,
  cron: string,
  zone: string,
  from: string,
  ticks: readonly string[],
])[] = [
  [
    'an hour that does not exist runs when the clock goes on, once',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T00:00Z',
    ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
  ],
  [
    'an hour that comes twice runs the first time',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T00:00Z',
    ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
  ],
  [
    'every half hour goes on through both',
    '*/30 * * * *',
    'Europe/Berlin',
    '2026-10-25T00:00Z',
    ['2026-10-25T00:30', '2026-10-25T01:00', '2026-10-25T01:30', '2026-10-25T02:00'],
  ],
  [
    'spring',
    '30 2 * * *',
    'America/New_York',
    '2026-03-07T12:00Z',
    ['2026-03-08T07:00', '2026-03-09T06:30'],
  ],
  [
    'autumn',
    '30 1 * * *',
    'America/New_York',
    '2026-10-31T12:00Z',
    ['2026-11-01T05:30', '2026-11-02T06:30'],
  ],
  [
    'half an hour forward',
    '15 2 * * *',
    'Australia/Lord_Howe',
    '2026-10-03T00:00Z',
    ['2026-10-03T15:30', '2026-10-04T15:15'],
  ],
  [
    'half an hour back',
    '45 1 * * *',
    'Australia/Lord_Howe',
    '2026-04-03T20:00Z',
    ['2026-04-04T14:45', '2026-04-05T15:15'],
  ],
];

for (const [what, cron, zone, from, ticks] of changes) {
  test(`${zone}: ${what}`, () => {
    assert.deepEqual(iso(new Ticks(cron, zone).next(at(from), ticks.length)), ticks);
  });
}

const hourly = new Ticks('0 * * * *', 'UTC');
const next = at('2026-01-01T10:00Z');

test('a tick that is due runs, and only once', () => {
  const due = hourly.due(next, next + 5, 'none');
  assert.deepEqual(due, { run: [next], skipped: 0, nextMs: at('2026-01-01T11:00Z') });
  assert.deepEqual(hourly.due(due.nextMs, next + 5, 'none').run, []);
});

test('of three ticks that passed while the daemon was down as many run as are caught up', () => {
  const now = at('2026-01-01T12:30Z');
  assert.deepEqual(hourly.due(next, now, 'none'), {
    run: [],
    skipped: 3,
    nextMs: at('2026-01-01T13:00Z'),
  });
  assert.deepEqual(iso(hourly.due(next, now, 'one').run), ['2026-01-01T12:00']);
  assert.equal(hourly.due(next, now, 'one').skipped, 2);
  assert.deepEqual(iso(hourly.due(next, now, 'all').run), [
    '2026-01-01T10:00',
    '2026-01-01T11:00',
    '2026-01-01T12:00',
  ]);
});

test('a clock that is put back makes no tick come twice', () => {
  const { nextMs } = hourly.due(next, next, 'none');
  assert.deepEqual(hourly.due(nextMs, next - 3_600_000, 'all').run, []);
});

test('whenever it is looked, every tick is dealt with once, run or skipped', () => {
  const minutes = fc.integer({ min: 0, max: 400 });
  fc.assert(
    fc.property(
      fc.array(minutes, { maxLength: 8 }),
      fc.constantFrom('none' as const, 'one' as const, 'all' as const),
      (steps, catchUp) => {
        let now = next - 1;
        let ahead = next;
        let run = 0;
        let skipped = 0;
        for (const step of steps) {
          now += step * 60_000;
          const due = hourly.due(ahead, now, catchUp);
          for (const tick of due.run) assert.ok(tick >= ahead && tick <= now);
          run += due.run.length;
          skipped += due.skipped;
          ahead = due.nextMs;
          assert.ok(ahead > now);
        }
        assert.equal(run + skipped, Math.floor((now - next) / 3_600_000) + 1);
        if (catchUp === 'all') assert.equal(skipped, 0);
      },
    ),
  );
});

test('more ticks than are caught up are forgotten, the oldest first', () => {
  const due = new Ticks('* * * * *', 'UTC').due(next, next + 200 * 60_000, 'all');
  assert.equal(due.run.length, MAX_CAUGHT_UP);
  assert.equal(due.run.length + due.skipped, 201);
});

test('a year of seconds is looked at as soon', () => {
  const seconds = new Ticks('* * * * * *', 'UTC');
  const { nextMs, run } = seconds.due(next, next + 365 * 86_400_000, 'one');
  assert.equal(nextMs, next + 365 * 86_400_000 + 1000);
  assert.ok(run.length <= MAX_CAUGHT_UP);
});

test('the spread of a tick is within its bound, and the same each time', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(2 ** 40), fc.nat(3_600_000), (name, tick, jitter) => {
      const when = spread(name, tick, jitter);
      assert.ok(when >= tick && when <= tick + jitter);
      assert.equal(spread(name, tick, jitter), when);
    }),
  );
});

test('what is no expression and no zone is refused by its name', () => {
  for (const wrong of ['', '* * *', '61 * * * *', 'hourly', '*/0 * * * *', 'x'.repeat(300)]) {
    assert.throws(() => new Ticks(wrong, 'UTC'), { kind: 'invalid', about: 'cron' }, wrong);
  }
  for (const zone of ['', 'Mars/Base', '__proto__']) {
    assert.throws(
      () => new Ticks('* * * * *', zone),
      { kind: 'invalid', about: 'time_zone' },
      zone,
    );
  }
  assert.deepEqual(new Ticks('0 0 30 2 *', 'UTC').next(next, 5), []);
});
