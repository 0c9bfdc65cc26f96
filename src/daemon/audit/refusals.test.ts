import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from './record.ts';
import { type Refusal, Refusals } from './refusals.ts';

function refusal(more: Partial<Refusal> = {}): Refusal {
  return {
    atMs: 1,
    method: '/joblet.JobService/RunJob',
    who: { name: 'ann', role: 'viewer', certificate: '0A', peer: '10.0.0.1:5000' },
    result: 'denied',
    detail: 'role viewer is not allowed to perform operation run_job',
    ...more,
  };
}

test('the first refused call is recorded as it is, and those like it as one record with their number', () => {
  const entries: Entry[] = [];
  const refusals = new Refusals((entry) => entries.push(entry));
  for (let port = 5000; port < 15_000; port += 1) {
    refusals.note(refusal({ who: { ...refusal().who, peer: `10.0.0.1:${port}` } }));
  }
  assert.equal(entries.length, 1);
  refusals.flush();
  assert.deepEqual(
    entries.map(({ count = 1, who }) => [count, who?.peer]),
    [
      [1, '10.0.0.1:5000'],
      [9999, '10.0.0.1'],
    ],
  );
});

test('however many kinds of refused calls there are, the records stay few and none is lost', () => {
  const entries: Entry[] = [];
  const refusals = new Refusals((entry) => entries.push(entry));
  for (let at = 0; at < 10_000; at += 1) refusals.note(refusal({ method: `/made.up/${at}` }));
  refusals.flush();
  assert.equal(entries.length, 65);
  assert.equal(
    entries.reduce((sum, { count = 1 }) => sum + count, 0),
    10_000,
  );
});

test('after its time a kind is recorded as new', () => {
  const entries: Entry[] = [];
  const refusals = new Refusals((entry) => entries.push(entry));
  refusals.note(refusal());
  refusals.flush();
  refusals.note(refusal());
  assert.equal(entries.length, 2);
  refusals.flush();
});
