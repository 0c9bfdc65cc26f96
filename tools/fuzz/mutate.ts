// Makes new inputs of old ones. All chance comes from one seed, so that a run can be had again.

/** Numbers from 0 to below 2^32, the same for the same seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** One of `choices`, of which there must be some. */
  one<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** Numbers at which something may tip over, as text and as bytes. */
const numbers = [
  0n,
  1n,
  2n,
  -1n,
  127n,
  128n,
  255n,
  256n,
  65_535n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 64n - 1n,
] as const;

/** Characters that mean something to many readers. */
const characters = [
  ...' \t\r\n\0"\'\\/.,:;=-+_#%&|<>[]{}()*?!~^$@`',
  '\u0085',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\u00e9',
  '\u{1f389}',
];

/** What mutations draw on. */
export interface Material {
  readonly chance: Chance;
  readonly words: readonly string[];
  /** Inputs that other parts can be taken from. */
  readonly corpus: readonly Buffer[];
  readonly maxBytes: number;
}

const MAX_STEPS = 6;

/** An input made of `input` by a few small changes. */
export function mutate(input: Buffer, material: Material): Buffer {
  const { chance, maxBytes } = material;
  let result = input;
  for (let steps = 1 + chance.below(MAX_STEPS); steps > 0; steps--) {
    result = chance.one(mutations)(result, material);
    if (result.length > maxBytes) result = result.subarray(0, maxBytes);
  }
  return result;
}

type Mutation = (input: Buffer, material: Material) => Buffer;

const mutations: readonly Mutation[] = [
  flipBit,
  (input, { chance }) => put(input, place(input, chance), 1, Buffer.from([chance.below(256)])),
  (input, { chance }) => put(input, place(input, chance), 0, Buffer.from([chance.below(256)])),
  (input, { chance }) =>
    put(input, place(input, chance), chance.below(2), Buffer.from(chance.one(characters))),
  removePart,
  repeatPart,
  movePart,
  putWord,
  putWord,
  putNumber,
  changeNumber,
  takeFromAnother,
];

function flipBit(input: Buffer, { chance }: Material): Buffer {
  if (input.length === 0) return input;
  const result = Buffer.from(input);
  const at = chance.below(input.length);
  result[at] = (result[at] ?? 0) ^ (1 << chance.below(8));
  return result;
}

function removePart(input: Buffer, { chance }: Material): Buffer {
  return put(input, place(input, chance), span(input, chance), Buffer.alloc(0));
}

const MAX_REPEATS = 64;

function repeatPart(input: Buffer, { chance }: Material): Buffer {
  const at = place(input, chance);
  const part = input.subarray(at, at + span(input, chance));
  const times = chance.below(4) === 0 ? chance.below(MAX_REPEATS) : 1;
  return put(input, at, 0, Buffer.concat(Array(times).fill(part)));
}

function movePart(input: Buffer, { chance }: Material): Buffer {
  const at = place(input, chance);
  const part = Buffer.from(input.subarray(at, at + span(input, chance)));
  const rest = put(input, at, part.length, Buffer.alloc(0));
  return put(rest, place(rest, chance), 0, part);
}

function putWord(input: Buffer, { chance, words }: Material): Buffer {
  if (words.length === 0) return input;
  const word = Buffer.from(chance.one(words));
  return put(input, place(input, chance), chance.below(3) === 0 ? word.length : 0, word);
}

function putNumber(input: Buffer, { chance }: Material): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, chance.one(numbers)));
  const width = chance.one([1, 2, 4, 8]);
  const number = bytes.subarray(0, width);
  if (chance.below(2) === 0) number.reverse();
  return put(input, place(input, chance), chance.below(4) === 0 ? 0 : width, number);
}

/** Puts another number in the place of one that is written out. */
function changeNumber(input: Buffer, { chance }: Material): Buffer {
  const found = [...input.toString('latin1').matchAll(/\d+/g)];
  if (found.length === 0) return input;
  const { index, 0: digits } = chance.one(found);
  return put(input, index, digits.length, Buffer.from(String(chance.one(numbers))));
}

function takeFromAnother(input: Buffer, { chance, corpus }: Material): Buffer {
  const other = chance.one(corpus);
  const at = place(other, chance);
  const part = other.subarray(at, at + span(other, chance));
  return put(input, place(input, chance), chance.below(2) === 0 ? part.length : 0, part);
}

/** A place in an input, its end included. */
function place(input: Buffer, chance: Chance): number {
  return chance.below(input.length + 1);
}

/** A length: mostly short, now and then up to all of it. */
function span(input: Buffer, chance: Chance): number {
  return (
    1 + chance.below(chance.below(4) === 0 ? input.length + 1 : Math.min(16, input.length + 1))
  );
}

function put(input: Buffer, at: number, replaced: number, part: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), part, input.subarray(at + replaced)]);
}
