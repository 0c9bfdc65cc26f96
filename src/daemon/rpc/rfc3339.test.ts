import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rfc3339 } from './rfc3339.ts';

const DAY_MS = 86_400_000;

test('times are those of Date, in whatever order they come', () => {
  const year = Date.UTC(2028, 1, 29);
  const atTheEdges = [-2, -1, 0, 1, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, DAY_MS - 1];
  const days = [year, year + DAY_MS, Date.UTC(1999, 11, 31), Date.UTC(10_000, 0, 1), DAY_MS];
  for (const edge of atTheEdges) {
    for (const day of days) assert.equal(rfc3339(day + edge), new Date(day + edge).toISOString());
  }
});

test('a time that has not come is empty', () => {
  assert.equal(rfc3339(0), '');
});
