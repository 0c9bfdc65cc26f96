// Removes the output of jobs that ended long ago, or the oldest of it when all of it takes too much of
// the disk. The jobs stay, and what they ended with. A job that has not ended loses nothing.

import { messageOf } from '../../shared/errors.ts';
import { formatBytes, formatDuration } from '../../shared/units.ts';
import type { Log } from '../log.ts';
import type { EndedLog, LogRows } from './log-rows.ts';

export interface RetentionConfig {
  /** How long after the end of a job; 0 is no bound. */
  readonly maxAgeMs: number;
  /** What the logs of ended jobs may take together; 0 is no bound. */
  readonly maxBytes: number;
}

export interface RetentionParts {
  readonly config: RetentionConfig;
  readonly rows: LogRows;
  /** Whether the output of a job may go: where there is an archive, it has to hold all of it. */
  maySpare(id: string): Promise<boolean>;
  /** Removes the output of a job from the disk. */
  discard(id: string): Promise<void>;
  readonly clock: { now(): number };
  readonly log: Log;
}

/** What the smallest log takes of a disk. */
const BLOCK_BYTES = 4096;

export class Retention {
  readonly #parts: RetentionParts;
  /** What logs take: as it was found the last time, and what has come since. */
  #bytes = 0;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
  }

  /** A job has ended with so much output. */
  ended(outputBytes: number): void {
    this.#bytes += diskBytesOf({ outputBytes, diskBytes: undefined });
  }

  /** Whether there may be more than is to be kept, as far as it can be told without looking. */
  isDue(): boolean {
    const { maxBytes } = this.#parts.config;
    return maxBytes > 0 && this.#bytes > maxBytes;
  }

  /** Ends what a killed daemon was at. */
  async recover(): Promise<void> {
    for (const id of this.#parts.rows.halfRemoved()) await this.#discard(id);
  }

  /** Looks at all logs, tells `seen` of each, and removes what is not to be kept; leaves off when aborted. */
  async round(signal: AbortSignal, seen: (log: EndedLog) => void = () => {}): Promise<void> {
    const { config, rows, clock } = this.#parts;
    const { maxAgeMs, maxBytes } = config;
    const oldest = maxAgeMs === 0 ? 0 : clock.now() - maxAgeMs;
    const kept: EndedLog[] = [];
    for await (const log of rows.ended()) {
      if (signal.aborted) return;
      seen(log);
      if (log.endedAtMs > oldest) kept.push(log);
      else {
        const why = `it ended more than ${formatDuration(maxAgeMs)} ago`;
        if (!(await this.#remove(log, why))) kept.push(log);
      }
    }
    let bytes = kept.reduce((sum, log) => sum + diskBytesOf(log), 0);
    if (maxBytes > 0 && bytes > maxBytes) {
      for (const log of kept.toSorted((a, b) => a.endedAtMs - b.endedAtMs)) {
        if (bytes <= maxBytes || signal.aborted) break;
        const isRemoved = await this.#remove(log, `logs may take ${formatBytes(maxBytes)} in all`);
        if (isRemoved) bytes -= diskBytesOf(log);
      }
    }
    this.#bytes = bytes;
  }

  async #remove(log: EndedLog, why: string): Promise<boolean> {
    const { rows, maySpare, clock } = this.#parts;
    if (!(await maySpare(log.id))) return false;
    await rows.removed(log.id, diskBytesOf(log), clock.now(), why);
    this.#parts.log.info('the output of an ended job is removed', { jobId: log.id, why });
    await this.#discard(log.id);
    return true;
  }

  async #discard(id: string): Promise<void> {
    const { rows, discard, log } = this.#parts;
    try {
      await discard(id);
      await rows.cleared(id);
    } catch (error) {
      log.warn('the output of a job cannot be removed', { jobId: id, why: messageOf(error) });
    }
  }
}

/** What is not sealed is small, or will be. */
function diskBytesOf({
  outputBytes,
  diskBytes,
}: Pick<EndedLog, 'outputBytes' | 'diskBytes'>): number {
  return diskBytes ?? Math.max(BLOCK_BYTES, outputBytes);
}
