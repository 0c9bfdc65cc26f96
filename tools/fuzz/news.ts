// What a thread that runs a target is told, and what it tells.

import type { Totals } from './coverage.ts';

/** What the thread is given. */
export interface Order {
  readonly name: string;
  readonly seed: number;
  readonly ms: number;
  /** Inputs known from before. */
  readonly known: readonly Uint8Array[];
  /** Only try those. */
  readonly replay: boolean;
  /** Where it says what it is at: executions, bytes of the input, the input. */
  readonly shared: SharedArrayBuffer;
}

/** What the thread says. */
export type News =
  | { readonly kind: 'kept'; readonly input: Uint8Array }
  | { readonly kind: 'found'; readonly input: Uint8Array; readonly error: string }
  | { readonly kind: 'done'; readonly totals: Totals; readonly missed: readonly string[] };

/** Bytes of the two counters in front of the input. */
export const HEAD_BYTES = 8;
