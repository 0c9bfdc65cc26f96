// When a schedule is due: the ticks of a cron expression in a time zone, and what becomes of those that
// were missed. Pure, with the clock passed in.

import { Cron } from 'croner';
import { invalid, messageOf } from '../../shared/errors.ts';

export const overlaps = ['forbid', 'queue', 'replace', 'allow'] as const;
/** What becomes of a tick while the run before it is not over. */
export type Overlap = (typeof overlaps)[number];

export const catchUps = ['none', 'one', 'all'] as const;
/** Which of the ticks that were missed are run after all: none, the last one, all of them. */
export type CatchUp = (typeof catchUps)[number];

/** A tick that is this late was missed: the daemon was down, or the clock jumped. */
const MISSED_MS = 60_000;

/** Ticks that are caught up at most; of more the oldest are forgotten. */
export const MAX_CAUGHT_UP = 100;

/**
 * Ticks that are counted one by one, at some 40 µs each, while everybody waits; behind them only the last
 * minute is looked at.
 */
const MAX_COUNTED = 1000;

const MAX_CRON_CHARS = 256;

/** The ticks of an expression in a zone. Throws `invalid` naming the one that is wrong. */
export class Ticks {
  readonly #cron: Cron;

  constructor(expression: string, timeZone: string) {
    if (expression.length > MAX_CRON_CHARS) {
      throw invalid([{ field: 'cron', message: `is longer than ${MAX_CRON_CHARS} characters` }]);
    }
    try {
      new Intl.DateTimeFormat('en', { timeZone });
    } catch {
      const shown = JSON.stringify(timeZone.slice(0, 64));
      const message = `${shown} is no time zone; write it as Europe/Berlin or UTC`;
      throw invalid([{ field: 'time_zone', message }]);
    }
    try {
      this.#cron = new Cron(expression, { timezone: timeZone, paused: true });
    } catch (error) {
      const words = messageOf(error).replace(/^CronPattern: /, '');
      const shown = JSON.stringify(expression.slice(0, 64));
      const message = `${shown} is no cron expression (${words}); write it as "minute hour day month weekday", such as "30 2 * * 1-5"`;
      throw invalid([{ field: 'cron', message }]);
    }
  }

  /** The first tick behind a moment; 0 when there is none any more. */
  after(atMs: number): number {
    return this.#cron.nextRun(new Date(atMs))?.getTime() ?? 0;
  }

  /** The next ones behind a moment, at most so many. */
  next(atMs: number, count: number): number[] {
    const found: number[] = [];
    for (let at = this.after(atMs); at > 0 && found.length < count; at = this.after(at))
      found.push(at);
    return found;
  }

  /**
   * What is due at a moment, from `nextMs`, the first tick that has not been dealt with: ticks to run,
   * how many were missed and are not run, and the first tick behind the moment.
   */
  due(nextMs: number, nowMs: number, catchUp: CatchUp): Due {
    let run: number[] = [];
    let skipped = 0;
    let at = nextMs;
    for (; at > 0 && at <= nowMs; at = this.after(at)) {
      const isMissed = nowMs - at > MISSED_MS;
      if (isMissed && catchUp === 'none') skipped += 1;
      else run.push(at);
      if (run.length > MAX_CAUGHT_UP) {
        run = run.slice(1);
        skipped += 1;
      }
      if (run.length + skipped === MAX_COUNTED) at = Math.max(at, nowMs - MISSED_MS);
    }
    if (catchUp === 'one') {
      const missed = run.filter((tick) => nowMs - tick > MISSED_MS);
      skipped += Math.max(0, missed.length - 1);
      run = run.slice(Math.max(0, missed.length - 1));
    }
    return { run, skipped, nextMs: at };
  }
}

export interface Due {
  readonly run: readonly number[];
  readonly skipped: number;
  readonly nextMs: number;
}

/** When a tick is acted upon: spread over `jitterMs` by its schedule's name, the same each time it is asked. */
export function spread(name: string, tickMs: number, jitterMs: number): number {
  if (jitterMs === 0) return tickMs;
  let hash = 2166136261;
  for (const character of `${name} ${tickMs}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619) >>> 0;
  }
  return tickMs + (hash % (jitterMs + 1));
}
