import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { fixedWord } from './fixed-word.ts';

test('the longest word that must be there is told, or none', () => {
  const words: Readonly<Record<string, string | undefined>> = {
    'connection refused': 'connection refused',
    'status=50[0-9] ms=19': 'status=50',
    '^ERROR: .*disk': 'ERROR: ',
    'colou?r': 'colo',
    'abc+d': 'abc',
    'ab{2}cde': 'cde',
    '(maybe)?always': 'always',
    'a\\.b\\.c': 'a.b.c',
    '\\d{3} lines': ' lines',
    '[]x]after': 'after',
    'one|two': undefined,
    '(?i)error': undefined,
    '\\Qa.b.c\\E': undefined,
    '[[:alpha:]]word': undefined,
    '((a)b)?abc': undefined,
    xy: undefined,
    größe: undefined,
  };
  for (const [pattern, word] of Object.entries(words)) {
    assert.equal(fixedWord(pattern), word, pattern);
  }
});

test('nothing is found that has not the word in it', () => {
  const part = fc.constantFrom(
    ...[
      'abc',
      'ab',
      'x',
      '.',
      '\\.',
      '[ab]',
      '[^]a]',
      '[]b]',
      '(ab)',
      '(a(b)c)',
      '\\d',
      '\\b',
      '^',
      '$',
    ],
    ...[
      '\\x61',
      '\\pL',
      '{',
      '}',
      ']',
      '{2}',
      '{0,2}',
      '*',
      '+',
      '?',
      '*?',
      ' ',
      '[a-c]',
      '\\\\',
      'ä',
      '|',
    ],
  );
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', 'c', 'x', '.', '{', '}', ']', '2', ' ', 'ä'),
  });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 7 }), text, (parts, line) => {
      const pattern = parts.join('');
      const word = fixedWord(pattern);
      if (word === undefined) return;
      try {
        if (RE2JS.compile(pattern).matcher(line).find()) assert.ok(line.includes(word), pattern);
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
      }
    }),
    { numRuns: 5000 },
  );
});
