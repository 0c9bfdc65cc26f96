// How much of bodies the daemon holds at once. Of requests it is what has arrived of one that is not
// whole yet, and those whose handlers are still at work; of answers, what their client has not taken.
// Without it a few clients that send big requests and never finish them would fill the memory, each
// within its own limits. Of requests there is one budget over all calls, and one for each client that
// is a part of it, so that none uses it up alone.

export class BodyBudget {
  readonly #limitBytes: number;
  readonly #whole: BodyBudget | undefined;
  #usedBytes = 0;

  /** What is taken from a part is taken from the whole, too. */
  constructor(limitBytes: number, whole?: BodyBudget) {
    this.#limitBytes = limitBytes;
    this.#whole = whole;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
    this.#whole?.take(bytes);
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#whole?.give(bytes);
  }

  /** More is held than should be. */
  get isSpent(): boolean {
    return this.#usedBytes > this.#limitBytes || (this.#whole?.isSpent ?? false);
  }
}
