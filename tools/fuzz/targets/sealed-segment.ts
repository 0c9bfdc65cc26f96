// A sealed segment, as a broken disk or a store far away may give it back: it is read to an end, within
// bounds, and an index that is believed is written back to the same bytes.

import assert from 'node:assert/strict';
import { crc32, zstdCompressSync } from 'node:zlib';
import { parseRun } from '../../../src/daemon/logs/records.ts';
import {
  formatIndex,
  indexBytesOf,
  parseIndex,
  TRAILER_BYTES,
} from '../../../src/daemon/logs/sealed-index.ts';
import { openSealed } from '../../../src/daemon/logs/segment-file.ts';
import { contentsOf } from '../../../src/daemon/logs/summary.ts';
import { formatHeader, type StreamName } from '../../../src/shared/log-record.ts';
import { target } from '../target.ts';

function record(stream: StreamName, position: number, payload: string): Buffer {
  const body = Buffer.from(payload);
  const header = formatHeader({ stream, timeNs: 1_000n, position, length: body.length });
  return Buffer.concat([header, body]);
}

/** A sealed segment with a frame of each of these. */
function sealed(...raws: readonly Buffer[]): Buffer {
  const packed = raws.map((raw) => zstdCompressSync(raw));
  let offset = 0;
  const frames = raws.map((raw, at) => {
    const bytes = packed[at] ?? Buffer.alloc(0);
    const run = parseRun(raw);
    assert.ok(run);
    const frame = { offset, packedBytes: bytes.length, checksum: crc32(bytes), ...contentsOf(run) };
    offset += bytes.length;
    return frame;
  });
  return Buffer.concat([...packed, formatIndex(frames)]);
}

export default target({
  seeds: [
    sealed(record('stdout', 0, 'one\ntwo\n'), record('stderr', 8, 'three\n')),
    sealed(Buffer.concat([record('stdout', 0, 'a'), record('gap', 1, 'bytes=9\0reason=quota\0')])),
    sealed(record('end', 0, 'how=exited\0code=0\0')),
  ],
  async run(input) {
    // Checksums that are right are made here: chance would never find one.
    for (const bytes of [input, summed(input)]) {
      const indexBytes = indexBytesOf(bytes);
      const index = bytes.subarray(bytes.length - (indexBytes ?? 0));
      const frames = indexBytes === undefined ? undefined : parseIndex(index, bytes.length);
      if (frames !== undefined) {
        const written = formatIndex(frames);
        assert.deepEqual(parseIndex(written, bytes.length), frames);
      }
      const segment = await openSealed(0, {
        bytes: bytes.length,
        read: async (offset, length) => bytes.subarray(offset, offset + length),
        close: async () => {},
      });
      const parts = await segment.parts();
      assert.equal(parts.length, frames?.length ?? 0);
      let pieces = 0;
      for await (const piece of segment.pieces(({ gaps }) => gaps === 0)) {
        pieces += 1;
        if ('passed' in piece) continue;
        assert.ok(piece.records.length > 0);
      }
      assert.equal(pieces, parts.length);
      for (const { contents, load } of parts) {
        const run = await load();
        assert.ok(run === undefined || run.bytes.length === contents.rawBytes);
      }
    }
  },
});

/** The same bytes with the checksums that belong to them, as far as they can be told. */
function summed(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const indexBytes = indexBytesOf(copy);
  if (indexBytes === undefined || indexBytes > copy.length) return copy;
  const entries = copy.length - indexBytes + 8;
  const trailer = copy.length - TRAILER_BYTES;
  let offset = 0;
  for (let at = entries; at < trailer; at += 64) {
    const packedBytes = copy.readUInt32LE(at);
    if (offset + packedBytes > copy.length) break;
    copy.writeUInt32LE(crc32(copy.subarray(offset, offset + packedBytes)), at + 60);
    offset += packedBytes;
  }
  copy.writeUInt32LE(crc32(copy.subarray(entries, trailer + 16)), trailer + 16);
  return copy;
}
