// Wakes the readers of a job's log. One connection to the keeper serves all of a job's readers, and
// only while there are any; no byte of output passes through it.

import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';

interface Bell {
  readonly link: Promise<KeeperLink | undefined>;
  /** Output is known to reach up to here. */
  position: number;
  /** Nothing more will come. */
  over: boolean;
  /** The keeper has been asked for a bell and has not rung yet. */
  asked: boolean;
  readonly waiting: Set<() => void>;
  /** Whoever reads, also while it does not wait; each signal is aborted when its reader leaves. */
  readonly readers: Set<AbortSignal>;
}

export class Bells {
  readonly #addressOf: (id: string) => KeeperAddress;
  readonly #bells = new Map<string, Bell>();

  /** `addressOf` says where a job's keeper listens. */
  constructor(addressOf: (id: string) => KeeperAddress) {
    this.#addressOf = addressOf;
  }

  /**
   * Resolves when a running job's log reaches beyond `position`, when the job has ended, or when
   * the signal is aborted. The caller looks again, whichever it was; answers how far output is known
   * to reach.
   */
  async wait(id: string, position: number, signal: AbortSignal): Promise<number> {
    if (signal.aborted) return position;
    const bell = this.#bells.get(id) ?? this.#open(id);
    this.#join(id, bell, signal);
    if (bell.over || bell.position > position) return bell.position;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    bell.waiting.add(wake);
    this.#ask(bell);
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    signal.removeEventListener('abort', wake);
    bell.waiting.delete(wake);
    return bell.position;
  }

  /** The job has started: those who followed it before it had a keeper can be rung for now. */
  start(id: string): void {
    this.end(id);
  }

  /** The job has ended: its readers may read to the end. */
  end(id: string): void {
    const bell = this.#bells.get(id);
    if (bell !== undefined) this.#close(id, bell);
  }

  #open(id: string): Bell {
    const bell: Bell = {
      link: KeeperLink.connect(this.#addressOf(id)),
      position: 0,
      over: false,
      asked: false,
      waiting: new Set(),
      readers: new Set(),
    };
    this.#bells.set(id, bell);
    // Without a keeper there is nothing to hear yet, or any more: start or end will be called.
    bell.link.then((link) => link?.ended.then(() => this.#close(id, bell)));
    return bell;
  }

  /** Whoever leaves as the last takes the connection along, whether or not it waits just then. */
  #join(id: string, bell: Bell, signal: AbortSignal): void {
    if (bell.readers.has(signal)) return;
    bell.readers.add(signal);
    const leave = () => {
      bell.readers.delete(signal);
      if (bell.readers.size === 0) this.#close(id, bell);
    };
    signal.addEventListener('abort', leave, { once: true });
  }

  /** One question at a time, and none while nobody waits: a slow reader is not rung for. */
  #ask(bell: Bell): void {
    if (bell.asked) return;
    bell.asked = true;
    bell.link.then((link) =>
      link?.watch((position) => {
        bell.asked = false;
        bell.position = Math.max(bell.position, position);
        for (const wake of bell.waiting) wake();
      }),
    );
  }

  #close(id: string, bell: Bell): void {
    bell.over = true;
    if (this.#bells.get(id) === bell) this.#bells.delete(id);
    for (const wake of bell.waiting) wake();
    bell.link.then((link) => link?.close());
  }
}
