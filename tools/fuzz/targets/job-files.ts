// What the helper that was within a job tells of its files: the same comes out however the stream is cut,
// in bounds, or it is refused.

import assert from 'node:assert/strict';
import { type FilesPart, readParts } from '../../../src/daemon/linux/job-files.ts';
import { JobletError } from '../../../src/shared/errors.ts';
import { collect, streamOf, target } from '../target.ts';

function frame(kind: string, ...strings: string[]): Buffer {
  const body = Buffer.from(strings.map((each) => `${each}\0`).join(''), 'latin1');
  const head = Buffer.alloc(5);
  head.writeUInt32LE(body.length);
  head.write(kind, 4);
  return Buffer.concat([head, body]);
}

const entry = (name: string, link = '') => frame('E', 'f', '644', '5', '1700000000', name, link);

/** What came of it: the parts, or why it was refused. */
async function read(pieces: readonly Buffer[]): Promise<readonly FilesPart[] | string> {
  try {
    return await collect(readParts(streamOf(pieces)));
  } catch (error) {
    const isUnknown = error instanceof Error && error.message.startsWith('files of a job: ');
    if (!(error instanceof JobletError) && !isUnknown) throw error;
    return error.message;
  }
}

export default target({
  seeds: [
    [entry('file'), frame('D', 'text'), frame('H', '4096'), frame('Z', '1', '5')],
    [entry('link', 'to'), frame('S', 'shut', 'EACCES'), frame('Z', '1', '0')],
    [frame('E', 'x', '9', 'y', '-1', '', ''), frame('Z')],
    [frame('E', 'd', '755', '9223372036854775808', '-9223372036854775808', 'd', '')],
    [entry('file'), frame('X', 'file', 'EFBIG')],
    [frame('X', 'file', 'constructor')],
    [Buffer.from([255, 255, 255, 255, 68])],
  ].map((frames) => Buffer.concat([Buffer.from([7]), ...frames])),
  words: ['E', 'D', 'Z', 'f\x00644\0', '\0\0\0\0Z', '\0-1\0', 'EACCES\0', '\xff'],
  async run(input) {
    const cut = input[0] ?? 0;
    const bytes = input.subarray(1);
    const whole = await read([bytes]);
    assert.deepEqual(await read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole);
    if (typeof whole === 'string') return;
    for (const part of whole) {
      if (!('entry' in part)) continue;
      const { mode, size, mtimeNs, path, link } = part.entry;
      assert.ok(mode >= 0 && mode <= 0o7777);
      assert.equal(BigInt.asIntN(64, size), size);
      assert.equal(BigInt.asIntN(64, mtimeNs), mtimeNs);
      assert.ok(!path.includes(0) && !link.includes(0));
    }
  },
});
