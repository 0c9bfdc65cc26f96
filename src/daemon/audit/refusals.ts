// Refused calls on their way to the log. A flood of them must neither fill it nor slow anybody: the first
// of its kind is recorded as it is, and all that follow it within WINDOW_MS are one record with their
// number. So many kinds are told apart; what is more is one kind.

import type { Actor, Entry } from './record.ts';

export interface Refusal {
  readonly atMs: number;
  readonly method: string;
  readonly who: Actor;
  /** The kind of the error. */
  readonly result: string;
  readonly detail: string;
}

const WINDOW_MS = 5 * 60_000;
const KINDS = 64;

interface Kind {
  readonly first: Refusal;
  /** Calls that followed the first. */
  more: number;
}

export class Refusals {
  readonly #record: (entry: Entry) => void;
  readonly #kinds = new Map<string, Kind>();
  #other: Kind | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(record: (entry: Entry) => void) {
    this.#record = record;
  }

  note(refusal: Refusal): void {
    const who = { ...refusal.who, peer: addressOf(refusal.who.peer) };
    const { method, result, detail } = refusal;
    const key = JSON.stringify([method, who.name, who.certificate, who.peer, result, detail]);
    const known = this.#kinds.get(key);
    if (known !== undefined) {
      known.more += 1;
      return;
    }
    if (this.#kinds.size >= KINDS) {
      this.#other ??= { first: refusal, more: 0 };
      this.#other.more += 1;
      return;
    }
    this.#kinds.set(key, { first: { ...refusal, who }, more: 0 });
    this.#record({ ...refusal, action: 'call.refused' });
    this.#timer ??= setTimeout(() => this.flush(), WINDOW_MS).unref();
  }

  /** Records what has been counted so far. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const atMs = Date.now();
    for (const { first, more } of this.#kinds.values()) {
      if (more > 0) this.#record({ ...first, atMs, action: 'call.refused', count: more });
    }
    if (this.#other !== undefined) {
      const { first, more } = this.#other;
      const detail = `of more kinds than are told apart; the first was ${first.method}: ${first.detail}`;
      this.#record({ atMs, action: 'call.refused', result: first.result, detail, count: more });
    }
    this.#kinds.clear();
    this.#other = undefined;
  }
}

/** Every connection has a port of its own. */
function addressOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':'))) || peer;
}
