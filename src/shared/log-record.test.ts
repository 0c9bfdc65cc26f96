import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatHeader,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  parseHeader,
  type StreamName,
} from './log-record.ts';

const header = fc.record(
  {
    stream: fc.constantFrom<StreamName>('stdout', 'stderr', 'gap', 'end'),
    timeNs: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    position: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    length: fc.nat({ max: MAX_PAYLOAD_BYTES }),
  },
  { noNullPrototype: true },
);

test('a record header is read as it was written, wherever it stands', () => {
  fc.assert(
    fc.property(header, fc.nat({ max: 50 }), (written, offset) => {
      const bytes = Buffer.concat([Buffer.alloc(offset), formatHeader(written)]);
      assert.deepEqual(parseHeader(bytes, offset), written);
    }),
  );
});

test('a torn or flipped header is refused', () => {
  fc.assert(
    fc.property(
      header,
      fc.nat({ max: 27 }),
      fc.integer({ min: 1, max: 255 }),
      (written, at, flip) => {
        const bytes = formatHeader(written);
        assert.equal(parseHeader(bytes.subarray(0, HEADER_BYTES - 1), 0), undefined);
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const read = parseHeader(bytes, 0);
        // Byte 3 is reserved and covered by the checksum like the rest.
        assert.equal(read, undefined);
      },
    ),
  );
});

test('a header that promises more than any record holds is refused, whatever its checksum', () => {
  const sound = { stream: 'stdout', timeNs: 1n, position: 5, length: 5 } as const;
  const tooLong = formatHeader({ ...sound, length: MAX_PAYLOAD_BYTES + 1 });
  assert.equal(parseHeader(tooLong, 0), undefined);
  const tooFar = formatHeader({ ...sound, position: 2 ** 60 });
  assert.equal(parseHeader(tooFar, 0), undefined);
});

test('any bytes at all are read without an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 110 }), (bytes, offset) => {
      parseHeader(Buffer.from(bytes), offset);
    }),
  );
});
