import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  FrameReader,
  formatDataFrame,
  formatFrame,
  MAX_FRAME_BYTES,
  parseCount,
  parsePairs,
} from './frames.ts';

const text = fc.string({ unit: 'binary' }).map((s) => s.replaceAll('\0', ''));
const frame = fc.array(text, { minLength: 1, maxLength: 20 });

test('frames come out as they went in, however the stream was cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(formatFrame));
        const reader = new FrameReader();
        const read: string[][] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          read.push(...(reader.push(bytes.subarray(at, at + cut)) ?? []));
          at += cut;
        }
        assert.deepEqual(read, frames);
      },
    ),
  );
});

test('an empty argument stays an empty argument', () => {
  assert.deepEqual(new FrameReader().push(formatFrame(['arg', '', 'arg', ''])), [
    ['arg', '', 'arg', ''],
  ]);
});

test('a data frame carries any bytes', () => {
  const bytes = formatDataFrame('stdin', Uint8Array.from([0, 1, 0, 255]));
  assert.equal(bytes.readUInt32LE(0), bytes.length - 4);
  assert.deepEqual([...bytes.subarray(4 + 'stdin\0'.length)], [0, 1, 0, 255]);
});

test('a length out of bounds is refused before anything is kept', () => {
  for (const length of [0, MAX_FRAME_BYTES + 1, 0xffffffff]) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length, 0);
    assert.equal(new FrameReader().push(bytes), undefined);
  }
});

test('a count is decimal digits and nothing else', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), (count) => {
      assert.equal(parseCount(String(count)), Number(count));
    }),
  );
  fc.assert(
    fc.property(fc.string(), (some) => {
      assert.equal(Number.isNaN(parseCount(some)), !/^[0-9]{1,20}$/.test(some));
    }),
  );
});

test('pairs keep everything behind the first equals sign', () => {
  assert.deepEqual(
    [...parsePairs(['a=b=c', 'd=', 'e'])],
    [
      ['a', 'b=c'],
      ['d', ''],
      ['e', ''],
    ],
  );
});
