import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import { parsePast, parseSchedule } from './schedule.ts';

const now = Date.UTC(2026, 10, 21, 12);
const hour = 3_600_000;

function aheadMs(text: string): number {
  return Date.parse(parseSchedule(text, now)) - now;
}

test('S0-36 a while is counted from now, in every unit', () => {
  assert.equal(aheadMs('1hour'), hour);
  assert.equal(aheadMs('2 hours'), 2 * hour);
  assert.equal(aheadMs('30min'), hour / 2);
  assert.equal(aheadMs('1h30m'), 1.5 * hour);
  assert.equal(aheadMs('1 h 30 m'), 1.5 * hour);
  assert.equal(aheadMs('90seconds'), 90_000);
  assert.equal(aheadMs('5sec'), 5000);
  assert.equal(aheadMs('1d'), 24 * hour);
  assert.equal(aheadMs('2minutes'), 120_000);
});

test('a time with a zone means that moment', () => {
  assert.equal(parseSchedule('2026-12-24T18:00:00Z', now), '2026-12-24T18:00:00.000Z');
  assert.equal(parseSchedule('2026-12-24T18:00:00+02:00', now), '2026-12-24T16:00:00.000Z');
  assert.equal(parseSchedule('2026-12-24 18:00 -0330', now), '2026-12-24T21:30:00.000Z');
  assert.equal(parseSchedule('2026-12-24T18:00:00.123456789Z', now), '2026-12-24T18:00:00.123Z');
});

test('a time that has passed is taken as it is', () => {
  assert.equal(parseSchedule('2020-01-01T00:00:00Z', now), '2020-01-01T00:00:00.000Z');
});

test('what is no time, too near or too far is refused with the way to write it', () => {
  for (const text of [
    '',
    'soon',
    '1',
    '1x',
    '0s',
    '-1h',
    '1hourx',
    'tomorrow',
    '12:00',
    '999999999h',
  ]) {
    assert.throws(
      () => parseSchedule(text, now),
      { kind: 'invalid', message: /^--schedule: / },
      text,
    );
  }
  assert.throws(() => parseSchedule('366d', now), /365 days/);
  assert.throws(() => parseSchedule('2026-02-30T00:00:00Z', now), /no time of any day/);
  assert.throws(() => parseSchedule('2026-12-24T24:00:00Z', now), /no time of any day/);
  assert.throws(() => parseSchedule('2026-12-24 18:60', now), /no time of any day/);
  for (const zone of ['+24:00', '-99:99', '+01:60']) {
    assert.throws(() => parseSchedule(`2026-12-24T18:00:00${zone}`, now), /is no time;/, zone);
  }
});

/** What a time means to a client in the given zone. Node looks at TZ again when it is assigned. */
function inZone(zone: string, text: string): string {
  const before = process.env['TZ'];
  process.env['TZ'] = zone;
  try {
    return parseSchedule(text, Date.UTC(2026, 0, 1));
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
}

test('a time without a zone is by the clock of the client, in winter and in summer', () => {
  assert.equal(inZone('Europe/Berlin', '2026-02-01 10:00'), '2026-02-01T09:00:00.000Z');
  assert.equal(inZone('Europe/Berlin', '2026-07-01T10:00:30'), '2026-07-01T08:00:30.000Z');
  assert.equal(inZone('America/St_Johns', '2026-02-01T10:00'), '2026-02-01T13:30:00.000Z');
});

test('an hour that the clocks leave out is refused, one they have twice is the first', () => {
  assert.throws(
    () => inZone('Europe/Berlin', '2026-03-29 02:30'),
    /does not exist in your time zone/,
  );
  assert.equal(inZone('Europe/Berlin', '2026-10-25 02:30'), '2026-10-25T00:30:00.000Z');
});

test('any text is a moment within a year from now, a past one, or refused', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[0-9]{1,4}[a-z]{1,3}[0-9]{0,3}[a-z]{0,3}$/),
    fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const at = Date.parse(parseSchedule(text, now));
        assert.ok(at <= now + 365 * 24 * hour);
      } catch (error) {
        assert.ok(error instanceof JobletError && error.kind === 'invalid');
      }
    }),
  );
});

test('a moment of the past is a while ago, a time, or the begin of a day', () => {
  assert.equal(parsePast('--since', '90min', now), new Date(now - 1.5 * hour).toISOString());
  assert.equal(parsePast('--since', '2026-11-20T10:00:00Z', now), '2026-11-20T10:00:00.000Z');
  assert.equal(
    Date.parse(parsePast('--since', '2026-11-20', now)),
    new Date(2026, 10, 20).getTime(),
  );
  assert.throws(
    () => parsePast('--since', '2026-13-20', now),
    /--since: .* is no time|does not exist/,
  );
});
