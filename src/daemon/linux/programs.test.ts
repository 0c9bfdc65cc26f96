import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastWords, run } from './programs.ts';

test('of a program that says a long path why it failed, both ends of that are told', async () => {
  const file = 'x'.repeat(5000);
  await assert.rejects(run('cat', file), (error) => {
    const words = lastWords(error);
    assert.match(words, /^cat: x+ \.\.\. x+: File name too long$/);
    assert.ok(words.length < 310);
    return true;
  });
});

test('of a program that says more than is kept the last whole line is told', async () => {
  const script = 'yes "a whole line of its complaints" >&2';
  await assert.rejects(run('timeout', '10', 'sh', '-c', script), (error) => {
    assert.equal(lastWords(error), 'a whole line of its complaints');
    return true;
  });
});
