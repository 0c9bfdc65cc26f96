import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { spreadOf } from './spread.ts';

test('a spread is in order and made of the samples themselves', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
      (samples) => {
        const { min, p10, p50, p90, p99 } = spreadOf(samples);
        const points = [min, p10, p50, p90, p99];
        assert.equal(min, samples.toSorted((a, b) => a - b)[0]);
        for (const [at, point] of points.entries()) {
          assert.ok(samples.includes(point));
          assert.ok(at === 0 || (points[at - 1] ?? 0) <= point);
        }
      },
    ),
  );
});

test('no samples have no spread', () => {
  assert.throws(() => spreadOf([]), /at least one sample/);
});
