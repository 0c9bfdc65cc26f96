// What is done with logs behind the jobs, at low pressure: rounds of sealing, and of removing what is not
// to be kept.

import { messageOf } from '../../shared/errors.ts';
import { isFinal } from '../../shared/job-state.ts';
import type { Log } from '../log.ts';
import type { Clock } from './due.ts';
import type { EndedLog } from './log-rows.ts';
import type { Retention } from './retention.ts';
import type { Sealing } from './sealing.ts';
import type { JobFollower } from './store.ts';

export interface LogKeepingParts {
  readonly sealing: Sealing;
  readonly retention: Retention;
  /** Time from one round to the next. */
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Ages are looked at so often, and whenever there is too much. */
const AGES_MS = 3_600_000;

export class LogKeeping {
  readonly #parts: LogKeepingParts;
  #disarm: () => void = () => {};
  readonly #stopping = new AbortController();
  #lookedAtMs = 0;
  #round: Promise<void> = Promise.resolve();

  constructor(parts: LogKeepingParts) {
    this.#parts = parts;
  }

  /** Told of each change of a job. */
  readonly follower: JobFollower = {
    added: () => {},
    changedJob: ({ id, status, logBytes }) => {
      if (!isFinal(status)) return;
      this.#parts.sealing.ended(id, logBytes);
      this.#parts.retention.ended(logBytes);
    },
  };

  /** Goes on where an earlier daemon stopped. */
  start(): void {
    const { retention, sealing } = this.#parts;
    const unsealed = ({ id, outputBytes, diskBytes }: EndedLog) => {
      if (diskBytes === undefined) sealing.ended(id, outputBytes);
    };
    this.#begin(async () => {
      await retention.recover();
      await this.#look(unsealed);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#disarm();
    await this.#parts.sealing.stop();
    await this.#round;
  }

  /** One round, and then the next one is due. */
  #begin(work: () => Promise<void>): void {
    const { everyMs, clock, log } = this.#parts;
    this.#round = work()
      .catch((error: unknown) => {
        log.warn('logs cannot be looked after', { why: messageOf(error) });
      })
      .then(() => {
        if (this.#stopping.signal.aborted) return;
        this.#disarm = clock.at(clock.now() + everyMs, () => this.#begin(() => this.#next()));
      });
  }

  async #next(): Promise<void> {
    const { sealing, retention } = this.#parts;
    await sealing.round();
    if (retention.isDue() || performance.now() - this.#lookedAtMs >= AGES_MS) await this.#look();
  }

  async #look(seen?: (log: EndedLog) => void): Promise<void> {
    this.#lookedAtMs = performance.now();
    await this.#parts.retention.round(this.#stopping.signal, seen);
  }
}
