// How much of requests the daemon holds at once, over all calls: what has arrived of a body that is
// not whole yet, and bodies whose handlers are still at work. Without it a few clients that send big
// requests and never finish them would fill the memory, each within its own limits.

export class BodyBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** More is held than should be. */
  get isSpent(): boolean {
    return this.#usedBytes > this.#limitBytes;
  }
}
