import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatAnswer,
  formatError,
  formatQuery,
  NO_SUCH_NAME,
  parseAnswer,
  parseQuery,
  TYPE_A,
  TYPE_AAAA,
  withId,
} from './dns-message.ts';

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const names = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join('.'));
const ids = fc.integer({ min: 0, max: 0xffff });

test('a query that was written is read back', () => {
  fc.assert(
    fc.property(ids, names, fc.constantFrom(TYPE_A, TYPE_AAAA, 16), (id, name, type) => {
      const question = parseQuery(formatQuery(id, name, type));
      assert.deepEqual([question?.id, question?.name, question?.type], [id, name, type]);
    }),
  );
});

test('an answer tells the addresses of the family that was asked for', () => {
  const addresses = ['10.10.0.5', 'fd12:3456:789a:3::a0a:5'];
  for (const [type, address] of [
    [TYPE_A, '10.10.0.5'],
    [TYPE_AAAA, 'fd12:3456:789a:3:0:0:a0a:5'],
  ] as const) {
    const question = parseQuery(formatQuery(7, 'service-a', type));
    assert.ok(question);
    const answer = parseAnswer(formatAnswer(question, addresses, 5));
    assert.deepEqual(answer?.addresses, [{ address, ttlSeconds: 5 }]);
    assert.equal(answer?.id, 7);
  }
});

test('addresses count also behind another word for the name, and those of strangers do not', () => {
  const question = formatQuery(1, 'a.example', TYPE_A);
  const record = (owner: number[], type: number, data: number[]) =>
    Buffer.from([...owner, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]);
  const alias = [1, 98, 0xc0, 14]; // b, and what follows the a in the question
  const stranger = [1, 99, 0];
  const head = Buffer.from(question);
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(3, 6);
  const answer = parseAnswer(
    Buffer.concat([
      head,
      record([0xc0, 12], 5, alias),
      record(stranger, TYPE_A, [6, 6, 6, 6]),
      record(alias, TYPE_A, [192, 0, 2, 9]),
    ]),
  );
  assert.deepEqual(answer?.addresses, [{ address: '192.0.2.9', ttlSeconds: 60 }]);
});

test('an error says what was asked, with the id that it was asked by', () => {
  const question = parseQuery(formatQuery(9, 'nobody', TYPE_A));
  assert.ok(question);
  const answer = parseAnswer(withId(formatError(question, NO_SUCH_NAME), 10));
  assert.deepEqual([answer?.id, answer?.code, answer?.addresses], [10, NO_SUCH_NAME, []]);
});

test('a name that points to itself, is too long or goes on behind the end is no name', () => {
  const head = formatQuery(1, 'a', TYPE_A).subarray(0, 12);
  const rest = [0, 1, 0, 1];
  for (const name of [
    [0xc0, 12],
    [64, ...Array(64).fill(97), 0],
    [5, 97],
    Array(130).fill([1, 97]).flat(),
  ]) {
    assert.equal(parseQuery(Buffer.concat([head, Buffer.from([...name, ...rest])])), undefined);
  }
});

test('whatever the bytes, they are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const message = Buffer.from(bytes);
      parseQuery(message);
      parseAnswer(message);
    }),
  );
});
