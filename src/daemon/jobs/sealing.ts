// Seals logs behind the jobs, one after the other: a segment is sealed when it has been complete from one
// round to the next. What a killed daemon was at is done again.

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import { sealSegments } from '../logs/sealer.ts';
import { listSegments, rawName, type Segment, sealedName } from '../logs/segments.ts';
import type { LogRows } from './log-rows.ts';

export interface SealingParts {
  directoryOf(id: string): string;
  /** Jobs that may write still. */
  running(): Iterable<string>;
  readonly rows: Pick<LogRows, 'sealed'>;
  /** Something of the log of a job that may write still was sealed. */
  sealed(id: string): void;
  readonly log: Log;
}

/** Less output is not worth a look. */
const LEAST_OUTPUT_BYTES = 4 * 1024;

export class Sealing {
  readonly #parts: SealingParts;
  /** Jobs that have ended since the last round, and before it. */
  #fresh = new Set<string>();
  #ripe = new Set<string>();
  /** Of running jobs with more than one segment: the last one that was complete at the last round. */
  #complete = new Map<string, number>();
  readonly #stopping = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(parts: SealingParts) {
    this.#parts = parts;
  }

  /** A job has ended with so much output. */
  ended(id: string, outputBytes: number): void {
    if (outputBytes >= LEAST_OUTPUT_BYTES) this.#fresh.add(id);
  }

  /** Seals what was complete at the last round. Never throws. */
  async round(): Promise<void> {
    const ripe = this.#ripe;
    this.#ripe = this.#fresh;
    this.#fresh = new Set();
    for (const id of ripe) await this.settle(id);
    const before = this.#complete;
    this.#complete = new Map();
    for (const id of this.#parts.running()) {
      const [last, ...complete] = (await this.#segments(id)).reverse();
      const newest = complete[0]?.base;
      if (last === undefined || newest === undefined) continue;
      this.#complete.set(id, newest);
      const reached = before.get(id) ?? -1;
      const due = complete.filter(({ base }) => base <= reached);
      if (due.length === 0) continue;
      await this.#try(() => this.#seal(id, due));
      this.#parts.sealed(id);
    }
  }

  /** Seals the log of an ended job now. Never throws. */
  settle(id: string): Promise<void> {
    return this.#try(async () => {
      await this.#seal(id, await this.#segments(id));
      const bytes = await this.#diskBytes(id);
      if (bytes > 0) await this.#parts.rows.sealed(id, bytes);
    });
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#last;
  }

  /** Does something with a log while none is being sealed. */
  between<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  /** One at a time, so that all sealing together takes one core at most. */
  async #try(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    try {
      await this.between(async () => {
        if (!signal.aborted) await work();
      });
    } catch (error) {
      if (signal.aborted) return;
      this.#parts.log.warn('a log cannot be sealed, and stays as it is', { why: messageOf(error) });
    }
  }

  #segments(id: string): Promise<Segment[]> {
    return listSegments(this.#parts.directoryOf(id));
  }

  #seal(id: string, segments: readonly Segment[]): Promise<void> {
    const bases = segments.filter(({ isRaw }) => isRaw).map(({ base }) => base);
    const directory = this.#parts.directoryOf(id);
    return sealSegments({ directory, bases }, this.#stopping.signal);
  }

  async #diskBytes(id: string): Promise<number> {
    const directory = this.#parts.directoryOf(id);
    let bytes = 0;
    for (const { base, isRaw } of await this.#segments(id)) {
      const file = path.join(directory, isRaw ? rawName(base) : sealedName(base));
      const found = await stat(file).catch(() => undefined);
      bytes += (found?.blocks ?? 0) * 512;
    }
    return bytes;
  }
}
