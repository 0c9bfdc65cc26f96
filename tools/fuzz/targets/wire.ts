// Messages of the API as the client reads them: they mean what they mean to the generated code.

import assert from 'node:assert/strict';
import { type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as messages from '../../../src/client/messages.ts';
import { decode, encode, type Message, type Shape } from '../../../src/client/wire.ts';
import * as common from '../../../src/gen/joblet/common_pb.ts';
import * as jobs from '../../../src/gen/joblet/jobs_pb.ts';
import * as monitoring from '../../../src/gen/joblet/monitoring_pb.ts';
import { orRefused, target } from '../target.ts';

const generated: Readonly<Record<string, unknown>> = { ...common, ...jobs, ...monitoring };
const shapes = Object.entries(messages) as [string, Shape][];

function shapeAt(byte: number): [string, Shape] {
  return shapes[byte % shapes.length] as [string, Shape];
}

function seedOf(name: string, message: object): Buffer {
  const at = shapes.findIndex(([known]) => known === name);
  return Buffer.concat([Buffer.from([at]), encode(shapeAt(at)[1], message)]);
}

const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';

export default target({
  seeds: [
    seedOf('RunJobRequest', {
      command: 'make',
      args: ['', '-j'],
      maxCpu: -1,
      environment: { A: '1', B: '' },
      uploads: [{ path: 'a', content: Buffer.from([1, 2]), mode: 0o755 }],
      timeoutMs: 5n,
      stdin: true,
    }),
    seedOf('GetJobStatusResponse', {
      uuid,
      exitCode: -1,
      gpuIndices: [0, 1, 300],
      environment: { __proto__x: 'y' },
      timeoutMs: 2n ** 62n,
    }),
    ...shapes.map(([name]) => seedOf(name, {})),
  ],
  words: [
    '\n\u0001a',
    '\u0012\u0000',
    '__proto__',
    'constructor',
    '\x08\x01',
    '\xff\xff\xff\xff\x0f',
  ],
  run(input) {
    const [name, shape] = shapeAt(input[0] ?? 0);
    const bytes = input.subarray(1);
    const message: Record<string, unknown> | undefined = orRefused(
      () => decode(shape, bytes),
      'unavailable',
    );
    if (message === undefined) return;
    assert.deepEqual(Object.keys(message), Object.keys(shape));
    const written = encode(shape, message as Message<Shape>);
    assert.deepEqual(encode(shape, decode(shape, written)), written);
    const theirs = readGenerated(name, bytes);
    if (theirs !== undefined) requireSame(name, shape, theirs);
  },
});

/** What the generated code writes is read here as it is read there. */
function requireSame(name: string, shape: Shape, theirs: Generated): void {
  const mine: Record<string, unknown> = decode(shape, theirs.bytes);
  for (const [key, value] of Object.entries(mine)) {
    if (typeof value === 'object' || value === undefined) continue;
    assert.equal(value, theirs.message[key], `${name}.${key}`);
  }
}

interface Generated {
  readonly message: Readonly<Record<string, unknown>>;
  /** The message as the generated code writes it. */
  readonly bytes: Uint8Array;
}

function readGenerated(name: string, bytes: Buffer): Generated | undefined {
  const schema = generated[`${name}Schema`] as DescMessage | undefined;
  // What holds alternatives, generated code shapes differently.
  if (schema === undefined || schema.oneofs.length > 0) return undefined;
  try {
    const message = fromBinary(schema, bytes);
    return {
      message: message as unknown as Record<string, unknown>,
      bytes: toBinary(schema, message),
    };
  } catch {
    // It refuses more than we need to, such as strings that are not UTF-8.
    return undefined;
  }
}
