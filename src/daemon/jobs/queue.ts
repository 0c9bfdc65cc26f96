// Whose turn it is: the jobs that wait for a place, and what the running ones have reserved.
//
// There is one strict order, and only its first job may start: a small job does not pass a big one
// that has to wait for room. A job's place in the order never changes: it stands as if it had come
// one hour earlier for each step of its priority. Only what comes within so many hours can get ahead
// of it, so nobody waits for ever behind later jobs, whatever they are.
//
// Jobs that want GPUs stand in a line of their own, as strict: while its first waits for a GPU, the
// jobs that want none go on without it. Once the GPU is free it is back in its place in the order.

import { formatBytes } from '../../shared/units.ts';
import type { GpuWish } from '../gpus/gpu.ts';
import type { GpuPool } from '../gpus/pool.ts';
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
  readonly gpus?: GpuWish | undefined;
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
  readonly gpus: GpuWish | undefined;
  /** The time that it counts as having come. */
  readonly rankMs: number;
  /** Of the same rank, the first to come is first. */
  readonly number: number;
}

/** What the queue needs of the node's GPUs. */
export type QueueGpus = Pick<GpuPool, 'shortage' | 'take' | 'release'>;

const noGpus: QueueGpus = { shortage: () => undefined, take: () => {}, release: () => {} };

export class Queue {
  readonly #capacity: Capacity;
  readonly #gpus: QueueGpus;
  /** Those without a wish for GPUs, in the order in which they start. */
  readonly #plain: Entry[] = [];
  /** Those with one, likewise. */
  readonly #withGpus: Entry[] = [];
  readonly #waiting = new Map<string, Entry>();
  readonly #running = new Map<string, Needs>();
  #reserved: Needs = { cpuPercent: 0, memoryBytes: 0 };
  #latestMs = 0;
  #numbers = 0;

  constructor(capacity: Capacity, gpus = noGpus) {
    this.#capacity = capacity;
    this.#gpus = gpus;
  }

  get waitingCount(): number {
    return this.#waiting.size;
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
  join({ id, priority, queuedAtMs, limits, gpus }: Waiting): void {
    this.#latestMs = Math.max(this.#latestMs, queuedAtMs);
    const entry = {
      id,
      needs: this.#needsOf(limits),
      gpus,
      rankMs: queuedAtMs - priority * PRIORITY_STEP_MS,
      number: this.#numbers++,
    };
    const line = this.#lineOf(entry);
    line.splice(indexIn(line, entry), 0, entry);
    this.#waiting.set(id, entry);
  }

  /** Takes the first job out of the order, as running, when there is room for it. */
  next(): string | undefined {
    const first = this.#first();
    if (first === undefined || this.#shortage(first) !== undefined) return undefined;
    this.#lineOf(first).shift();
    this.#waiting.delete(first.id);
    this.#reserve(first.id, first.needs);
    if (first.gpus !== undefined) this.#gpus.take(first.id, first.gpus);
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
      const line = this.#lineOf(entry);
      line.splice(indexIn(line, entry), 1);
    }
    const needs = this.#running.get(id);
    if (needs === undefined) return;
    this.#running.delete(id);
    this.#gpus.release(id);
    this.#reserved = sum(this.#reserved, needs, -1);
  }

  /** Where a job stands; undefined when it does not wait. */
  turnOf(id: string): Turn | undefined {
    const entry = this.#waiting.get(id);
    if (entry === undefined) return undefined;
    const line = this.#lineOf(entry);
    const other = entry.gpus === undefined ? this.#withGpus : this.#plain;
    // Of two lines, the one whose first waits for a GPU holds up nobody of the other, nor is held up.
    const isApart = this.#gpuShortage() !== undefined;
    const ahead = indexIn(line, entry) + (isApart ? 0 : indexIn(other, entry));
    const first = isApart ? line[0] : this.#first();
    // Room may have come that the first one is about to take.
    const shortage = (first && this.#shortage(first)) ?? 'there is room';
    if (ahead === 0) return { ahead, why: `it is next; ${shortage}` };
    const jobs = ahead === 1 ? '1 job is' : `${ahead} jobs are`;
    return { ahead, why: `${jobs} ahead; ${shortage}` };
  }

  /** The one that may start. */
  #first(): Entry | undefined {
    const [plain] = this.#plain;
    const [withGpus] = this.#withGpus;
    if (withGpus === undefined || this.#gpuShortage() !== undefined) return plain;
    return plain === undefined || isBefore(withGpus, plain) ? withGpus : plain;
  }

  /** Why the first of those that want GPUs waits for one. */
  #gpuShortage(): string | undefined {
    const wish = this.#withGpus[0]?.gpus;
    return wish && this.#gpus.shortage(wish);
  }

  #lineOf({ gpus }: Pick<Entry, 'gpus'>): Entry[] {
    return gpus === undefined ? this.#plain : this.#withGpus;
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
  #shortage({ needs, gpus }: Entry): string | undefined {
    const gpuShortage = gpus && this.#gpus.shortage(gpus);
    if (gpuShortage !== undefined) return gpuShortage;
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

type Rank = Pick<Entry, 'rankMs' | 'number'>;

function isBefore(one: Rank, other: Rank): boolean {
  return one.rankMs < other.rankMs || (one.rankMs === other.rankMs && one.number < other.number);
}

/** Where an entry stands in a line, or would. */
function indexIn(line: readonly Entry[], entry: Rank): number {
  let low = 0;
  let high = line.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = line[middle];
    if (other === undefined) break;
    if (isBefore(other, entry)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sum(one: Needs, other: Needs, sign: 1 | -1): Needs {
  return {
    cpuPercent: one.cpuPercent + sign * other.cpuPercent,
    memoryBytes: one.memoryBytes + sign * other.memoryBytes,
  };
}
