// A daemon that is started again, as for an upgrade, is back in a moment, and its jobs run on meanwhile.
// Who follows something waits for it and goes on where it was.

import type { Connection } from '../client/connection.ts';
import { Unreached } from '../client/connection-error.ts';
import type { LogChunk, LogRequest } from '../client/messages.ts';
import { getJobLogs } from '../client/methods.ts';
import { Away } from '../client/status.ts';
import type { Output } from './output.ts';

/** So long a daemon may be away. */
const AWAY_MS = 60_000;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1000;
/** A try takes less, waiting and connecting included: who fails after more had met the daemon. */
const TRY_MS = 15_000;

export class Patience {
  readonly #err: Output;
  readonly #signal: AbortSignal | undefined;
  #hasMet = false;
  /** Since when it is away, by a clock that nobody sets. */
  #awaySinceMs: number | undefined;
  /** When it was away the last time. */
  #awayAtMs = Number.NEGATIVE_INFINITY;
  #waitMs = FIRST_WAIT_MS;

  /** Says on `err` that it waits. */
  constructor(err: Output, signal: AbortSignal | undefined) {
    this.#err = err;
    this.#signal = signal;
  }

  /** The daemon has said something. */
  met(): void {
    this.#hasMet = true;
    this.#awaySinceMs = undefined;
    this.#waitMs = FIRST_WAIT_MS;
  }

  /** Resolves when it is time for another try. @throws the error, where no other one would do better */
  async bear(error: unknown): Promise<void> {
    // What a daemon says cannot be done is said by one that is there.
    if (!(error instanceof Away)) throw error;
    if (this.#signal?.aborted === true) throw error;
    // An address where nobody ever was may be wrong.
    if (error instanceof Unreached && !this.#hasMet) throw error;
    this.#hasMet = true;
    const nowMs = performance.now();
    // What follows something quiet hears nothing of a daemon that is there again.
    if (nowMs - this.#awayAtMs > TRY_MS) this.met();
    this.#awayAtMs = nowMs;
    if (this.#awaySinceMs === undefined) {
      this.#awaySinceMs = nowMs;
      await this.#err.write('rnx: the daemon is away; waiting for it\n');
    }
    if (nowMs - this.#awaySinceMs > AWAY_MS) throw error;
    const waitMs = this.#waitMs;
    this.#waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
    await this.#later(waitMs);
    this.#signal?.throwIfAborted();
  }

  /** Nobody tells that a daemon is back: it is looked for, less and less often. */
  #later(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const leave = () => {
      clearTimeout(timer);
      resolve();
    };
    this.#signal?.addEventListener('abort', leave, { once: true });
    return promise.finally(() => this.#signal?.removeEventListener('abort', leave));
  }
}

/** What a call answers, whenever the daemon is there to do so. */
export async function whenBack<T>(patience: Patience, call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await patience.bear(error);
    }
  }
}

/** What a stream says, opened again where it is cut off: `open` knows what has come. */
export async function* goingOn<T>(
  patience: Patience,
  open: () => AsyncIterable<T>,
): AsyncGenerator<T> {
  for (;;) {
    try {
      for await (const each of open()) {
        patience.met();
        yield each;
      }
      return;
    } catch (error) {
      await patience.bear(error);
    }
  }
}

/** The output of a job, each piece once, whatever becomes of the daemon meanwhile. */
export async function* followLog(
  connection: Connection,
  request: LogRequest,
  patience: Patience,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogChunk> {
  let from: LogRequest = request;
  /** Gaps that were told of at its position, and those of them that come once more. */
  let [gaps, again] = [0, 0];
  const open = () => {
    again = gaps;
    return connection.serverStream(getJobLogs, from, { signal });
  };
  for await (const chunk of goingOn(patience, open)) {
    const isGap = chunk.stream === 'gap';
    if (isGap && again > 0) {
      again -= 1;
      continue;
    }
    yield chunk;
    const position = chunk.position + BigInt(chunk.payload.length);
    gaps = isGap ? (position === from.position ? gaps : 0) + 1 : 0;
    again = 0;
    from = { ...request, position, tailLines: 0 };
  }
}
