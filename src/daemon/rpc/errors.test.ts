import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as codes } from '@grpc/grpc-js';
import fc from 'fast-check';
import { errorKinds, JobletError } from '../../shared/errors.ts';
import { fitDetails, statusOf } from './errors.ts';

test('S4-25: every kind of error has its gRPC code', () => {
  const told = Object.fromEntries(
    errorKinds.map((kind) => [kind, codes[statusOf(new JobletError(kind, 'x')).code]]),
  );
  assert.deepEqual(told, {
    invalid: 'INVALID_ARGUMENT',
    unauthenticated: 'UNAUTHENTICATED',
    denied: 'PERMISSION_DENIED',
    'not-found': 'NOT_FOUND',
    exists: 'ALREADY_EXISTS',
    'wrong-state': 'FAILED_PRECONDITION',
    exhausted: 'RESOURCE_EXHAUSTED',
    unavailable: 'UNAVAILABLE',
    unsupported: 'UNIMPLEMENTED',
  });
});

test('the client of a bug gets a reference and nothing of the inside', () => {
  const status = statusOf(new TypeError('cannot read /secret/path of undefined'));
  assert.equal(status.code, codes.INTERNAL);
  assert.match(status.details, /reference [0-9a-f]{8}$/);
  assert.doesNotMatch(status.details, /secret/);
  assert.ok(status.details.endsWith(status.bug?.reference ?? 'none'));
});

test('a message always fits into a header and can be encoded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), fc.nat(40), (text, times) => {
      const fitted = fitDetails(text.repeat(times));
      assert.ok(encodeURI(fitted).length <= 6_000);
    }),
    { numRuns: 10 },
  );
  assert.equal(fitDetails('\ud800 alone'), '\ufffd alone');
});
