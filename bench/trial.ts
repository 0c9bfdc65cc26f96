// A trial measures one thing: data that says what, and a body that does it. `run.ts` runs each in a
// process of its own (`one-trial.ts`), so that no trial sees the heap of another.

import type { Spread } from './spread.ts';

export interface TrialOptions {
  /** Samples of each row, where a trial takes turns. */
  readonly rounds: number;
  /** How long each row runs, where a trial counts. */
  readonly seconds: number;
  /** Jobs that are idle at once, where a trial weighs them. */
  readonly idleJobs: number;
}

/** One measured thing. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly spread: Spread;
}

/** What the rows say about each other: `numerator` over `denominator`, by their medians. */
export interface Ratio {
  readonly name: string;
  readonly value: number;
  /** What the project promises of it, as `at most 0.6`; empty when nothing is promised. */
  readonly promise: string;
}

export interface TrialResult {
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  /** What was left out and why, and what a reader has to know. */
  readonly notes: readonly string[];
}

export interface Trial {
  /** What is measured, in a sentence. */
  readonly title: string;
  /** It changes the network of its host: a network namespace of its own takes that place. */
  readonly hasOwnHost?: true;
  body(options: TrialOptions): Promise<TrialResult>;
}

/** The ratio of two rows' medians, or nothing when one of them was not measured. */
export function ratio(
  rows: readonly Row[],
  numerator: string,
  denominator: string,
  promise = '',
): Ratio[] {
  const over = rows.find((row) => row.name === numerator);
  const under = rows.find((row) => row.name === denominator);
  if (over === undefined || under === undefined) return [];
  return [
    { name: `${numerator} / ${denominator}`, value: over.spread.p50 / under.spread.p50, promise },
  ];
}
