// Frames of the launcher and of keepers: the same come out however the stream is cut.

import assert from 'node:assert/strict';
import {
  FrameReader,
  formatDataFrame,
  formatFrame,
  MAX_FRAME_BYTES,
  parsePairs,
} from '../../../src/daemon/linux/frames.ts';
import { target } from '../target.ts';

const seeds = [
  formatFrame(['started', 'id', '12', '13', '1000']),
  formatFrame(['ended', 'id', 'how=exited', 'code=0']),
  formatDataFrame('stdin', Buffer.from([0, 1, 255])),
  Buffer.concat([formatFrame(['a']), formatFrame(['', ''])]),
].map((frames) => Buffer.concat([Buffer.from([5]), frames]));

function read(pieces: readonly Buffer[]): string[][] | undefined {
  const reader = new FrameReader();
  const frames = pieces.map((piece) => reader.push(piece));
  return frames.includes(undefined) ? undefined : frames.flatMap((some) => some ?? []);
}

export default target({
  seeds,
  words: ['\u0001\0\0\0', '\u0007\0\0\0', 'ended\0', '=', '\0'],
  run(input) {
    const cut = input[0] ?? 0;
    const bytes = input.subarray(1);
    const whole = read([bytes]);
    const pieces = read([bytes.subarray(0, cut), bytes.subarray(cut)]);
    assert.deepEqual(pieces, whole);
    for (const frame of whole ?? []) {
      const length = Buffer.byteLength(frame.join('\0'));
      // What is not UTF-8 becomes a character of three bytes.
      assert.ok(length <= 3 * Math.min(bytes.length, MAX_FRAME_BYTES));
      assert.ok(parsePairs(frame).size <= frame.length);
      if (frame.length > 0) assert.deepEqual(read([formatFrame(frame)]), [frame]);
    }
  },
});
