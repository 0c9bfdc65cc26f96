import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import { Frames, frame } from './framing.ts';

test('messages come out whole and in order, however the bytes are cut', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 17 })), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(frame));
      const frames = new Frames();
      const received: Buffer[] = [];
      let offset = 0;
      for (const cut of cuts) {
        if (offset >= bytes.length) break;
        received.push(...frames.push(bytes.subarray(offset, offset + cut)));
        offset += cut;
      }
      assert.deepEqual(
        received.map((one) => one.toString('hex')),
        sent.map((one) => Buffer.from(one).toString('hex')),
      );
      assert.equal(frames.torn, false);
    }),
  );
});

test('a stream that ends inside a frame is noticed', () => {
  const frames = new Frames();
  frames.push(frame(Buffer.from('abc')).subarray(0, 6));
  assert.equal(frames.torn, true);
});

test('a length beyond the limit is refused before a byte of it is kept', () => {
  assert.throws(() => new Frames().push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), JobletError);
});

test('a compressed frame is refused', () => {
  assert.throws(() => new Frames().push(Buffer.from([1, 0, 0, 0, 0])), JobletError);
});
