// Protocol Buffers for the messages the client itself sends and reads, from tables of field numbers.
//
// Why not the generated code: loading it decodes the descriptors of the whole API, 18 ms of a
// process that is to be done in 50. A table costs nothing until it is used. The values are those of
// the generated code, field for field (64-bit integers are bigint, bytes are Uint8Array, nothing is
// absent but messages), so the two can be mixed; wire.test.ts compares every table with it.

import { JobletError } from '../shared/errors.ts';

interface Scalars {
  readonly string: string;
  readonly bytes: Uint8Array;
  readonly bool: boolean;
  readonly int32: number;
  readonly uint32: number;
  readonly int64: bigint;
  readonly uint64: bigint;
}

type Scalar = keyof Scalars;

/** Number, type, and how often: once, as a list, or as a map from string to string. */
export type Field =
  | readonly [number: number, type: Scalar | Shape]
  | readonly [number: number, type: Scalar | Shape, many: 'list']
  | readonly [number: number, type: 'string', many: 'map'];

/** The fields of a message. */
export interface Shape {
  readonly [name: string]: Field;
}

type One<T> = T extends Scalar ? Scalars[T] : T extends Shape ? Message<T> : never;

type Value<F> = F extends readonly [number, infer T, infer Many]
  ? Many extends 'map'
    ? Record<string, string>
    : One<T>[]
  : F extends readonly [number, infer T]
    ? T extends Shape
      ? Message<T> | undefined
      : One<T>
    : never;

type OneInput<T> = T extends Scalar ? Scalars[T] : T extends Shape ? Input<T> : never;

type InputValue<F> = F extends readonly [number, infer T, infer Many]
  ? Many extends 'map'
    ? Readonly<Record<string, string>>
    : readonly OneInput<T>[]
  : F extends readonly [number, infer T]
    ? OneInput<T>
    : never;

/** A message as it is read: every field is there, absent ones with their default. */
export type Message<S> = { -readonly [K in keyof S]: Value<S[K]> };

/** A message as it is written: what is left out has its default. */
export type Input<S> = { readonly [K in keyof S]?: InputValue<S[K]> | undefined };

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** Messages inside messages; the API nests twice. */
const MAX_DEPTH = 16;

/** The bytes of a message. Defaults are left out, as proto3 has it. */
export function encode<S extends Shape>(shape: S, message: Input<S>): Buffer {
  const values = message as Readonly<Record<string, unknown>>;
  return Buffer.concat(
    Object.entries(shape).flatMap(([name, field]) => encodeField(field, values[name])),
  );
}

function encodeField([number, type, many]: Field, value: unknown): Buffer[] {
  if (value === undefined) return [];
  if (many === 'map') {
    return Object.entries(value as Record<string, string>).flatMap(([key, text]) =>
      lengthPrefixed(number, encode(mapEntry, { key, value: text })),
    );
  }
  if (many === 'list') return (value as unknown[]).flatMap((one) => encodeOne(number, type, one));
  return isDefault(value) ? [] : encodeOne(number, type, value);
}

const mapEntry = { key: [1, 'string'], value: [2, 'string'] } as const satisfies Shape;

function isDefault(value: unknown): boolean {
  return (
    value === '' ||
    value === 0 ||
    value === 0n ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

function encodeOne(number: number, type: Scalar | Shape, value: unknown): Buffer[] {
  if (typeof type === 'object') return lengthPrefixed(number, encode(type, value as Input<Shape>));
  switch (type) {
    case 'string':
      return lengthPrefixed(number, Buffer.from(value as string));
    case 'bytes':
      return lengthPrefixed(number, value as Uint8Array);
    case 'bool':
    case 'int32':
    case 'uint32':
    case 'int64':
    case 'uint64':
      // Negative numbers travel as 64 bits in two's complement.
      return [tag(number, VARINT), varint(BigInt.asUintN(64, BigInt(value as number | bigint)))];
  }
}

function lengthPrefixed(number: number, bytes: Uint8Array): Buffer[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return [tag(number, LENGTH), varint(BigInt(bytes.length)), view];
}

function tag(number: number, wireType: number): Buffer {
  return varint(BigInt((number << 3) | wireType));
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/**
 * Reads a message. Fields that the shape does not know are passed over.
 * @throws JobletError unavailable, when the bytes are no such message
 */
export function decode<S extends Shape>(shape: S, bytes: Uint8Array): Message<S> {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return decodeMessage(shape, source, 0) as Message<S>;
}

function decodeMessage(shape: Shape, source: Buffer, depth: number): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw unreadable();
  const message: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(shape)) message[name] = defaultOf(field);
  const names = namesOf(shape);
  const reader = new Reader(source);
  while (!reader.atEnd) {
    const tag = reader.varint();
    const wireType = Number(tag & 7n);
    const name = names.get(Number(tag >> 3n));
    const field = name === undefined ? undefined : shape[name];
    if (name === undefined || field === undefined) reader.skip(wireType);
    else decodeField(message, name, field, wireType, reader, depth);
  }
  return message;
}

const namesByShape = new WeakMap<Shape, Map<number, string>>();

function namesOf(shape: Shape): Map<number, string> {
  let names = namesByShape.get(shape);
  if (names === undefined) {
    names = new Map(Object.entries(shape).map(([name, [number]]) => [number, name]));
    namesByShape.set(shape, names);
  }
  return names;
}

function defaultOf([, type, many]: Field): unknown {
  if (many === 'list') return [];
  if (many === 'map') return {};
  return typeof type === 'object' ? undefined : defaults[type];
}

const defaults: { readonly [T in Scalar]: Scalars[T] } = {
  string: '',
  bytes: new Uint8Array(0),
  bool: false,
  int32: 0,
  uint32: 0,
  int64: 0n,
  uint64: 0n,
};

function decodeField(
  message: Record<string, unknown>,
  name: string,
  [, type, many]: Field,
  wireType: number,
  reader: Reader,
  depth: number,
): void {
  const expected = typeof type === 'object' || type === 'string' || type === 'bytes' ? LENGTH : 0;
  if (many === 'list' && wireType === LENGTH && expected === VARINT) {
    const packed = new Reader(reader.bytes());
    while (!packed.atEnd) (message[name] as unknown[]).push(decodeOne(type, packed, depth));
    return;
  }
  if (wireType !== expected) throw unreadable();
  if (many === 'map') {
    const entry = decodeMessage(mapEntry, reader.bytes(), depth + 1);
    // Not an assignment: a key such as __proto__ is a key like any other.
    Object.defineProperty(message[name], entry['key'] as string, {
      value: entry['value'],
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else if (many === 'list') (message[name] as unknown[]).push(decodeOne(type, reader, depth));
  else message[name] = decodeOne(type, reader, depth);
}

function decodeOne(type: Scalar | Shape, reader: Reader, depth: number): unknown {
  if (typeof type === 'object') return decodeMessage(type, reader.bytes(), depth + 1);
  switch (type) {
    case 'string':
      return reader.bytes().toString();
    case 'bytes':
      return reader.bytes();
    case 'bool':
      return reader.varint() !== 0n;
    case 'int32':
      return Number(BigInt.asIntN(32, reader.varint()));
    case 'uint32':
      return Number(BigInt.asUintN(32, reader.varint()));
    case 'int64':
      return BigInt.asIntN(64, reader.varint());
    case 'uint64':
      return BigInt.asUintN(64, reader.varint());
  }
}

class Reader {
  readonly #source: Buffer;
  #offset = 0;

  constructor(source: Buffer) {
    this.#source = source;
  }

  get atEnd(): boolean {
    return this.#offset >= this.#source.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#source[this.#offset++];
      if (byte === undefined) throw unreadable();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw unreadable();
  }

  bytes(): Buffer {
    return this.#take(Number(this.varint()));
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === FIXED64) this.#take(8);
    else if (wireType === LENGTH) this.bytes();
    else if (wireType === FIXED32) this.#take(4);
    else throw unreadable();
  }

  #take(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#source.length) throw unreadable();
    const taken = this.#source.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}

function unreadable(): JobletError {
  return new JobletError(
    'unavailable',
    'the answer cannot be read: it is not a message of the Joblet API; compare `rnx version` on both sides',
  );
}
