// Who has which GPU. A GPU has one job at most, from its start to its end. Nothing of it is written
// down here: what a job has stands in the record of its start, and is marked again from there.

import { choose } from './choose.ts';
import { describeWish, type GivenGpu, type Gpu, type GpuWish, type Strategy } from './gpu.ts';

export class GpuPool {
  readonly gpus: readonly Gpu[];
  readonly #strategy: Strategy;
  #problem: string;
  readonly #given = new Map<string, readonly GivenGpu[]>();
  /** By their UUIDs. */
  #lost: readonly string[] = [];

  /** `gpus` by their numbers; `problem` is why it is not known which there are, else empty. */
  constructor(gpus: readonly Gpu[], strategy: Strategy, problem = '') {
    this.gpus = gpus;
    this.#strategy = strategy;
    this.#problem = problem;
  }

  /** Why nobody can have one now; else empty. */
  get problem(): string {
    return this.#problem;
  }

  /** Says that from now on it is not known which there are. */
  close(problem: string): void {
    this.#problem = problem;
  }

  /** Says which cards answer now: who wants one of the others waits for it. */
  see(uuids: readonly string[]): void {
    this.#lost = this.gpus.map(({ uuid }) => uuid).filter((uuid) => !uuids.includes(uuid));
  }

  /** Whether there would be so many if all were free. */
  has(wish: GpuWish): boolean {
    return choose(this.gpus, wish, 'first-fit') !== undefined;
  }

  /**
   * Why a job has to wait; undefined when it is its turn: what it asked for is free, or is not there
   * at all any more, and then it fails at once rather than hold up others. What a driver that does not
   * answer may have again is not gone.
   */
  shortage(wish: GpuWish): string | undefined {
    if (this.#problem !== '') return `jobs of this node can have no GPU now: ${this.#problem}`;
    if (!this.has(wish) || this.#choose(wish) !== undefined) return undefined;
    const free = this.#free().length;
    return `the next one needs ${describeWish(wish)}, and ${free} of ${this.gpus.length} are free`;
  }

  /** Gives a job what it asked for, if that is there. */
  take(id: string, wish: GpuWish): void {
    const chosen = this.#choose(wish);
    if (chosen !== undefined)
      this.#given.set(
        id,
        chosen.map(({ index, uuid }) => ({ index, uuid })),
      );
  }

  /** Marks what a job has that an earlier daemon started. */
  retake(id: string, gpus: readonly GivenGpu[]): void {
    if (gpus.length > 0) this.#given.set(id, gpus);
  }

  release(id: string): void {
    this.#given.delete(id);
  }

  /** What a job has; nothing when it does not run. */
  of(id: string): readonly GivenGpu[] {
    return this.#given.get(id) ?? [];
  }

  /** The job that has a GPU. */
  holderOf(uuid: string): string | undefined {
    for (const [id, gpus] of this.#given) if (gpus.some((gpu) => gpu.uuid === uuid)) return id;
    return undefined;
  }

  #choose(wish: GpuWish): readonly Gpu[] | undefined {
    return choose(this.#free(), wish, this.#strategy);
  }

  #free(): Gpu[] {
    const taken = new Set([...this.#given.values()].flat().map(({ uuid }) => uuid));
    return this.gpus.filter(({ uuid }) => !taken.has(uuid) && !this.#lost.includes(uuid));
  }
}
