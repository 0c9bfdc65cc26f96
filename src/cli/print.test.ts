import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wantsColor } from './output.ts';
import { fakeOutput } from './output-fake.ts';
import {
  commandLine,
  localTime,
  roughSize,
  roughTime,
  statusWord,
  table,
  visible,
} from './print.ts';

test('control characters are written out, everything else stands for itself', () => {
  assert.equal(visible('a\nb\t\u001b[31m\u009b\u202e'), 'a\\nb\\t\\x1b[31m\\x9b\\u202e');
  assert.equal(visible('Größe 漢字 🎉'), 'Größe 漢字 🎉');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(visible(text), /\p{Cc}|\p{Bidi_Control}/u);
    }),
  );
});

test('a command line keeps the limits of its words', () => {
  assert.equal(commandLine('echo', ['a', 'b c', '', "it's"]), `echo a 'b c' '' 'it'\\''s'`);
  assert.equal(commandLine('sleep 1 && echo done', []), 'sleep 1 && echo done');
});

test('a table has a rule, and its last column is cut to the room there is', () => {
  const columns = [
    { title: 'A', width: 3 },
    { title: 'COMMAND', width: 7 },
  ];
  assert.equal(
    table(columns, [['1', 'x'.repeat(30)]], 0, 20),
    `A    COMMAND\n${'-'.repeat(25)}\n1    ${'x'.repeat(17)}...\n`,
  );
  for (const line of table(columns, [['1', 'x'.repeat(99)]], 40, 80)
    .trimEnd()
    .split('\n')) {
    assert.ok(line.length <= 40);
  }
});

test('status words are coloured where colours are wanted, and nowhere else', () => {
  assert.equal(statusWord('RUNNING', fakeOutput({ color: true })), '\u001b[33mRUNNING\u001b[0m');
  assert.equal(statusWord('RUNNING', fakeOutput({})), 'RUNNING');
  assert.equal(statusWord('\u001b[2J', fakeOutput({ color: true })), '\\x1b[2J');
});

test('NO_COLOR and RNX_NO_COLOR switch colours off', () => {
  assert.equal(wantsColor({}), true);
  assert.equal(wantsColor({ NO_COLOR: '1' }), false);
  assert.equal(wantsColor({ RNX_NO_COLOR: 'true' }), false);
  assert.equal(wantsColor({ NO_COLOR: '' }), true);
  assert.equal(wantsColor({ TERM: 'dumb' }), false);
});

test('lengths of time and sizes read well', () => {
  const times = [
    [0, '0ms'],
    [999, '999ms'],
    [3200, '3.2s'],
    [59_999, '1m'],
    [3_900_000, '1h 5m'],
    [90_061_000, '1d 1h'],
  ] as const;
  for (const [ms, text] of times) assert.equal(roughTime(ms), text);
  const sizes = [
    [0, '0 B'],
    [1023, '1023 B'],
    [512 * 1024, '512 KB'],
    [1.5 * 2 ** 30, '1.5 GB'],
  ] as const;
  for (const [bytes, text] of sizes) assert.equal(roughSize(bytes), text);
});

test("times are shown by the user's clock", () => {
  const before = process.env['TZ'];
  process.env['TZ'] = 'Europe/Berlin';
  try {
    assert.equal(localTime('2026-11-21T08:45:10.123Z'), '2026-11-21 09:45:10');
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
  assert.equal(localTime(''), '-');
});
