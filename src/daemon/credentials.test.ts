import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRevoked } from './credentials.ts';

test('a list of revoked certificates has a serial number first in each line', () => {
  const text = '# revoked\n\n0a1b ann 2030-01-01\n\tFF02\r\n  # 33\n';
  assert.deepEqual([...parseRevoked(text)], ['0A1B', 'FF02']);
});

test('every serial number of a list is found, whatever stands around it', () => {
  const serial = fc.stringMatching(/^[0-9a-f]{1,40}$/);
  const rest = fc.string().map((text) => text.replaceAll('\n', ' '));
  fc.assert(
    fc.property(fc.array(fc.tuple(serial, rest)), (lines) => {
      const text = lines.map(([number, more]) => `${number} ${more}`).join('\n');
      const expected = lines.map(([number]) => number.toUpperCase());
      assert.deepEqual(parseRevoked(text), new Set(expected));
    }),
  );
});

test('any text at all is a list', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      for (const serial of parseRevoked(text)) assert.match(serial, /^[^\s#]\S*$/u);
    }),
  );
});
