import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import { digestsOf } from './request-digests.ts';

const digests = (wish: MessageInitShape<typeof RunJobRequestSchema>) =>
  digestsOf(create(RunJobRequestSchema, wish));

test('what is asked for twice has the same digests, in whatever order it stands', () => {
  const one = digests({ command: 'make', environment: { A: '1', B: '2' }, maxCpu: 50 });
  const two = digests({ maxCpu: 50, environment: { B: '2', A: '1' }, command: 'make' });
  assert.deepEqual(one, two);
  assert.deepEqual(Object.keys(one), ['command', 'max_cpu', 'environment']);
});

test('neither the key nor the id of files sent ahead is part of what was asked for', () => {
  const plain = digests({ command: 'make' });
  assert.deepEqual(digests({ command: 'make', idempotencyKey: 'k', uploadId: 'u' }), plain);
});

test('no digest shows a secret', () => {
  const text = JSON.stringify(digests({ command: 'x', secretEnvironment: { TOKEN: 'hush' } }));
  assert.doesNotMatch(text, /hush|TOKEN/);
});

test('lists of other words have other digests, however the words are cut', () => {
  const words = fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(words, words, (one, two) => {
      const isSame = JSON.stringify(one) === JSON.stringify(two);
      const digestOf = (args: string[]) => digests({ args })['args'];
      assert.equal(digestOf(one) === digestOf(two), isSame);
    }),
  );
});
