import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { globToRegExp } from './globs.ts';

const means: readonly (readonly [glob: string, target: string, meant: boolean])[] = [
  ['/usr/share/doc', '/usr/share/doc', true],
  ['/usr/share/doc', '/usr/share/doc/x', false],
  ['/usr/share/doc/**', '/usr/share/doc', false],
  ['/usr/share/doc/**', '/usr/share/doc/a/b', true],
  ['/usr/share/*/x', '/usr/share/a/x', true],
  ['/usr/share/*/x', '/usr/share/a/b/x', false],
  ['/**/*.pyc', '/a.pyc', true],
  ['/**/*.pyc', '/a/b/c.pyc', true],
  ['/**/*.pyc', '/a/b/c.py', false],
  ['/a?c', '/abc', true],
  ['/a?c', '/a/c', false],
  ['/a.c', '/abc', false],
  ['/lib/*.so*', '/lib/x.so.1', true],
];

for (const [glob, target, meant] of means) {
  test(`${glob} ${meant ? 'means' : 'does not mean'} ${target}`, () => {
    assert.equal(globToRegExp(glob).test(target), meant);
  });
}

test('a path without stars means itself and nothing else, whatever is in it', () => {
  const part = fc.string({ minLength: 1 }).map((text) => text.replaceAll(/[*?/\0]/g, '.'));
  fc.assert(
    fc.property(part, part, (one, other) => {
      assert.ok(globToRegExp(`/${one}`).test(`/${one}`));
      assert.equal(globToRegExp(`/${one}`).test(`/${other}`), one === other);
    }),
  );
});
