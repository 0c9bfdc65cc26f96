import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  address6,
  candidates,
  findFree,
  formatAddress,
  formatCidr,
  localPrefix,
  overlaps,
  parseCidr,
  sizeOf,
} from './cidr.ts';

const cidrs = fc
  .record({ prefix: fc.integer({ min: 16, max: 30 }), at: fc.nat() })
  .map(({ prefix, at }) => {
    const size = 2 ** (32 - prefix);
    return { first: 0x0a000000 + ((at * size) % 2 ** 24), prefix };
  });

test('what is written of a range is read back', () => {
  fc.assert(fc.property(cidrs, (cidr) => assert.deepEqual(parseCidr(formatCidr(cidr)), cidr)));
});

for (const [text, problem] of [
  ['', /is no range of IPv4 addresses; write it as 10\.10\.0\.0\/24/],
  ['10.0.0.0', /is no range/],
  ['10.0.0.256/24', /is no range/],
  ['10.0.0.0/33', /is no range/],
  ['fd00::/64', /is no range/],
  ['10.10.0.1/24', /is not where a \/24 begins; did you mean 10\.10\.0\.0\/24\?/],
  ['10.10.0.0/31', /has a prefix of 31; use one from 8 to 30/],
  ['0.0.0.0/0', /has a prefix of 0/],
  [
    '8.8.8.0/24',
    /is not private; take it from 10\.0\.0\.0\/8, 172\.16\.0\.0\/12, 192\.168\.0\.0\/16/,
  ],
  ['172.0.0.0/8', /is not private/],
] as const) {
  test(`the range ${JSON.stringify(text)} is refused`, () => {
    const result = parseCidr(text);
    assert.match(typeof result === 'string' ? result : 'accepted', problem);
  });
}

test('ranges overlap exactly when they share an address', () => {
  fc.assert(
    fc.property(cidrs, cidrs, (a, b) => {
      const last = (each: typeof a) => each.first + sizeOf(each) - 1;
      const shared = Math.max(a.first, b.first) <= Math.min(last(a), last(b));
      assert.equal(overlaps(a, b), shared);
    }),
  );
});

test('a range that is found overlaps none of those that are there', () => {
  const start = { first: 0xac140000, prefix: 16 };
  const taken = [start, { first: 0xac100000, prefix: 13 }];
  const found = findFree(candidates(start), taken);
  assert.equal(found && formatCidr(found), '172.24.0.0/16');
  assert.equal(findFree(candidates(start), [{ first: 0, prefix: 0 }]), undefined);
});

test('an IPv6 address says which IPv4 address it stands beside', () => {
  const prefix = localPrefix('/opt/joblet/state');
  assert.match(prefix, /^fd[0-9a-f]{2}:[0-9a-f]{4}:[0-9a-f]{4}$/);
  assert.equal(address6('fd00:1:2', 3, 0x0a0a0005), 'fd00:1:2:3::a0a:5');
  assert.equal(formatAddress(0x0a0a0005), '10.10.0.5');
  assert.equal(address6('fd00:0a:0', 3, 5), 'fd00:a:0:3::5');
});
