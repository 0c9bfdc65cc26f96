import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { GetJobStatusResponseSchema, RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import { countFields, hasTooManyFields, MAX_FIELDS } from './field-count.ts';

test('fields are counted through lists, maps and parts', () => {
  const request = create(RunJobRequestSchema, {
    command: 'x',
    args: ['', 'a'],
    environment: { A: '1' },
    uploads: [{ path: 'a', mode: 1 }, {}],
  });
  // The command, two arguments, a variable with name and value, two uploads, one of them of two.
  const bytes = toBinary(RunJobRequestSchema, request);
  assert.equal(countFields(RunJobRequestSchema, bytes, 100), 1 + 2 + 3 + 2 + 2);
});

test('packed numbers are no fewer than they are', () => {
  const gpuIndices = Array.from({ length: 50 }, (_, at) => at);
  const message = create(GetJobStatusResponseSchema, { gpuIndices });
  const bytes = toBinary(GetJobStatusResponseSchema, message);
  assert.ok(countFields(GetJobStatusResponseSchema, bytes, 1000) >= 50);
});

test('counting ends soon after the limit', () => {
  // Tag and length of an empty argument, again and again.
  const bytes = Buffer.alloc(2 * (MAX_FIELDS + 5)).fill(Buffer.from([0x1a, 0]));
  assert.equal(hasTooManyFields(RunJobRequestSchema, bytes), true);
  assert.equal(countFields(RunJobRequestSchema, bytes, 7), 8);
  const few = bytes.subarray(0, 2 * MAX_FIELDS);
  assert.equal(hasTooManyFields(RunJobRequestSchema, few), false);
});

test('any bytes at all are counted, and no more fields than they can hold', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.ok(countFields(RunJobRequestSchema, bytes, 1000) <= bytes.length + 1);
    }),
    { numRuns: 2000 },
  );
});
