// How values are spread, in buckets that are given once.

import type { Distribution, Labels } from './exposition.ts';

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` rise; whatever is above the last one has a bucket too. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (value > (this.#bounds[at] ?? Number.POSITIVE_INFINITY)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  distribution(labels?: Labels): Distribution {
    const { length } = this.#counts;
    const counts = Array.from({ length }, (_, at) => this.#counts[at] ?? 0);
    return { ...(labels && { labels }), bounds: this.#bounds, counts, sum: this.#sum };
  }
}
