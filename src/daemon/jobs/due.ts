// Jobs that start later: one timer, on the earliest of them.

/** Time and timers, so that a test can stand in for them. */
export interface Clock {
  now(): number;
  /** Calls back once, at or after `atMs`; returns how to take it back. */
  at(atMs: number, callback: () => void): () => void;
}

/** The longest that one timer runs; what is due later is looked at again then. */
const LONGEST_TIMER_MS = 24 * 3600 * 1000;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(atMs, callback) {
    const delay = Math.min(Math.max(0, atMs - Date.now()), LONGEST_TIMER_MS);
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
};

export class Due {
  readonly #clock: Clock;
  readonly #start: (id: string) => void;
  readonly #times = new Map<string, number>();
  #disarm: () => void = () => {};

  /** `start` is called once for each job when its time has come. */
  constructor(clock: Clock, start: (id: string) => void) {
    this.#clock = clock;
    this.#start = start;
  }

  get size(): number {
    return this.#times.size;
  }

  add(id: string, atMs: number): void {
    this.#times.set(id, atMs);
    this.#arm();
  }

  remove(id: string): void {
    if (this.#times.delete(id)) this.#arm();
  }

  stop(): void {
    this.#disarm();
    this.#times.clear();
  }

  #arm(): void {
    this.#disarm();
    if (this.#times.size === 0) return;
    this.#disarm = this.#clock.at(Math.min(...this.#times.values()), () => this.#ring());
  }

  #ring(): void {
    const now = this.#clock.now();
    const due = [...this.#times].filter(([, atMs]) => atMs <= now).sort((a, b) => a[1] - b[1]);
    for (const [id] of due) this.#times.delete(id);
    this.#arm();
    for (const [id] of due) this.#start(id);
  }
}
