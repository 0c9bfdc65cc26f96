import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineSplitter } from './line-splitter.ts';
import type { LogEntry } from './logs.ts';

function entriesOf(texts: readonly string[]): LogEntry[] {
  let position = 0;
  return texts.map((text) => {
    const data = Buffer.from(text);
    position += data.length;
    const place = { timeNs: 1n, position: position - data.length };
    return { stream: 'stdout', ...place, data, droppedBytes: 0, reason: '' };
  });
}

test('lines keep every byte and their place, and long ones come in parts', () => {
  const character = fc.constantFrom('a', 'ä', '\n', ' ');
  const texts = fc.array(fc.string({ unit: character, maxLength: 30 }), { maxLength: 20 });
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 9 }), (written, mostBytes) => {
      const whole = Buffer.from(written.join(''));
      const splitter = new LineSplitter(mostBytes);
      const lines = entriesOf(written).flatMap((entry) => [...splitter.split(entry)]);
      let at = 0;
      for (const { position, data } of [...lines, ...splitter.rest()]) {
        assert.equal(position, at);
        assert.ok(data.length > 0 && data.length <= mostBytes);
        assert.ok(!data.subarray(0, -1).includes(0x0a));
        assert.deepEqual(Buffer.from(data), whole.subarray(at, at + data.length));
        at += data.length;
      }
      assert.equal(at, whole.length);
      assert.ok(lines.every(({ data }) => data.at(-1) === 0x0a || data.length === mostBytes));
    }),
  );
});
