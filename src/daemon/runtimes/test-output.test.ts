import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outputProblem } from './test-output.ts';

test('the output of a test is compared line by line', async () => {
  assert.equal(await outputProblem('', 'anything'), '');
  assert.equal(await outputProblem('^second$', 'first\nsecond\n'), '');
  assert.equal(
    await outputProblem('^third$', 'first\nsecond\n'),
    'its output does not match ^third$',
  );
});

test('a pattern that takes for ever is given up, and no other work waits for it', async () => {
  const problem = outputProblem('^(a+)+$', `${'a'.repeat(100)}!`, 500);
  const others = new Promise((resolve) => setImmediate(resolve, 'done'));
  assert.equal(await Promise.race([problem, others]), 'done');
  assert.match(await problem, /takes more than 0\.5 s to say; write a simpler pattern$/);
});
