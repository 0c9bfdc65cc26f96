import assert from 'node:assert/strict';
import path from 'node:path/posix';
import { test } from 'node:test';
import fc from 'fast-check';
import { pathProblem } from './upload-path.ts';

test('paths below the work directory are accepted', () => {
  for (const name of ['a', 'src/main.c', '.hidden', '..x', 'a b/ü', '-f', 'x'.repeat(255)]) {
    assert.equal(pathProblem(name), undefined, name);
  }
});

test('a path that leads elsewhere, or nowhere, is refused with the reason', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['', /no name/],
    ['/etc', /absolute/],
    ['..', /leads out/],
    ['a/../b', /leads out/],
    ['a//b', /empty part/],
    ['a/', /empty part/],
    ['./a', /dot/],
    ['a\0', /NUL/],
    ['x'.repeat(256), /part longer than 255/],
    ['ü'.repeat(600), /longer than 1024/],
    [`${'a/'.repeat(100)}a`, /deeper than 100/],
  ];
  for (const [name, reason] of refused) assert.match(pathProblem(name) ?? '', reason, name);
});

test('an accepted path stays where it is put, whatever it is made of', () => {
  const parts = fc.constantFrom('a', '..', '.', '', ' ', '\\', '...', '~', '*', '\u2025', '\n');
  const paths = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.array(parts, { maxLength: 6 }).map((some) => some.join('/')),
  );
  fc.assert(
    fc.property(paths, (name) => {
      if (pathProblem(name) !== undefined) return;
      assert.equal(path.resolve('/work', name), `/work/${name}`);
    }),
  );
});
