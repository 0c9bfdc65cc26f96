import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import fc from 'fast-check';
import * as alerts from '../gen/joblet/alerts_pb.ts';
import * as audit from '../gen/joblet/audit_pb.ts';
import * as common from '../gen/joblet/common_pb.ts';
import * as happened from '../gen/joblet/events_pb.ts';
import * as jobs from '../gen/joblet/jobs_pb.ts';
import * as monitoring from '../gen/joblet/monitoring_pb.ts';
import * as networks from '../gen/joblet/networks_pb.ts';
import * as runtimes from '../gen/joblet/runtimes_pb.ts';
import * as scheduled from '../gen/joblet/schedules_pb.ts';
import * as volumes from '../gen/joblet/volumes_pb.ts';
import * as workflows from '../gen/joblet/workflows_pb.ts';
import { JobletError } from '../shared/errors.ts';
import * as alarms from './alert-messages.ts';
import * as builds from './build-messages.ts';
import * as events from './event-messages.ts';
import * as messages from './messages.ts';
import * as present from './runtime-messages.ts';
import * as recurring from './schedule-messages.ts';
import * as trees from './tree-messages.ts';
import { decode, encode, type Field, type Shape } from './wire.ts';
import * as flows from './workflow-messages.ts';

const generated: Readonly<Record<string, unknown>> = {
  ...alerts,
  ...audit,
  ...common,
  ...happened,
  ...jobs,
  ...monitoring,
  ...networks,
  ...runtimes,
  ...scheduled,
  ...volumes,
  ...workflows,
};

function descriptorOf(name: string): DescMessage {
  return generated[`${name}Schema`] as DescMessage;
}

const shapes = Object.entries({
  ...messages,
  ...alarms,
  ...events,
  ...builds,
  ...present,
  ...trees,
  ...flows,
  ...recurring,
}) as [string, Shape][];

const scalarNames: Readonly<Record<number, string>> = {
  [ScalarType.STRING]: 'string',
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.INT32]: 'int32',
  [ScalarType.UINT32]: 'uint32',
  [ScalarType.INT64]: 'int64',
  [ScalarType.UINT64]: 'uint64',
};

/** What a generated field would be called in a table. */
function describe(field: DescField): string {
  const type = (message: DescMessage | undefined, scalar: ScalarType | undefined) =>
    message?.name ?? scalarNames[scalar ?? 0];
  switch (field.fieldKind) {
    case 'map':
      return `${field.number} string map`;
    case 'list':
      return `${field.number} ${type(field.message, field.scalar)} list`;
    default:
      return `${field.number} ${type(field.message, field.scalar)} `;
  }
}

function nameOf(type: Field[1]): string {
  if (typeof type === 'string') return type;
  return shapes.find(([, shape]) => shape === type)?.[0] ?? 'a shape without a name';
}

test('every table agrees with the generated code, field by field', () => {
  assert.ok(shapes.length > 20);
  for (const [name, shape] of shapes) {
    const descriptor = descriptorOf(name);
    for (const [key, [number, type, many]] of Object.entries(shape)) {
      const field = descriptor.fields.find((one) => one.localName === key);
      assert.ok(field, `${name}.${key}`);
      assert.equal(`${number} ${nameOf(type)} ${many ?? ''}`, describe(field), `${name}.${key}`);
    }
  }
});

test('no table lacks a field, but for those that only the server may set', () => {
  const serverOnly = ['workflowUuid', 'jobUuid', 'requirements'];
  for (const [name, shape] of shapes) {
    const missing = descriptorOf(name).fields.filter((field) => !(field.localName in shape));
    const expected = name === 'RunJobRequest' ? serverOnly : [];
    assert.deepEqual(missing.map((field) => field.localName).sort(), expected.sort(), name);
  }
});

// Values of a shape, as fast-check makes them.
const scalarValues: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  bool: fc.boolean(),
  int32: fc.integer(),
  uint32: fc.nat(0xffffffff),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
};

function valuesOf(shape: Shape): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(
      Object.entries(shape).map(([key, [, type, many]]) => {
        const one = typeof type === 'string' ? scalarValues[type] : valuesOf(type);
        assert.ok(one);
        if (many === 'list') return [key, fc.array(one, { maxLength: 3 })];
        if (many === 'map') return [key, fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 })];
        return [key, one];
      }),
    ),
  );
}

// What holds a oneof, generated code shapes differently.
const plain = shapes.filter(([name]) => descriptorOf(name)?.oneofs.length === 0);

test('what is written is read back, by this codec and by the generated one', () => {
  for (const [name, shape] of plain) {
    const descriptor = descriptorOf(name);
    fc.assert(
      fc.property(valuesOf(shape), (value) => {
        const bytes = encode(shape, value as never);
        assert.deepEqual(normal(decode(shape, bytes)), normal(value));
        assert.deepEqual(
          Buffer.from(toBinary(descriptor, fromBinary(descriptor, bytes))),
          Buffer.from(toBinary(descriptor, create(descriptor, value as never))),
          name,
        );
      }),
      { numRuns: 20 },
    );
  }
});

/** The same value with plain prototypes, so that only the content is compared. */
function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .map(([key, one]) => [key, normal(one)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

test('an upload part is a header or data, as the generated code has it', () => {
  const header = { path: 'a/b', mode: 0o755, isDirectory: false, size: 3n };
  const read = (part: object) =>
    fromBinary(jobs.UploadFilesRequestSchema, encode(messages.UploadFilesRequest, part)).part;
  assert.equal(read({ header }).case, 'header');
  assert.deepEqual(read({ data: Buffer.from('abc') }), {
    case: 'data',
    value: Buffer.from('abc'),
  });
});

test('fields from a newer version are passed over', () => {
  const bytes = encode(messages.GetJobStatusResponse, { uuid: 'abc', status: 'RUNNING' });
  assert.equal(decode(messages.WaitJobRequest, bytes).uuid, 'abc');
});

test('bytes that are no message are refused, never misread or looped over', () => {
  assert.throws(() => decode(messages.Job, Buffer.from([0x0a, 0x05, 0x61])), JobletError);
  assert.throws(() => decode(messages.Job, Buffer.from([0x0b])), JobletError);
  assert.throws(() => decode(messages.Job, Buffer.alloc(12, 0xff)), JobletError);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decode(messages.GetJobStatusResponse, bytes);
      } catch (error) {
        assert.ok(error instanceof JobletError);
      }
    }),
  );
});

test('a map key such as __proto__ is a key like any other', () => {
  const bytes = encode(messages.Job, { environment: JSON.parse('{"__proto__":"x"}') });
  const { environment } = decode(messages.Job, bytes);
  assert.equal(Object.getOwnPropertyDescriptor(environment, '__proto__')?.value, 'x');
  assert.equal(Object.getPrototypeOf(environment), Object.prototype);
});
