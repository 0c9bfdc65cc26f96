// A tar archive, cut anywhere: what comes out is the same however it came, and its sizes are true.

import assert from 'node:assert/strict';
import { TarReader } from '../../../src/daemon/runtimes/tar-reader.ts';
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../../../src/shared/tar-writer.ts';
import { orRefused, target } from '../target.ts';

type Whole = TarEntry & { bytes: number };

function read(input: Buffer, cut: number): Whole[] | undefined {
  return orRefused(() => {
    const entries: Whole[] = [];
    const reader = new TarReader({
      begin: (entry) => entries.push({ ...entry, bytes: 0 }),
      write: (bytes) => {
        const last = entries.at(-1);
        assert.ok(last !== undefined, 'bytes belong to an entry');
        last.bytes += bytes.length;
      },
    });
    for (let at = 0; at < input.length; at += cut) reader.push(input.subarray(at, at + cut));
    reader.end();
    return entries;
  }, 'invalid');
}

const plain: TarEntry = {
  path: 'x/runtime.yml',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 42,
  size: 5,
  time: 0,
  target: '',
};
const long = `x/${'long/'.repeat(40)}name`;
const archive = (...entries: TarEntry[]) =>
  Buffer.concat([
    ...entries.flatMap((entry) => [
      tarHeader(entry),
      Buffer.alloc(entry.size, 'x'),
      tarPadding(entry.size),
    ]),
    tarEnd(),
  ]);

export default target({
  maxBytes: 4096,
  seeds: [
    archive(plain),
    archive({ ...plain, type: 'link', size: 0, target: '/bin/sh' }, { ...plain, path: long }),
    archive({ ...plain, type: 'copy', size: 0, target: long }),
    archive({ ...plain, type: 'folder', size: 0 }),
  ],
  words: ['ustar\0', '0000644\0', '20 path=../evil\n', '18 size=99999999\n', 'GNU.sparse.', '\x80'],
  run(input) {
    const whole = read(input, Math.max(1, input.length));
    assert.deepEqual(read(input, 7), whole);
    assert.deepEqual(read(input, 512), whole);
    for (const entry of whole ?? []) {
      assert.equal(entry.bytes, entry.size);
      assert.ok(entry.type === 'file' || entry.size === 0);
      assert.ok(entry.bytes <= input.length);
    }
  },
});
