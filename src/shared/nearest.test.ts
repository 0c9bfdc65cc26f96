import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nearest } from './nearest.ts';

const known = ['port', 'address', 'nodeId'];

test('a word with a slip or two is recognised, whatever its letter case', () => {
  assert.equal(nearest('prot', known), 'port');
  assert.equal(nearest('Adress', known), 'address');
  assert.equal(nearest('nodeid', known), 'nodeId');
});

test('a word that is like none is not guessed at', () => {
  assert.equal(nearest('volumes', known), undefined);
  assert.equal(nearest('p'.repeat(1000), known), undefined);
  assert.equal(nearest('port', []), undefined);
});

test('a known word is nearest to itself', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 20 }), { minLength: 1 }), fc.nat(), (words, at) => {
      const word = words[at % words.length] ?? '';
      assert.equal(nearest(word, words)?.toLowerCase(), word.toLowerCase());
    }),
  );
});
