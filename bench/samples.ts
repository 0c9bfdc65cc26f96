// What a trial has measured so far, by what it is of; each of them becomes a row.

import { spreadOf } from './spread.ts';
import type { Row } from './trial.ts';

const NS_PER_MS = 1e6;

export class Samples {
  readonly #unit: string;
  readonly #byName = new Map<string, number[]>();

  /** The rows come in the order of `names`, and then in that of their first samples. */
  constructor(unit: string, names: readonly string[] = []) {
    this.#unit = unit;
    for (const name of names) this.#byName.set(name, []);
  }

  note(name: string, value: number): void {
    const list = this.#byName.get(name);
    if (list === undefined) this.#byName.set(name, [value]);
    else list.push(value);
  }

  /** The same where the unit is ms. */
  noteNs(name: string, ns: number): void {
    this.note(name, ns / NS_PER_MS);
  }

  /** Forgets what came before the first round. */
  clear(): void {
    this.#byName.clear();
  }

  rows(): Row[] {
    return [...this.#byName].map(([name, values]) => ({
      name,
      unit: this.#unit,
      spread: spreadOf(values),
    }));
  }
}
