// What the names stand for that rules deny. The daemon asks for them itself, and again whenever an answer
// has run out, for as long as a job has such a rule: whoever may not know a name may know its addresses.

import type { Found } from './resolver.ts';

interface DeniedNamesParts {
  /** What the world says of a name; undefined where nobody answers. */
  readonly lookUp: (name: string) => Promise<readonly Found[] | undefined>;
  /** A name stands for more than was known, to whoever holds it by now. */
  readonly changed: (name: string) => void;
  readonly now: () => number;
}

interface Denied {
  /** Each with when it is forgotten. */
  readonly addresses: Map<string, number>;
  isKnown: boolean;
  /** Resolves when it was asked for. */
  looking: Promise<void>;
  timer: NodeJS.Timeout | undefined;
}

/** However long an answer is to hold, it is asked for again neither sooner nor later than this. */
const SOONEST_MS = 5_000;
const LATEST_MS = 600_000;
/** A name with many addresses tells some of them at a time. */
const KEPT_MS = 3_600_000;
/** Of one name, the last ones. */
const MAX_ADDRESSES = 256;

export class DeniedNames {
  readonly #parts: DeniedNamesParts;
  readonly #held = new Map<string, readonly string[]>();
  readonly #names = new Map<string, Denied>();

  constructor(parts: DeniedNamesParts) {
    this.#parts = parts;
  }

  /** Knows from now on what names stand for. Resolves, when they were asked for, with those nobody knows. */
  async hold(jobId: string, names: readonly string[]): Promise<readonly string[]> {
    this.#held.set(jobId, names);
    this.#forget();
    await Promise.all(names.map((name) => this.#enter(name).looking));
    return names.filter((name) => this.find(name) === undefined);
  }

  release(jobId: string): void {
    if (this.#held.delete(jobId)) this.#forget();
  }

  /** Undefined while it is not known. */
  find(name: string): readonly string[] | undefined {
    const denied = this.#names.get(name);
    return denied?.isKnown ? [...denied.addresses.keys()] : undefined;
  }

  /** Somebody was told what a name stands for. */
  saw(name: string, found: readonly Found[]): void {
    const denied = this.#names.get(name);
    if (denied !== undefined && this.#note(denied, found)) this.#parts.changed(name);
  }

  stop(): void {
    this.#held.clear();
    this.#forget();
  }

  /** Answers whether there is one that was not known. */
  #note({ addresses }: Denied, found: readonly Found[]): boolean {
    const nowMs = this.#parts.now();
    const isNews = found.some(({ address }) => !addresses.has(address));
    for (const { address } of found) {
      addresses.delete(address);
      addresses.set(address, nowMs + KEPT_MS);
    }
    for (const [address, untilMs] of addresses) {
      if (untilMs > nowMs && addresses.size <= MAX_ADDRESSES) break;
      addresses.delete(address);
    }
    return isNews;
  }

  #enter(name: string): Denied {
    const known = this.#names.get(name);
    if (known !== undefined) {
      // Nobody answered the last time, and would be asked again later only.
      const isWaiting = !known.isKnown && known.timer !== undefined;
      if (isWaiting) known.looking = this.#look(name, known);
      return known;
    }
    const denied: Denied = {
      addresses: new Map(),
      isKnown: false,
      looking: Promise.resolve(),
      timer: undefined,
    };
    this.#names.set(name, denied);
    denied.looking = this.#look(name, denied);
    return denied;
  }

  async #look(name: string, denied: Denied): Promise<void> {
    clearTimeout(denied.timer);
    denied.timer = undefined;
    const found = await this.#parts.lookUp(name);
    if (this.#names.get(name) !== denied) return;
    if (found !== undefined) {
      const isNews = this.#note(denied, found) || !denied.isKnown;
      denied.isKnown = true;
      if (isNews) this.#parts.changed(name);
    }
    // What it stood for stays closed while nobody answers.
    const holdsMs = Math.min(...(found ?? []).map(({ ttlSeconds }) => ttlSeconds * 1000));
    const againMs = found === undefined ? SOONEST_MS : Math.min(holdsMs, LATEST_MS);
    const wait = Math.max(SOONEST_MS, againMs);
    denied.timer = setTimeout(() => void this.#look(name, denied), wait).unref();
  }

  /** What no job denies any more. */
  #forget(): void {
    const held = new Set([...this.#held.values()].flat());
    for (const [name, { timer }] of this.#names) {
      if (held.has(name)) continue;
      clearTimeout(timer);
      this.#names.delete(name);
    }
  }
}
