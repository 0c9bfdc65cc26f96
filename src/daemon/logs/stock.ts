// Buffers that serve again. V8 collects its whole heap, at the cost of some tens of milliseconds, when
// some MB of buffers were made since the last time; those that output passes through are made once.

/** Buffers of one size. */
export class Stock {
  readonly bytes: number;
  readonly #kept: number;
  readonly #free: Buffer<ArrayBuffer>[] = [];

  /** Keeps so many that nobody uses. */
  constructor(bytes: number, kept: number) {
    this.bytes = bytes;
    this.#kept = kept;
  }

  /** One with anything in it. */
  take(): Buffer<ArrayBuffer> {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  /** Of this stock, and nobody reads or writes it any more. */
  give(buffer: Buffer<ArrayBuffer>): void {
    if (this.#free.length < this.#kept) this.#free.push(buffer);
  }
}
