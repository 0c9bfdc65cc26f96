// Followers of a job that writes faster than anybody reads: what they take of the processors is taken from
// that job. As long as its log grows so fast, all of them together get a measured part; when it grows
// no more, as much as they can take.

import { availableParallelism } from 'node:os';

/** Of a log that grows by so much there are as many followers far behind as there are followers. */
const FLOOD_BYTES_PER_SECOND = 32 * 1024 * 1024;

/**
 * What all followers of floods may read meanwhile, for each processor. Beside a flood each message costs it
 * a ms or two, for the caches are full of that.
 */
const SHARE_BYTES_PER_SECOND = 512 * 1024;

/** From one look at the end of a log to the next. */
const LOOK_MS = 50;

/** What a follower has read at once, if it is one that is far behind. */
const FAR_BYTES = 64 * 1024;

export interface PaceParts {
  /** Milliseconds, going up. */
  readonly now: () => number;
  /** Calls back once after so many milliseconds; answers how to give that up. */
  readonly after: (ms: number, call: () => void) => () => void;
  readonly processors: number;
}

const real: PaceParts = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  processors: availableParallelism(),
};

/** What all followers of one log know of it. */
interface Log {
  followers: number;
  /** Bytes in its directory's files up to its end, when it was looked at last. */
  end: number | undefined;
  lookedAtMs: number;
  isLooking: boolean;
  isFlood: boolean;
}

/** A follower that waits to read on. */
interface Turn {
  readonly log: Log;
  /** How long it takes at the pace of all to read what it has read. */
  readonly ms: number;
  readonly sinceMs: number;
  readonly endOf: () => Promise<number>;
  readonly go: () => void;
}

/** One follower's part in it. */
export interface Follower {
  /**
   * Resolves when a follower that has just read so many bytes may send them; at once where its log does
   * not flood. `endOf` says up to where the log's files reach.
   */
  pass(bytes: number, endOf: () => Promise<number>, signal: AbortSignal): Promise<void>;
  leave(): void;
}

/** Of one daemon. */
export class Pace {
  readonly #parts: PaceParts;
  readonly #logs = new Map<string, Log>();
  /** In the order in which they came. */
  #turns: readonly Turn[] = [];
  /** When the turn of the last one came. */
  #lastMs = 0;
  #disarm: () => void = () => {};

  constructor(parts = real) {
    this.#parts = parts;
  }

  follow(id: string): Follower {
    const log = this.#logs.get(id) ?? this.#begin(id);
    log.followers += 1;
    return {
      pass: async (bytes, endOf, signal) => {
        if (bytes < FAR_BYTES) return;
        await this.#look(log, endOf);
        if (log.isFlood) await this.#turn({ log, bytes, endOf }, signal);
      },
      leave: () => {
        log.followers -= 1;
        if (log.followers === 0) this.#logs.delete(id);
      },
    };
  }

  #begin(id: string): Log {
    const log: Log = {
      followers: 0,
      end: undefined,
      lookedAtMs: 0,
      isLooking: false,
      // Until that is known: it is the first moments in which all of them would read at once.
      isFlood: true,
    };
    this.#logs.set(id, log);
    return log;
  }

  /** Learns whether it floods; one of its followers does so at a time. */
  async #look(log: Log, endOf: () => Promise<number>): Promise<void> {
    const sinceMs = this.#parts.now() - log.lookedAtMs;
    if (log.isLooking || (log.end !== undefined && sinceMs < LOOK_MS)) return;
    log.isLooking = true;
    // What is wrong with its files whoever reads there hears.
    const end = await endOf().catch(() => 0);
    log.isLooking = false;
    const now = this.#parts.now();
    if (log.end !== undefined) {
      const grown = end - log.end;
      log.isFlood = grown * 1000 >= FLOOD_BYTES_PER_SECOND * (now - log.lookedAtMs);
    }
    log.end = end;
    log.lookedAtMs = now;
    if (!log.isFlood) this.#letGo((turn) => turn.log === log);
  }

  /** Waits behind those that came before, by what each has read. */
  async #turn(
    { log, bytes, endOf }: Pick<Turn, 'log' | 'endOf'> & { readonly bytes: number },
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve: go } = Promise.withResolvers<void>();
    const ms = (bytes * 1000) / (SHARE_BYTES_PER_SECOND * this.#parts.processors);
    const turn = { log, ms, sinceMs: this.#parts.now(), endOf, go };
    this.#turns = [...this.#turns, turn];
    if (this.#turns.length === 1) this.#arm();
    const leave = () => this.#letGo((other) => other === turn);
    signal.addEventListener('abort', leave);
    await promise;
    signal.removeEventListener('abort', leave);
  }

  /** Waits for the turn of the first, and for the ends of floods. */
  #arm(): void {
    const { now, after } = this.#parts;
    const [first] = this.#turns;
    if (first === undefined) return;
    const atMs = Math.max(this.#lastMs, first.sinceMs) + first.ms;
    const waitMs = Math.min(Math.max(0, atMs - now()), LOOK_MS);
    this.#disarm = after(waitMs, () => {
      // Nobody waits for the flood of another log longer than it takes to see that his is none.
      const logs = new Map(this.#turns.map(({ log, endOf }) => [log, endOf]));
      for (const [log, endOf] of logs) void this.#look(log, endOf);
      if (now() < atMs) {
        this.#arm();
        return;
      }
      this.#lastMs = atMs;
      this.#letGo((turn) => turn === first);
    });
  }

  #letGo(isMeant: (turn: Turn) => boolean): void {
    const gone = this.#turns.filter(isMeant);
    // Begun anew for nobody, and often, the wait for the next look would never end.
    if (gone.length === 0) return;
    this.#turns = this.#turns.filter((turn) => !isMeant(turn));
    this.#disarm();
    this.#arm();
    for (const { go } of gone) go();
  }
}
