// What programs and libraries of a tree say of themselves, and Java's list of authorities: any bytes
// are read within their bounds.

import assert from 'node:assert/strict';
import { parseElf } from '../../../src/builder/elf.ts';
import { makeElf } from '../../../src/builder/elf-samples.ts';
import { evenKeystore } from '../../../src/builder/keystore.ts';
import { target } from '../target.ts';

const keystore = Buffer.from(
  `feedfeed0000000200000001${'00000002'}000161${'00'.repeat(8)}0005582e353039${'00000001ff'}${'00'.repeat(20)}`,
  'hex',
);

export default target({
  seeds: [
    makeElf({ bits: 64, interpreter: '/lib64/ld.so', needed: ['libc.so.6'], runpath: '$ORIGIN' }),
    makeElf({ bits: 32, needed: ['a', 'b'], soname: 'c' }),
    keystore,
  ],
  run(input) {
    const elf = parseElf(input);
    for (const text of [...(elf?.needed ?? []), ...(elf?.searchPath ?? [])]) {
      assert.ok(text !== '' && text.length <= 4096);
    }
    assert.ok((elf?.needed.length ?? 0) <= 4096);
    const even = evenKeystore(input, 0);
    if (even !== undefined) assert.deepEqual(evenKeystore(even, 0), even);
  },
});
