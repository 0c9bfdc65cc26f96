// Whose turn it is: the jobs that wait for a place, and what the running ones have reserved.
//
// There is one strict order, and only its first job may start: a small job does not pass a big one
// that has to wait for room. A job's place in the order never changes: it stands as if it had come
// one hour earlier for each step of its priority. Only what comes within so many hours can get ahead
// of it, so nobody waits for ever behind later jobs, whatever they are.

import { formatBytes } from '../../shared/units.ts';
import type { Limits } from './job.ts';

/** Priorities reach from minus this to this. */
export const PRIORITY_LIMIT = 10;
/** What one step of priority is worth. */
const PRIORITY_STEP_MS = 3_600_000;

/** What running jobs may hold together; 0 is no bound. */
export interface Capacity {
  readonly places: number;
  /** The key of the configuration that says how many places there are. */
  readonly placesKey: string;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
}

/** What a job reserves while it runs; 0 where there is no bound. */
interface Needs {
  readonly cpuPercent: number;
  readonly memoryBytes: number;
}

/** A job that waits, or is about to. */
export interface Waiting {
  readonly id: string;
  readonly priority: number;
  /** Since when it has had its place in the order. */
  readonly queuedAtMs: number;
  readonly limits: Pick<Limits, 'cpuPercent' | 'memoryBytes'>;
}

/** Where a waiting job stands. */
export interface Turn {
  /** Jobs that start before it. */
  readonly ahead: number;
  /** Why it does not run, as a sentence. */
  readonly why: string;
}

interface Entry {
  readonly id: string;
  readonly needs: Needs;
  /** The time that it counts as having come. */
  readonly rankMs: number;
  /** Of the same rank, the first to come is first. */
  readonly number: number;
}

export class Queue {
  readonly #capacity: Capacity;
  /** In the order in which they start. */
  readonly #order: Entry[] = [];
  readonly #waiting = new Map<string, Entry>();
  readonly #running = new Map<string, Needs>();
  #reserved: Needs = { cpuPercent: 0, memoryBytes: 0 };
  #latestMs = 0;
  #numbers = 0;

  constructor(capacity: Capacity) {
    this.#capacity = capacity;
  }

  get waitingCount(): number {
    return this.#order.length;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** The time to queue a new job with: never before that of an earlier one, whatever the clock does. */
  timeOf(nowMs: number): number {
    this.#latestMs = Math.max(this.#latestMs, nowMs);
    return this.#latestMs;
  }

  /** Puts a job into the order. */
  join({ id, priority, queuedAtMs, limits }: Waiting): void {
    this.#latestMs = Math.max(this.#latestMs, queuedAtMs);
    const entry = {
      id,
      needs: this.#needsOf(limits),
      rankMs: queuedAtMs - priority * PRIORITY_STEP_MS,
      number: this.#numbers++,
    };
    this.#order.splice(this.#indexOf(entry), 0, entry);
    this.#waiting.set(id, entry);
  }

  /** Takes the first job out of the order, as running, when there is room for it. */
  next(): string | undefined {
    const [first] = this.#order;
    if (first === undefined || this.#shortage(first) !== undefined) return undefined;
    this.#order.shift();
    this.#waiting.delete(first.id);
    this.#reserve(first.id, first.needs);
    return first.id;
  }

  /** Counts a job that runs already, whether or not there is room for it. */
  resume(id: string, limits: Waiting['limits']): void {
    this.#reserve(id, this.#needsOf(limits));
  }

  /** Forgets a job that waited or ran. */
  leave(id: string): void {
    const entry = this.#waiting.get(id);
    if (entry !== undefined) {
      this.#waiting.delete(id);
      this.#order.splice(this.#indexOf(entry), 1);
    }
    const needs = this.#running.get(id);
    if (needs === undefined) return;
    this.#running.delete(id);
    this.#reserved = sum(this.#reserved, needs, -1);
  }

  /** Where a job stands; undefined when it does not wait. */
  turnOf(id: string): Turn | undefined {
    const entry = this.#waiting.get(id);
    const [first] = this.#order;
    if (entry === undefined || first === undefined) return undefined;
    const ahead = this.#indexOf(entry);
    // Room may have come that the first one is about to take.
    const shortage = this.#shortage(first) ?? 'there is room';
    if (ahead === 0) return { ahead, why: `it is next; ${shortage}` };
    const jobs = ahead === 1 ? '1 job is' : `${ahead} jobs are`;
    return { ahead, why: `${jobs} ahead; ${shortage}` };
  }

  /** Where an entry stands, or would. */
  #indexOf({ rankMs, number }: Pick<Entry, 'rankMs' | 'number'>): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#order[middle];
      if (other === undefined) break;
      const isBefore = other.rankMs < rankMs || (other.rankMs === rankMs && other.number < number);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * A job without a limit could take everything, so it reserves everything; so does one that asked
   * for more than there is since the configuration was changed. Both run, alone.
   */
  #needsOf(limits: Waiting['limits']): Needs {
    const { cpuPercent, memoryBytes } = this.#capacity;
    return {
      cpuPercent: Math.min(limits.cpuPercent || cpuPercent, cpuPercent),
      memoryBytes: Math.min(limits.memoryBytes || memoryBytes, memoryBytes),
    };
  }

  #reserve(id: string, needs: Needs): void {
    this.#running.set(id, needs);
    this.#reserved = sum(this.#reserved, needs, 1);
  }

  /** What there is too little of for the first job to start. */
  #shortage({ needs }: Entry): string | undefined {
    const { places, placesKey, cpuPercent, memoryBytes } = this.#capacity;
    if (places > 0 && this.#running.size >= places) {
      return `all ${places} places are taken (${placesKey})`;
    }
    const freeBytes = Math.max(0, memoryBytes - this.#reserved.memoryBytes);
    if (needs.memoryBytes > freeBytes) {
      return (
        `the next one needs ${formatBytes(needs.memoryBytes)} of memory, and ${formatBytes(freeBytes)}` +
        ` of ${formatBytes(memoryBytes)} are free (joblet.maxTotalMemory)`
      );
    }
    const freePercent = Math.max(0, cpuPercent - this.#reserved.cpuPercent);
    if (needs.cpuPercent > freePercent) {
      return (
        `the next one needs ${needs.cpuPercent}% of CPU, and ${freePercent}%` +
        ` of ${cpuPercent}% are free (joblet.maxTotalCpu)`
      );
    }
    return undefined;
  }
}

function sum(one: Needs, other: Needs, sign: 1 | -1): Needs {
  return {
    cpuPercent: one.cpuPercent + sign * other.cpuPercent,
    memoryBytes: one.memoryBytes + sign * other.memoryBytes,
  };
}
