// When memory is given back that a burst of work has left: 70 MB after a thousand jobs, 130 MB after
// attacks of clients. It is done when the burst is over, as calls have to wait meanwhile.

import { performance } from 'node:perf_hooks';
import { messageOf } from '../shared/errors.ts';
import type { Clock } from './jobs/due.ts';
import { giveBackMemory } from './linux/spare-memory.ts';
import type { Log } from './log.ts';

/** How long after something was done it is looked at whether the burst is over. */
const LOOK_MS = 1000;
/** A burst is over when the daemon was busy for less than this share of that time. */
const QUIET_SHARE = 0.1;
/** What is not worth it. */
const SPARE_BYTES = 16 * 1024 * 1024;
/** From one time to the next at least. */
const REST_MS = 5000;

/** The memory of this process; a test stands in for it. */
export interface Heap {
  residentBytes(): number;
  /** How much of the time since it was asked last was spent at work, from 0 to 1. */
  busyShare(): number;
  giveBack(): void;
}

export class Memory {
  readonly #clock: Clock;
  readonly #heap: Heap;
  readonly #log: Log;
  #disarm: (() => void) | undefined;
  /** What stayed the last time. */
  #keptBytes = 0;
  #restsUntilMs = 0;

  constructor(clock: Clock, heap: Heap, log: Log) {
    this.#clock = clock;
    this.#heap = heap;
    this.#log = log;
  }

  /** Something was done, and may have left something. */
  used(): void {
    if (this.#disarm !== undefined) return;
    this.#heap.busyShare();
    this.#lookAt(Math.max(this.#clock.now() + LOOK_MS, this.#restsUntilMs));
  }

  stop(): void {
    this.#disarm?.();
  }

  #lookAt(atMs: number): void {
    this.#disarm = this.#clock.at(atMs, () => this.#look());
  }

  #look(): void {
    this.#disarm = undefined;
    if (this.#heap.busyShare() > QUIET_SHARE) {
      this.#lookAt(this.#clock.now() + LOOK_MS);
      return;
    }
    const before = this.#heap.residentBytes();
    if (before - this.#keptBytes < SPARE_BYTES) return;
    try {
      this.#heap.giveBack();
      const after = this.#heap.residentBytes();
      this.#log.info('memory was given back', { before, after });
    } catch (error) {
      // A daemon that holds too much is better than none.
      this.#log.error('memory is not given back', { why: messageOf(error) });
    }
    this.#keptBytes = this.#heap.residentBytes();
    this.#restsUntilMs = this.#clock.now() + REST_MS;
  }
}

export function ownHeap(): Heap {
  let last = performance.eventLoopUtilization();
  return {
    residentBytes: () => process.memoryUsage.rss(),
    busyShare: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    giveBack: giveBackMemory,
  };
}
