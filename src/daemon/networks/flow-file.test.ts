import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFlowNews } from '../linux/flow-source.ts';
import { parseFlows } from './flow-file.ts';

const FLOW = { number: 1, atMs: 5, endedAtMs: 0, verdict: 'allowed', address: '192.0.2.1' };

test('of a flow that is written twice the last line counts, and a torn one is overlooked', () => {
  const lines = [
    { flow: FLOW, key: '7 out' },
    { flow: { ...FLOW, number: 2 }, key: '8 out' },
    { omitted: 3 },
    { flow: { ...FLOW, endedAtMs: 9 }, key: '7 out' },
    { omitted: 4 },
  ];
  const text = `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"flow":{"number":3,`;
  const { flows, open, omitted } = parseFlows(text);
  assert.deepEqual(
    [...flows.values()].map(({ number, endedAtMs }) => [number, endedAtMs]),
    [
      [1, 9],
      [2, 0],
    ],
  );
  assert.deepEqual([[...open], omitted], [[['8 out', 2]], 4]);
});

test('whatever the text, news and files of flows are read or overlooked', () => {
  const words = fc.constantFrom(
    'new ',
    'end ',
    '1 ',
    'out ',
    '6 ',
    '10.0.0.1 ',
    'fd00::1 ',
    '80 ',
    '{',
    '}',
    '\n',
    '"flow":',
    '"number":1',
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(words, { maxLength: 12 })), (made) => {
      const text = typeof made === 'string' ? made : made.join('');
      const news = parseFlowNews(text.trim());
      if (news !== undefined) assert.ok(Number.isSafeInteger(news.id));
      for (const [number] of parseFlows(text).flows) assert.ok(number >= 1);
    }),
  );
});

test('news of a connection are understood in both families', () => {
  assert.deepEqual(parseFlowNews('end 4294967295 in 17 fd00::2 2001:db8::1 53 10 20'), {
    ...{ kind: 'end', id: 4_294_967_295, isOut: false, protocol: 17 },
    ...{ job: 'fd00::2', other: '2001:db8::1', port: 53, sentBytes: 10, receivedBytes: 20 },
  });
});
