import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { evenKeystore } from './keystore.ts';

/** A keystore as Java writes it. */
function keystore(entries: readonly (readonly [alias: string, timeMs: number])[]): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(0xfeedfeed, 0);
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(entries.length, 8);
  const text = (word: string) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(word.length);
    return Buffer.concat([length, Buffer.from(word)]);
  };
  const parts = entries.map(([alias, timeMs]) => {
    const tag = Buffer.from([0, 0, 0, 2]);
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(timeMs));
    const certificate = Buffer.from([0, 0, 0, 3, 1, 2, 3]);
    return Buffer.concat([tag, text(alias), time, text('X.509'), certificate]);
  });
  const body = Buffer.concat([head, ...parts]);
  const password = Buffer.from('changeit', 'utf16le').swap16();
  const digest = createHash('sha1').update(password).update('Mighty Aphrodite').update(body);
  return Buffer.concat([body, digest.digest()]);
}

test('a list of authorities is the same whenever and in whatever order it was made', () => {
  const first = keystore([
    ['b', 5],
    ['a', 7],
  ]);
  const second = keystore([
    ['a', 99],
    ['b', 98],
  ]);
  assert.deepEqual(evenKeystore(first, 0), evenKeystore(second, 0));
  assert.deepEqual(
    evenKeystore(first, 3),
    keystore([
      ['a', 3],
      ['b', 3],
    ]),
  );
});

test('what is no list of authorities is left alone', () => {
  const whole = keystore([
    ['a', 1],
    ['b', 2],
  ]);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), (length) => {
      assert.equal(evenKeystore(whole.subarray(0, length), 0), undefined);
    }),
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void evenKeystore(Buffer.from(bytes), 0)));
});
