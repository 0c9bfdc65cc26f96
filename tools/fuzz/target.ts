// What a fuzz target is: a reader of untrusted bytes, and what must hold whatever the bytes are.

import assert from 'node:assert/strict';
import { type ErrorKind, JobletError } from '../../src/shared/errors.ts';

export interface Target {
  /** Inputs to begin with. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Words that the reader knows: they are put into inputs. */
  readonly words?: readonly string[];
  /** The longest input that is tried. */
  readonly maxBytes?: number;
  /** Gives one input to the reader. Throws when something does not hold. */
  run(input: Buffer): void | Promise<void>;
  /** Ends what would keep the process alive. */
  close?(): Promise<void>;
}

export const MAX_BYTES = 4096;

/** Keeps a target's type where it is written. */
export function target(definition: Target): Target {
  return definition;
}

/**
 * What `read` gives, or undefined when it refuses its input in one of the ways that it may. Any other
 * error passes: it is a finding.
 */
export function orRefused<T>(read: () => T, ...kinds: readonly ErrorKind[]): T | undefined {
  try {
    return read();
  } catch (error) {
    requireRefusal(error, kinds);
    return undefined;
  }
}

/** The same for readers that take their time. */
export async function orRefusedLater<T>(
  read: () => Promise<T>,
  ...kinds: readonly ErrorKind[]
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    requireRefusal(error, kinds);
    return undefined;
  }
}

/** The longest sentence that an answer can be. */
const MAX_MESSAGE_CHARS = 64 * 1024;

function requireRefusal(error: unknown, kinds: readonly ErrorKind[]): void {
  if (!(error instanceof JobletError) || !kinds.includes(error.kind)) throw error;
  assert.ok(error.message !== '', 'a refusal says why');
  assert.ok(error.message.length <= MAX_MESSAGE_CHARS, 'a refusal is no longer than its input');
}

/** All that a stream gives. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/** A stream of what is there. */
export async function* streamOf<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}
