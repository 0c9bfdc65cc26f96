// The addresses of one network: the lowest is the gateway's, the others go to jobs in turn, so that the
// one that was given back last is the last to be given again.

import { type Cidr, formatCidr, sizeOf } from '../../shared/cidr.ts';
import { JobletError } from '../../shared/errors.ts';

export class Addresses {
  readonly #cidr: Cidr;
  readonly #taken = new Set<number>();
  #next: number;

  /** `start` chooses where to begin, from 0 to below 1: two daemons in a row do not begin alike. */
  constructor(cidr: Cidr, start: number) {
    this.#cidr = cidr;
    this.#next = this.#firstOfJobs + Math.floor(start * this.#count);
  }

  get gateway(): number {
    return this.#cidr.first + 1;
  }

  /** Throws `exhausted` when every address is taken. */
  take(): number {
    for (let tries = 0; tries < this.#count; tries++) {
      const address = this.#next;
      this.#next = address + 1 < this.#firstOfJobs + this.#count ? address + 1 : this.#firstOfJobs;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return address;
    }
    throw new JobletError(
      'exhausted',
      `all ${this.#count} addresses of ${formatCidr(this.#cidr)} are taken; use a bigger network, or wait`,
    );
  }

  /** Marks the address of a job that an earlier daemon started. */
  retake(address: number): void {
    this.#taken.add(address);
  }

  /** Doing it twice does no harm. */
  release(address: number): void {
    this.#taken.delete(address);
  }

  get #firstOfJobs(): number {
    return this.#cidr.first + 2;
  }

  /** Without the range's own address, the gateway's and the one for broadcasts. */
  get #count(): number {
    return sizeOf(this.#cidr) - 3;
  }
}
