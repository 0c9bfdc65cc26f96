// The search finds what is planted, stops what never ends, and does the same for the same seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobletError } from '../../src/shared/errors.ts';
import { execute, type Search, search, shorten } from './loop.ts';
import { Chance, mutate } from './mutate.ts';
import { orRefused, target } from './target.ts';

/** How far an input comes: what coverage would tell, in a form that a test can plant. */
function depthOf(input: Buffer): number {
  const word = Buffer.from('JL!');
  return word.findIndex((byte, at) => input[at] !== byte);
}

const planted = target({
  seeds: ['abc'],
  run(input) {
    if (depthOf(input) === -1) throw new TypeError('planted');
  },
});

/** A plan whose coverage is the depth of inputs; it gives up after so many. */
function planOf(seed: number, tries: number): Search & { tried: Buffer[] } {
  const tried: Buffer[] = [];
  let deepest = 0;
  let seen = 0;
  const deepestSince = () => {
    const depths = tried.slice(seen).map(depthOf);
    seen = tried.length;
    return Math.max(...depths);
  };
  return {
    seed,
    known: [],
    tried,
    trying: (input) => tried.push(input),
    kept: () => {},
    goesOn: () => tried.length < tries,
    coverage: {
      isNew: () => deepestSince() > deepest,
      note: () => {
        const depth = deepestSince();
        const isNew = depth > deepest;
        deepest = Math.max(deepest, depth);
        return isNew;
      },
    },
  };
}

test('a fault behind several steps is found, step by step, and told with little input', async () => {
  const finding = await search(planted, planOf(1, 200_000));
  assert.ok(finding?.error instanceof TypeError);
  let tried = 0;
  const short = await shorten(planted, finding, () => tried++);
  assert.equal(short.input.toString(), 'JL!');
  // Whoever watches over the search sees that it goes on.
  assert.ok(tried > 0 || finding.input.length === 3);
});

test('the same seed tries the same inputs, another one others', async () => {
  const [first, again, other] = [planOf(7, 500), planOf(7, 500), planOf(8, 500)];
  for (const plan of [first, again, other]) await search(planted, plan);
  assert.deepEqual(first.tried, again.tried);
  assert.notDeepEqual(first.tried, other.tried);
});

test('an input that changes what all objects share is a finding', async () => {
  const polluting = target({
    seeds: [],
    run() {
      Object.defineProperty(Object.prototype, 'polluted', { value: 1, configurable: true });
    },
  });
  try {
    const finding = await execute(polluting, Buffer.from('x'));
    assert.match(String(finding?.error), /prototype/);
  } finally {
    Reflect.deleteProperty(Object.prototype, 'polluted');
  }
});

test('a refusal passes only where it is expected, and says something', () => {
  const refuse = (message: string) => () => {
    throw new JobletError('invalid', message);
  };
  assert.equal(orRefused(refuse('no'), 'invalid'), undefined);
  assert.throws(() => orRefused(refuse('no'), 'denied'), JobletError);
  assert.throws(() => orRefused(refuse(''), 'invalid'), /says why/);
  assert.throws(() => orRefused(refuse('x'.repeat(1 << 20)), 'invalid'), /no longer/);
});

test('changes stay within their bounds, whatever the input', () => {
  const chance = new Chance(3);
  const corpus = [Buffer.alloc(0), Buffer.from('12 -7 abc'), Buffer.alloc(64, 0xff)];
  for (let round = 0; round < 5000; round++) {
    const before = chance.one(corpus);
    const copy = Buffer.from(before);
    const after = mutate(before, { chance, words: ['word', ''], corpus, maxBytes: 64 });
    assert.ok(after.length <= 64);
    assert.deepEqual(before, copy);
  }
});
