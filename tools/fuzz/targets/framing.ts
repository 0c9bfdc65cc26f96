// What a daemon sends to a client, below the messages: the same messages come out however the stream
// is cut, and a status is an error of ours or success.

import assert from 'node:assert/strict';
import { Frames, frame } from '../../../src/client/framing.ts';
import { CallError, codeOf, errorOfStatus, percentDecode } from '../../../src/client/status.ts';
import { orRefused, target } from '../target.ts';

function read(pieces: readonly Buffer[]) {
  const frames = new Frames();
  const messages = orRefused(
    () => pieces.flatMap((piece) => frames.push(piece)).map((one) => Buffer.from(one)),
    'exhausted',
    'unsupported',
  );
  return messages === undefined ? 'refused' : { messages, torn: frames.torn };
}

const seeds = [
  Buffer.concat([frame(Buffer.from('abc')), frame(Buffer.alloc(0)), frame(Buffer.from('x'))]),
  Buffer.from([1, 0, 0, 0, 0]),
  Buffer.from([0, 255, 255, 255, 255]),
  Buffer.from('5:job%20not%20found%'),
].map((bytes) => Buffer.concat([Buffer.from([6]), bytes]));

export default target({
  seeds,
  words: ['\0\0\0\0\u0001', '%20', '%', '16', '-1'],
  run(input) {
    const cut = input[0] ?? 0;
    const bytes = input.subarray(1);
    const whole = read([bytes]);
    assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole);
    if (whole !== 'refused') {
      const taken = whole.messages.reduce((sum, message) => sum + 5 + message.length, 0);
      assert.ok(taken <= bytes.length && whole.torn === taken < bytes.length);
    }
    const [status = '', message] = bytes.toString().split(':');
    const error = errorOfStatus(status, message);
    assert.ok(error === undefined || (error instanceof CallError && error.message !== ''));
    assert.ok(error === undefined || codeOf(error) === error.code);
    assert.equal(typeof percentDecode(message ?? ''), 'string');
  },
});
