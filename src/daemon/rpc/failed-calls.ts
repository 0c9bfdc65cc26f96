// Calls that failed, in the daemon's own log: so many lines a second, and of those beyond them only how
// many there were. Clients choose how often they fail, and must not fill a disk by it.

import type { ErrorKind } from '../../shared/errors.ts';
import type { Fields, Log } from '../log.ts';

const LINES = 100;
const WINDOW_MS = 1000;

/** A call that failed, by the kind of its error. */
export type FailedCall = Fields & { readonly kind: ErrorKind | 'internal' | 'canceled' };

export class FailedCalls {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Pick<Log, 'info' | 'warn'>) {
    this.#log = log;
  }

  note(failed: FailedCall): void {
    this.#count += 1;
    if (this.#count <= LINES) {
      // A client that is too slow or wants too much is the operator's business, a typing error is not.
      const say = failed.kind === 'exhausted' ? 'warn' : 'info';
      this.#log[say]('call failed', failed);
    }
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
