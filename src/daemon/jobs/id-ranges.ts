// Ranges of host ids for the user namespaces of jobs: 65,536 each, one per running job. The lowest
// free one is taken, because the launcher keeps what it made for a range and can use it again.

import { JobletError } from '../../shared/errors.ts';

export const IDS_PER_RANGE = 65_536;

export class IdRanges {
  readonly #first: number;
  readonly #count: number;
  readonly #taken = new Set<number>();
  /** Released numbers, unsorted, and the lowest never used: together all that is free. */
  readonly #free: number[] = [];
  #fresh = 0;

  /** `first` is the first host id of the first range; `count` is how many ranges there are. */
  constructor(first: number, count: number) {
    this.#first = first;
    this.#count = count;
  }

  /** The first host id of a range that no job holds. */
  take(): number {
    let index = this.#free.pop();
    while (index !== undefined && this.#taken.has(index)) index = this.#free.pop();
    while (index === undefined && this.#taken.has(this.#fresh)) this.#fresh += 1;
    index ??= this.#fresh++;
    if (index >= this.#count) {
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

  /** Marks the range of a job that an earlier daemon started. */
  retake(first: number): void {
    this.#taken.add(this.#indexOf(first));
  }

  /** Gives a range back; doing it twice does no harm. */
  release(first: number): void {
    const index = this.#indexOf(first);
    if (this.#taken.delete(index) && index < this.#fresh) this.#free.push(index);
  }

  #at(index: number): number {
    return this.#first + index * IDS_PER_RANGE;
  }

  #indexOf(first: number): number {
    return (first - this.#first) / IDS_PER_RANGE;
  }
}
