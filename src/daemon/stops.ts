// What has to be undone of what was started.

export class Stops {
  readonly #stops: (() => Promise<void> | void)[] = [];

  /** Something was started; `stop` ends it. */
  push(stop: () => Promise<void> | void): void {
    this.#stops.push(stop);
  }

  /** Ends everything, the last that was started first. */
  async run(): Promise<void> {
    for (let last = this.#stops.pop(); last !== undefined; last = this.#stops.pop()) await last();
  }
}
