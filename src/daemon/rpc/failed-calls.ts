// Calls that failed, in the daemon's own log: so many lines a second, and of those beyond them only how
// many there were. Clients choose how often they fail, and must not fill a disk by it.

import type { Fields, Log } from '../log.ts';

const LINES = 100;
const WINDOW_MS = 1000;

export class FailedCalls {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Pick<Log, 'info' | 'warn'>) {
    this.#log = log;
  }

  note(fields: Fields): void {
    this.#count += 1;
    if (this.#count <= LINES) this.#log.info('call failed', fields);
    this.#timer ??= setTimeout(() => this.flush(), WINDOW_MS).unref();
  }

  /** Says how many were left out. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const more = this.#count - LINES;
    this.#count = 0;
    if (more > 0) this.#log.warn('more calls failed than are written', { count: more });
  }
}
