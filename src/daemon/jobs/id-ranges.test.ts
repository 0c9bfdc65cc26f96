import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IDS_PER_RANGE, IdRanges } from './id-ranges.ts';

test('no two running jobs share an id range, whatever comes and goes', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat({ max: 15 })),
      fc.array(fc.oneof(fc.constant('take' as const), fc.nat({ max: 15 }))),
      (earlier, steps) => {
        const ranges = new IdRanges(1000, 16);
        const held = new Set(earlier.map((index) => 1000 + index * IDS_PER_RANGE));
        for (const first of held) ranges.retake(first);
        for (const step of steps) {
          if (step === 'take') {
            if (held.size === 16) {
              assert.throws(() => ranges.take(), { kind: 'exhausted' });
              continue;
            }
            const first = ranges.take();
            assert.ok(!held.has(first));
            held.add(first);
          } else {
            const first = 1000 + step * IDS_PER_RANGE;
            ranges.release(first);
            held.delete(first);
          }
        }
      },
    ),
  );
});

test('of the last two ranges that were given back, the one that has rested longer is used again', () => {
  const ranges = new IdRanges(0, 10);
  const [first, second] = [ranges.take(), ranges.take()];
  ranges.release(first);
  ranges.release(first);
  ranges.release(second);
  for (let turn = 0; turn < 3; turn += 1) {
    assert.equal(ranges.take(), first);
    ranges.release(first);
    assert.equal(ranges.take(), second);
    ranges.release(second);
  }
});

test('the last range that is free is used when there is no other', () => {
  const ranges = new IdRanges(0, 2);
  const first = ranges.take();
  ranges.take();
  ranges.release(first);
  assert.equal(ranges.take(), first);
});
