// Ranges of host ids for the user namespaces of jobs: 65,536 each, one per running job. The launcher
// keeps what it made for a range and can use it again, so few ranges are used, and those often: of the
// last two that were given back the one that has rested longer, for its next sandbox is made by then.

import { JobletError } from '../../shared/errors.ts';

export const IDS_PER_RANGE = 65_536;

export class IdRanges {
  readonly #first: number;
  readonly #count: number;
  readonly #taken = new Set<number>();
  /** Released numbers, the last at the end, and the lowest never used: together all that is free. */
  readonly #free: number[] = [];
  #fresh = 0;

  /** `first` is the first host id of the first range; `count` is how many ranges there are. */
  constructor(first: number, count: number) {
    this.#first = first;
    this.#count = count;
  }

  /** The first host id of a range that no job holds. */
  take(): number {
    const index = this.#next();
    if (index === undefined) {
      throw new JobletError(
        'exhausted',
        `all ${this.#count} id ranges are held by running jobs; raise joblet.idRanges or wait`,
      );
    }
    this.#taken.add(index);
    return this.#at(index);
  }

  /** The first host ids of the ranges that are taken first. */
  lowest(count: number): number[] {
    return Array.from({ length: Math.min(count, this.#count) }, (_, index) => this.#at(index));
  }

  /** Those of them that no job holds. */
  lowestFree(count: number): number[] {
    return this.lowest(count).filter((first) => !this.#taken.has(this.#indexOf(first)));
  }

  /** Marks the range of a job that an earlier daemon started. */
  retake(first: number): void {
    this.#taken.add(this.#indexOf(first));
  }

  /** Gives a range back; doing it twice does no harm. */
  release(first: number): void {
    const index = this.#indexOf(first);
    if (this.#taken.delete(index) && index < this.#fresh) this.#free.push(index);
  }

  #next(): number | undefined {
    const rested = this.#pop(2);
    if (rested !== undefined) return rested;
    while (this.#taken.has(this.#fresh)) this.#fresh += 1;
    return this.#fresh < this.#count ? this.#fresh++ : this.#pop(1);
  }

  /** The last but `behind` of those that were released, while there are so many. */
  #pop(behind: number): number | undefined {
    while (this.#free.length >= behind) {
      const [index] = this.#free.splice(-behind, 1);
      if (index !== undefined && !this.#taken.has(index)) return index;
    }
    return undefined;
  }

  #at(index: number): number {
    return this.#first + index * IDS_PER_RANGE;
  }

  #indexOf(first: number): number {
    return (first - this.#first) / IDS_PER_RANGE;
  }
}
