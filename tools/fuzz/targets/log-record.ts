// The header of a log record: one that is read is written back to the same bytes.

import assert from 'node:assert/strict';
import { formatHeader, HEADER_BYTES, parseHeader } from '../../../src/shared/log-record.ts';
import { target } from '../target.ts';

const sound = formatHeader({ stream: 'stdout', timeNs: 1n, position: 7, length: 5 });

export default target({
  seeds: [
    Buffer.concat([Buffer.from([0]), sound]),
    Buffer.concat([Buffer.from([3]), Buffer.alloc(3), sound]),
    Buffer.concat([Buffer.from([0]), sound.subarray(0, 31)]),
  ],
  maxBytes: 128,
  run(input) {
    // Headers with a right checksum are made here: chance would never find one.
    const offset = input[0] ?? 0;
    const bytes = input.subarray(1);
    for (const candidate of [bytes, sealed(bytes, offset)]) {
      const header = parseHeader(candidate, offset);
      if (header === undefined) continue;
      assert.ok(Number.isSafeInteger(header.position) && header.position >= 0);
      assert.ok(header.length >= 0 && header.length <= 0xffffffff);
      const written = formatHeader(header);
      assert.deepEqual(written.subarray(0, 3), candidate.subarray(offset, offset + 3));
      assert.deepEqual(parseHeader(written, 0), header);
      assert.ok(offset + HEADER_BYTES <= candidate.length);
    }
  },
});

/** The same bytes with the checksum that belongs to them. */
function sealed(bytes: Buffer, offset: number): Buffer {
  const copy = Buffer.from(bytes);
  if (offset + HEADER_BYTES > copy.length) return copy;
  let hash = 0x811c9dc5;
  for (const byte of copy.subarray(offset, offset + 24)) hash = Math.imul(hash ^ byte, 0x01000193);
  copy.writeUInt32LE(hash >>> 0, offset + 24);
  return copy;
}
