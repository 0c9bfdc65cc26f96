// When a job is to run: what the client understands, the daemon understands as the same moment.

import assert from 'node:assert/strict';
import { parseSchedule } from '../../../src/cli/schedule.ts';
import { parseRfc3339 } from '../../../src/daemon/rpc/job-spec.ts';
import { orRefused, target } from '../target.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const YEAR_MS = 365 * 86_400_000;
const DAY_MS = 86_400_000;

export default target({
  seeds: [
    '1hour',
    '1h30m',
    '2 days',
    '2026-12-24T18:00:00Z',
    '2026-12-24 18:00',
    '2026-12-24T18:00:00.123456789+02:00',
    '2026-12-24 18:00 -0330',
    '2026-02-29T00:00:00Z',
  ],
  words: ['Z', 'T', ':', '-', '+', 'h', 'min', 'sec', 'd', '.5', '2026-', '24:00', '60', '+14:00'],
  run(input) {
    const text = input.toString();
    const schedule = orRefused(() => parseSchedule(text, nowMs), 'invalid');
    if (schedule !== undefined) {
      const atMs = parseRfc3339(schedule);
      assert.ok(atMs !== undefined && atMs <= nowMs + YEAR_MS);
      assert.equal(new Date(atMs).toISOString(), schedule);
      // Wherever on earth the clock on the wall is, it is less than a day off.
      const wall = /^\s*(\d{4}-\d{2}-\d{2})/.exec(text)?.[1];
      if (wall !== undefined) assert.ok(Math.abs(atMs - Date.parse(wall)) < 2 * DAY_MS);
    }
    const atMs = parseRfc3339(text);
    if (atMs === undefined) return;
    assert.ok(Number.isSafeInteger(atMs));
    assert.equal(parseRfc3339(new Date(atMs).toISOString()), atMs);
  },
});
