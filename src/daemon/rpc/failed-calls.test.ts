import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailedCalls } from './failed-calls.ts';

test('a client that is too slow or wants too much is a warning, another mistake is not', () => {
  const said: string[] = [];
  const calls = new FailedCalls({
    info: (_, fields) => said.push(`info ${fields?.['kind']}`),
    warn: (_, fields) => said.push(`warn ${fields?.['kind']}`),
  });
  calls.note({ kind: 'exhausted' });
  calls.note({ kind: 'invalid' });
  calls.flush();
  assert.deepEqual(said, ['warn exhausted', 'info invalid']);
});

test('a flood of failing calls is a hundred lines a second, and their number', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lines: string[] = [];
  const calls = new FailedCalls({
    info: (message) => lines.push(message),
    warn: (message, fields) => lines.push(`${message}: ${fields?.['count']}`),
  });
  for (let call = 0; call < 1000; call += 1) calls.note({ method: 'x', kind: 'invalid' });
  assert.equal(lines.length, 100);
  t.mock.timers.tick(1000);
  assert.equal(lines.at(-1), 'more calls failed than are written: 900');
  calls.note({ method: 'x', kind: 'invalid' });
  t.mock.timers.tick(1000);
  assert.equal(lines.length, 102);
  assert.equal(lines.at(-1), 'call failed');
});
