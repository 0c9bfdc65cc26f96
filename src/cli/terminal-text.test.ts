import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TerminalText } from './terminal-text.ts';

function shown(...pieces: (string | Uint8Array)[]): string {
  const text = new TerminalText();
  return pieces.map((piece) => text.push(Buffer.from(piece as string))).join('') + text.end();
}

test('plain text passes unchanged', () => {
  assert.equal(shown('a\tb\nGröße 漢字 🎉\n'), 'a\tb\nGröße 漢字 🎉\n');
});

test('escape sequences are written out instead of acted on', () => {
  assert.equal(shown('\u001b[31mred\u001b[0m'), '^[[31mred^[[0m');
  assert.equal(shown('\u001b]0;title\u0007'), '^[]0;title^G');
  assert.equal(shown('\u001bP1$q"p\u001b\\'), '^[P1$q"p^[\\');
  assert.equal(shown('\u009b31m\u009d0;x\u009c'), '^[[31m^[]0;x^[\\');
  assert.equal(shown('\b\u0000\u007f'), '^H^@^?');
});

test('a carriage return begins a new line, and belongs to the newline behind it', () => {
  assert.equal(shown('10%\r20%\r\n'), '10%\n20%\n');
  assert.equal(shown('a\r', '\nb'), 'a\nb');
  assert.equal(shown('safe\rEVIL'), 'safe\nEVIL');
});

test('marks that turn the direction of text are written out', () => {
  assert.equal(shown('a\u202eb\u2066c'), 'a<U+202E>b<U+2066>c');
});

test('bytes that are no UTF-8 become replacement characters, also at the end', () => {
  assert.equal(shown(Buffer.from([0x61, 0x9b, 0x62])), 'a\ufffdb');
  assert.equal(shown(Buffer.from([0x61, 0xe2, 0x82])), 'a\ufffd');
});

/** What may reach a terminal: printable characters, newline, tab. */
const acting = /[^\P{Cc}\t\n]|\p{Bidi_Control}/u;

test('whatever the bytes and however they are cut, nothing that acts comes out', () => {
  const bytes = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x1b, 0x0d, 0x0a, 0x9b, 0xc2, 0xe2)),
  );
  fc.assert(
    fc.property(bytes, fc.nat(40), (values, cut) => {
      const all = Buffer.from(values);
      const text = shown(all.subarray(0, cut), all.subarray(cut));
      assert.doesNotMatch(text, acting);
      assert.equal(text, shown(all));
    }),
  );
});

test('characters are whole wherever the pieces are cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, cut) => {
      const bytes = Buffer.from(text);
      assert.equal(shown(bytes.subarray(0, cut), bytes.subarray(cut)), shown(text));
    }),
  );
});
