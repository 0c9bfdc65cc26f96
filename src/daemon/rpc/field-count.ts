// How many fields a request has, told before anything is made of it. A field of two bytes becomes an
// object of a hundred and takes as much longer to read as it took to send: 64 million of them fit into
// the biggest message, and reading them would hold everybody up for a minute.

import type { DescField, DescMessage } from '@bufbuild/protobuf';

/** Fields of one request, those of its parts included: files by the ten thousand have fewer. */
export const MAX_FIELDS = 200_000;

/** A tag and a value have two bytes at least. */
const LEAST_FIELD_BYTES = 2;

/** Whether a message has more than MAX_FIELDS fields. What is no message is for its reader to say. */
export function hasTooManyFields(schema: DescMessage, bytes: Uint8Array): boolean {
  if (bytes.length <= MAX_FIELDS * LEAST_FIELD_BYTES) return false;
  return countFields(schema, bytes, MAX_FIELDS) > MAX_FIELDS;
}

/** Counts the fields of a message up to a little more than `limit`, or up to what cannot be read. */
export function countFields(schema: DescMessage, bytes: Uint8Array, limit: number): number {
  const counter = new Counter(bytes, limit);
  counter.count(schema, bytes.length);
  return counter.fields;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const GROUP = 3;
const GROUP_END = 4;
const FIXED32 = 5;

const MAX_VARINT_BYTES = 10;

class Counter {
  fields = 0;
  readonly #bytes: Uint8Array;
  readonly #limit: number;
  #at = 0;

  constructor(bytes: Uint8Array, limit: number) {
    this.#bytes = bytes;
    this.#limit = limit;
  }

  /** Counts up to `end`. False when there is nothing more to be counted. */
  count(schema: DescMessage | undefined, end: number): boolean {
    while (this.#at < end) {
      const tag = this.#varint();
      this.fields++;
      if (this.fields > this.#limit || !this.#skip(schema, tag, end)) return false;
    }
    return this.#at === end;
  }

  #skip(schema: DescMessage | undefined, tag: number, end: number): boolean {
    switch (tag % 8) {
      case VARINT:
        this.#varint();
        break;
      case FIXED64:
        this.#at += 8;
        break;
      case FIXED32:
        this.#at += 4;
        break;
      case LENGTH:
        return this.#skipLength(schema, tag, end);
      case GROUP:
      case GROUP_END:
        break;
      default:
        return false;
    }
    return this.#at <= end;
  }

  #skipLength(schema: DescMessage | undefined, tag: number, end: number): boolean {
    const length = this.#varint();
    const stop = this.#at + length;
    if (stop > end) return false;
    const field = schema === undefined ? undefined : fieldsOf(schema).get(Math.floor(tag / 8));
    if (field?.message !== undefined) return this.count(field.message, stop);
    // The entries of a map are messages as well, of two fields that are none.
    if (field?.fieldKind === 'map') return this.count(undefined, stop);
    // Numbers of a list may stand packed.
    if (field?.fieldKind === 'list' && isNumeric(field)) this.fields += length;
    this.#at = stop;
    return this.fields <= this.#limit;
  }

  /** A number, near enough where it is too big to be a length. */
  #varint(): number {
    let value = 0;
    for (let place = 1, count = 0; count < MAX_VARINT_BYTES; count++, place *= 128) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte % 128) * place;
      if (byte < 128) break;
    }
    return value;
  }
}

const known = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsOf(schema: DescMessage): ReadonlyMap<number, DescField> {
  let fields = known.get(schema);
  if (fields === undefined) {
    fields = new Map(schema.fields.map((field) => [field.number, field]));
    known.set(schema, fields);
  }
  return fields;
}

const STRING = 9;
const BYTES = 12;

function isNumeric({ scalar }: DescField): boolean {
  return scalar !== STRING && scalar !== BYTES;
}
