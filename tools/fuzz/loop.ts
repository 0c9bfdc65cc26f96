// The search itself: changes inputs that are known, keeps those that reach something new, and stops at
// the first that breaks a promise. It runs in a thread of its own (see run.ts), which can be ended when
// an input holds it up.

import type { Coverage } from './coverage.ts';
import { Chance, mutate } from './mutate.ts';
import { MAX_BYTES, type Target } from './target.ts';

export interface Finding {
  readonly input: Buffer;
  readonly error: unknown;
}

/** What a search may go by and has to tell. */
export interface Search {
  readonly seed: number;
  /** Inputs to begin with, beside the target's seeds. */
  readonly known: readonly Buffer[];
  readonly coverage: Pick<Coverage, 'isNew' | 'note'>;
  /** Told of each input before it is tried. */
  readonly trying: (input: Buffer) => void;
  /** Told of each input that is kept. */
  readonly kept: (input: Buffer) => void;
  /** Asked now and then whether to go on. */
  readonly goesOn: () => boolean;
}

/** Inputs between two looks at the coverage, which costs as much as many of them. */
const BATCH = 64;

/** Every so many batches, each input is looked at, for counts as well. */
const COUNTING = 32;

/** One execution that takes more processor time, again and again, is a finding. */
const SLOW_MS = 500;

/** Searches until something is found, or it is told to stop. */
export async function search(target: Target, plan: Search): Promise<Finding | undefined> {
  const { coverage } = plan;
  const chance = new Chance(plan.seed);
  const corpus = [...target.seeds.map((seed) => Buffer.from(seed as string)), ...plan.known];
  if (corpus.length === 0) corpus.push(Buffer.alloc(0));
  const material = {
    chance,
    corpus,
    words: target.words ?? [],
    maxBytes: target.maxBytes ?? MAX_BYTES,
  };
  let finding: Finding | undefined;
  const attempt = async (input: Buffer) => {
    plan.trying(input);
    finding ??= await execute(target, input);
  };
  for (const input of corpus) await attempt(input);
  coverage.note();
  for (let batch = 1; finding === undefined && plan.goesOn(); batch++) {
    const inputs: Buffer[] = [];
    for (let at = 0; at < BATCH && finding === undefined; at++) {
      const input = mutate(choose(corpus, chance), material);
      inputs.push(input);
      await attempt(input);
    }
    const counting = batch % COUNTING === 0;
    if (!coverage.isNew() && !counting) continue;
    // Something in this batch is new: which of them was it?
    for (const input of inputs) {
      if (finding !== undefined) break;
      await attempt(input);
      if (!coverage.note()) continue;
      corpus.push(input);
      plan.kept(input);
    }
  }
  return finding;
}

/** Mostly one of the last: what was found late leads further. */
function choose(corpus: readonly Buffer[], chance: Chance): Buffer {
  const late = Math.max(1, Math.ceil(corpus.length / 4));
  if (chance.below(2) === 0) return chance.one(corpus.slice(-late));
  return chance.one(corpus);
}

/** Runs a target once; the answer is what was found, if anything. */
export async function execute(target: Target, input: Buffer): Promise<Finding | undefined> {
  const copy = Buffer.from(input);
  try {
    let ms = await timeOf(target, copy);
    // The machine may have been busy with something else.
    for (let again = 0; ms > SLOW_MS && again < 2; again++) {
      ms = Math.min(ms, await timeOf(target, copy));
    }
    if (ms > SLOW_MS) throw new Error(`took ${ms.toFixed(0)} ms for ${input.length} bytes`);
    requireUntouched();
    return undefined;
  } catch (error) {
    return { input, error };
  }
}

async function timeOf(target: Target, input: Buffer): Promise<number> {
  const before = process.threadCpuUsage();
  const running = target.run(input);
  if (running !== undefined) await running;
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

const shared = [
  Object.prototype,
  Array.prototype,
  Function.prototype,
  Map.prototype,
  String.prototype,
];
const ownKeys = shared.map((one) => Reflect.ownKeys(one).length);

/** No input may reach what all objects share. */
function requireUntouched(): void {
  for (const [at, one] of shared.entries()) {
    if (Reflect.ownKeys(one).length !== ownKeys[at]) throw new Error('a prototype was changed');
  }
}

const SHORTENINGS = 2000;

/** The finding with as little input as still leads to the same error. */
export async function shorten(
  target: Target,
  finding: Finding,
  trying: (input: Buffer) => void,
): Promise<Finding> {
  let best = finding;
  let left = SHORTENINGS;
  for (let size = best.input.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < best.input.length && left > 0; left--) {
      const input = Buffer.concat([best.input.subarray(0, at), best.input.subarray(at + size)]);
      trying(input);
      const found = await execute(target, input);
      if (found !== undefined && isSame(found.error, finding.error)) best = found;
      else at += size;
    }
  }
  return best;
}

/** Whether two errors come from the same place; their texts may quote their inputs. */
function isSame(one: unknown, other: unknown): boolean {
  return placeOf(one) === placeOf(other);
}

function placeOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : String(error);
  return stack.split('\n').find((line) => /^\s+at /.test(line)) ?? stack;
}
