import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { LineAutomaton } from './line-automaton.ts';

function isFound(automaton: LineAutomaton, line: Buffer): boolean {
  const looking = automaton.isFoundIn(line, 0, line.length);
  for (;;) {
    const { done, value } = looking.next();
    if (done === true) return value;
  }
}

const atom = fc.constantFrom(
  ...[
    'a',
    'b',
    'ab',
    '.',
    'ä',
    '項',
    '[a-c]',
    '[^a]',
    '\\d',
    '\\w',
    '\\W',
    '\\s',
    '\\pL',
    '[[:alpha:]]',
  ],
  ...['^', '$', '\\b', '\\B', '\\A', '\\z', '(?i)A', '(?i)Ä', '(?m)^b', '(?m)a$', '(?s).', '(?:)'],
);
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => a + b),
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a}|${b})`),
    fc
      .tuple(tie('expression'), fc.constantFrom('*', '+', '?', '{2}', '{0,3}', '*?'))
      .map(([a, times]) => `(${a})${times}`),
  ),
}));
const line = fc
  .array(
    fc.constantFrom('a', 'b', 'c', 'A', 'ä', 'Ä', '項', '\u{1f600}', '1', '_', ' ', '\r', '\ufffd'),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(''));

test('in a line is found what the expression finds there', () => {
  fc.assert(
    fc.property(expression, fc.array(line, { maxLength: 20 }), (text, lines) => {
      const pattern = RE2JS.compile(text);
      const automaton = new LineAutomaton(pattern);
      for (const each of lines) {
        assert.equal(isFound(automaton, Buffer.from(each)), pattern.matcher(each).find(), each);
      }
    }),
    { numRuns: 1000 },
  );
});

test('the next line is the first in which something is found, or the one that is not whole', () => {
  fc.assert(
    fc.property(expression, fc.array(line, { maxLength: 20 }), line, (text, lines, rest) => {
      const pattern = RE2JS.compile(text);
      const bytes = Buffer.from([...lines, rest].join('\n'));
      const found = lines.findIndex((each) => pattern.matcher(each).find());
      const before = lines.slice(0, found < 0 ? lines.length : found);
      const begin = Buffer.byteLength(before.map((each) => `${each}\n`).join(''));
      assert.equal(new LineAutomaton(pattern).nextLine(bytes, 0), begin);
    }),
  );
});

test('bytes that are no UTF-8 are characters that nobody writes', () => {
  const automaton = new LineAutomaton(RE2JS.compile('^a.b$'));
  for (const hex of ['61ff62', '618062', '61c362', '61e28262'.replace('82', ''), '61ed62']) {
    assert.equal(isFound(automaton, Buffer.from(hex, 'hex')), true, hex);
  }
  // None of these is one character: too long a form, half of a pair, beyond the last one.
  for (const hex of ['61c0af62', '61eda08062', '61f490808062']) {
    assert.equal(isFound(automaton, Buffer.from(hex, 'hex')), false, hex);
  }
});

test('an expression of very many states is matched all the same, in turns', () => {
  const pattern = RE2JS.compile('[ab]*a[ab]{14}c');
  const automaton = new LineAutomaton(pattern);
  let seed = 1;
  const text = Array.from({ length: 20_000 }, () => {
    seed = (Math.imul(seed, 48271) >>> 0) % 2147483647;
    return seed % 2 === 0 ? 'a' : 'b';
  }).join('');
  let turns = 0;
  const looking = automaton.isFoundIn(Buffer.from(text), 0, text.length);
  let last = looking.next();
  for (; last.done !== true; last = looking.next()) turns += 1;
  assert.equal(last.value, false);
  assert.ok(turns > 3, `${turns} turns`);
  assert.ok(isFound(automaton, Buffer.from(`${text}a${'b'.repeat(14)}c`)));
});
