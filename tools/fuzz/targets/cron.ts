// When a schedule is due: a cron expression, and on the next line a time zone. It is refused, or its
// ticks follow each other and are counted whatever was missed.

import assert from 'node:assert/strict';
import { catchUps, MAX_CAUGHT_UP, Ticks } from '../../../src/daemon/workflows/ticks.ts';
import { orRefused, target } from '../target.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const MONTH_MS = 30 * 86_400_000;

export default target({
  seeds: [
    '30 2 * * 1-5\nEurope/Berlin',
    '* * * * *\nUTC',
    '*/5 * * * * *\nUTC',
    '0 0 31 2 *\nUTC',
    '0 0 29 2 *\nAsia/Kolkata',
    '@yearly\nUTC',
    '0 2 * * 7L\nAmerica/New_York',
    '0 0 L * *\nUTC',
  ],
  words: ['*', '*/', '-', ',', 'L', 'W', '#', '@daily', 'MON', 'JAN', '\nUTC', '59', '?', ' '],
  maxBytes: 300,
  run(input) {
    const [expression = '', zone = 'UTC'] = input.toString().split('\n');
    const ticks = orRefused(() => new Ticks(expression, zone), 'invalid');
    if (ticks === undefined) return;
    const next = ticks.next(nowMs, 3);
    assert.ok(next.every((at, index) => at > (next[index - 1] ?? nowMs)));
    const first = ticks.after(nowMs - MONTH_MS);
    const catchUp = catchUps[input.length % catchUps.length] ?? 'none';
    const { run, skipped, nextMs } = ticks.due(first, nowMs, catchUp);
    assert.ok(run.length <= MAX_CAUGHT_UP && skipped >= 0);
    assert.ok(run.every((at) => at <= nowMs) && (nextMs === 0 || nextMs > nowMs));
  },
});
