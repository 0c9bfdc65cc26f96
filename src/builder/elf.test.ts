import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseElf } from './elf.ts';
import { makeElf } from './elf-samples.ts';

const wish = {
  interpreter: '/lib64/ld-linux-x86-64.so.2',
  needed: ['libc.so.6', 'libm.so.6'],
  runpath: '$ORIGIN/../lib:/opt/lib',
  soname: 'libx.so.1',
};

for (const bits of [32, 64] as const) {
  test(`what a program of ${bits} bits needs is read`, () => {
    const elf = parseElf(makeElf({ ...wish, bits }));
    assert.deepEqual(elf, {
      bits,
      machine: 62,
      interpreter: '/lib64/ld-linux-x86-64.so.2',
      needed: ['libc.so.6', 'libm.so.6'],
      searchPath: ['$ORIGIN/../lib', '/opt/lib'],
      soname: 'libx.so.1',
    });
  });
}

test('this very Node needs the C library of its dynamic linker', () => {
  const elf = parseElf(readFileSync(process.execPath));
  assert.match(elf?.interpreter ?? '', /\/ld-/);
  assert.ok(elf?.needed.includes('libc.so.6'));
});

test('what is no ELF file, or is cut off or changed, is refused or read within its bounds', () => {
  assert.equal(parseElf(Buffer.from('#!/bin/sh\n')), undefined);
  const whole = makeElf({ ...wish, bits: 64 });
  fc.assert(
    fc.property(
      fc.nat(whole.length),
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }),
      (length, changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        const elf = parseElf(bytes.subarray(0, length));
        for (const name of elf?.needed ?? []) assert.ok(name.length <= 4096);
        assert.ok((elf?.needed.length ?? 0) <= 4096);
      },
    ),
    { numRuns: 2000 },
  );
});
