import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { choose } from './choose.ts';
import type { Gpu, Strategy } from './gpu.ts';

const GB = 1024 ** 3;
const strategies: readonly Strategy[] = ['first-fit', 'pack', 'spread', 'best-fit'];

/** GPUs as `size/group`, in the order of their numbers. */
function gpus(...texts: readonly string[]): Gpu[] {
  return texts.map((text, index) => {
    const [size, group] = text.split('/').map(Number);
    return { index, uuid: `GPU-${index}`, memoryBytes: (size ?? 0) * GB, group: group ?? 0 };
  });
}

const numbers = (chosen: readonly Gpu[] | undefined) => chosen?.map(({ index }) => index);

test('S3-11: each strategy gives the GPUs that it is named after', () => {
  const eight = gpus('80/0', '40/0', '80/0', '80/1', '40/1', '80/1', '80/1', '80/1');
  const free = eight.slice(1);
  const wish = (count: number, gb = 0) => ({ count, memoryBytes: gb * GB });
  assert.deepEqual(numbers(choose(free, wish(2), 'first-fit')), [1, 2]);
  assert.deepEqual(numbers(choose(free, wish(2), 'best-fit')), [1, 4]);
  // Two are left of the first group: small jobs fill it up, and the whole second one is kept.
  assert.deepEqual(numbers(choose(free, wish(2), 'pack')), [1, 2]);
  assert.deepEqual(numbers(choose(free, wish(3), 'pack')), [3, 4, 5]);
  assert.deepEqual(numbers(choose(free, wish(6), 'pack')), [1, 3, 4, 5, 6, 7]);
  assert.deepEqual(numbers(choose(free, wish(5), 'spread')), [1, 3, 4, 5, 6]);
  assert.deepEqual(numbers(choose(free, wish(1), 'spread')), [3]);
  assert.deepEqual(numbers(choose(free, wish(2, 80), 'best-fit')), [2, 3]);
  assert.equal(choose(free, wish(8), 'first-fit'), undefined);
  assert.equal(choose(free, wish(6, 80), 'spread'), undefined);
});

test('whatever is free and asked for, the answer is as many different ones as wanted, each big enough', () => {
  const someGpus = fc
    .array(fc.record({ memoryBytes: fc.integer({ min: 1, max: 4 }), group: fc.nat({ max: 2 }) }), {
      maxLength: 9,
    })
    .map((all) => all.map((gpu, index) => ({ ...gpu, index, uuid: `GPU-${index}` })));
  const wishes = fc.record({
    count: fc.integer({ min: 1, max: 9 }),
    memoryBytes: fc.nat({ max: 5 }),
  });
  fc.assert(
    fc.property(someGpus, wishes, fc.constantFrom(...strategies), (free, wish, strategy) => {
      const fit = free.filter(({ memoryBytes }) => memoryBytes >= wish.memoryBytes);
      const chosen = choose(free, wish, strategy);
      assert.equal(chosen !== undefined, fit.length >= wish.count);
      if (chosen === undefined) return;
      assert.equal(new Set(chosen).size, wish.count);
      assert.ok(chosen.every((gpu) => fit.includes(gpu)));
    }),
  );
});
