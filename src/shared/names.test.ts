import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkName, MAX_NAME_CHARS } from './names.ts';

test('ordinary names are accepted', () => {
  for (const name of ['build', 'process-data', '2024_01', 'v1.2', '_x', 'a'.repeat(63)]) {
    assert.equal(checkName(name), undefined, name);
  }
});

test('names that would mean something else are refused with a reason', () => {
  for (const name of ['', '.', '..', '-f', 'a/b', 'a b', 'a\n', 'ä', 'x\u001b[2J', '*']) {
    assert.match(checkName(name) ?? '', /must start with/, JSON.stringify(name));
  }
  assert.match(checkName('a'.repeat(64)) ?? '', /has 64 characters/);
});

test('an accepted name is one part of a path', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: MAX_NAME_CHARS }), (name) => {
      if (checkName(name) !== undefined) return;
      assert.equal(path.normalize(`/base/${name}`), `/base/${name}`);
      assert.equal(path.basename(`/base/${name}`), name);
    }),
  );
});
