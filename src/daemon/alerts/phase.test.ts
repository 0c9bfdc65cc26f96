import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Phase, step } from './phase.ts';

/** The turns that looks make, as `turn at time`. */
function turns(looks: readonly (readonly [atMs: number, isBeyond: boolean])[], forMs: number) {
  let phase: Phase | undefined;
  const found: string[] = [];
  for (const [atMs, isBeyond] of looks) {
    const next = step(phase, isBeyond, atMs, forMs);
    phase = next.phase;
    if (next.turn !== undefined) found.push(`${next.turn} ${atMs}`);
  }
  return found;
}

test('an alert fires when it has been bad for so long, and is over when it has been well for so long', () => {
  const bad = [0, 10, 20, 30, 40].map((at) => [at, true] as const);
  const well = [50, 60, 70, 80, 90].map((at) => [at, false] as const);
  assert.deepEqual(turns([...bad, ...well], 30), ['fired 30', 'resolved 80']);
  assert.deepEqual(turns([...bad, ...well], 0), ['fired 0', 'resolved 50']);
});

test('what comes and goes within that time neither fires nor ends an alert', () => {
  const flicker = (from: number) =>
    [0, 10, 20, 30, 40, 50].map((at) => [from + at, at % 20 === 0] as const);
  assert.deepEqual(turns(flicker(0), 30), []);
  const held = [0, 30].map((at) => [at, true] as const);
  assert.deepEqual(turns([...held, ...flicker(40)], 30), ['fired 30']);
});

test('a clock that is put back makes nothing wait for what went by before', () => {
  const looks = [
    [1000, true],
    [10, true],
    [40, true],
  ] as const;
  assert.deepEqual(turns(looks, 30), ['fired 40']);
});

test('each firing is ended once before the next, whatever is seen', () => {
  const looks = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.boolean()));
  fc.assert(
    fc.property(looks, fc.integer({ min: 0, max: 60 }), (steps, forMs) => {
      let atMs = 0;
      const seen = steps.map(([more, isBeyond]) => {
        atMs += more;
        return [atMs, isBeyond] as const;
      });
      const words = turns(seen, forMs).map((turn) => turn.split(' ')[0]);
      assert.ok(words.every((word, at) => word === (at % 2 === 0 ? 'fired' : 'resolved')));
    }),
  );
});
