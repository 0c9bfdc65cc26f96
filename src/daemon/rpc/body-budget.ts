// How much of requests the daemon holds at once: what has arrived of a body that is not whole yet, and
// bodies whose handlers are still at work. Without it a few clients that send big requests and never
// finish them would fill the memory, each within its own limits. There is one budget over all calls,
// and one for each client that is a part of it, so that none uses it up alone.

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
