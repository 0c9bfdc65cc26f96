import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseXml, textOf } from './xml.ts';

test('what never ends is refused at once, however long it is', () => {
  const many = 1 << 20;
  const pieces = [
    '<?',
    '<?x',
    '<? ?',
    '<',
    '<a ',
    '</',
    '<!--',
    '&',
    '<?x?>',
    `<${'a'.repeat(99)}`,
  ];
  for (const piece of pieces) {
    assert.throws(() => parseXml(`<a>${piece.repeat(many / piece.length)}`), /no XML/, piece);
  }
});

test('the declaration of the encoding is passed over', () => {
  const root = parseXml('<?xml version="1.0" ?>\n<a><b>1 &lt; 2</b></a>');
  assert.equal(textOf(root, 'b'), '1 < 2');
});
