import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Addresses } from './addresses.ts';

const CIDR = { first: 0x0a0a0000, prefix: 28 };
const FIRST = CIDR.first + 2;
const LAST = CIDR.first + 14;

test('no address is given twice, and neither the gateway nor the ends of the range are given', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.array(fc.nat(20)),
      (start, back) => {
        const addresses = new Addresses(CIDR, start);
        const held: number[] = [];
        for (const each of back) {
          if (held.length < 13) {
            const address = addresses.take();
            assert.ok(!held.includes(address));
            assert.ok(address >= FIRST && address <= LAST);
            held.push(address);
          }
          const [given] = held.splice(each, 1);
          if (given !== undefined) addresses.release(given);
        }
      },
    ),
  );
});

test('an address that was given back is the last to be given again', () => {
  const addresses = new Addresses(CIDR, 0);
  const first = addresses.take();
  addresses.release(first);
  for (let others = 0; others < 12; others++) assert.notEqual(addresses.take(), first);
  assert.equal(addresses.take(), first);
  assert.throws(() => addresses.take(), /all 13 addresses of 10\.10\.0\.0\/28 are taken/);
});

test('the address of a job that is found again is not given to another', () => {
  const addresses = new Addresses(CIDR, 0);
  addresses.retake(FIRST);
  assert.equal(addresses.take(), FIRST + 1);
});
