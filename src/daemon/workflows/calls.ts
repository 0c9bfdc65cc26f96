// The calls of a workflow under way, in memory: which of its jobs are part of which, how many of them
// are under way, and which calls have their turn in a concurrency group or wait for it.

import { hasEnded } from '../../shared/step-status.ts';
import { type Call, isUnderWay, type StepPlan, type StepState, type Turn } from './workflow.ts';

/** What has become of turns since somebody asked. */
export interface TurnNews {
  /** Calls that wait for theirs. */
  readonly asked: readonly number[];
  /** One has given up its own. */
  readonly hasLeft: boolean;
}

const noNews: TurnNews = { asked: [], hasLeft: false };

type Member = Pick<StepPlan, 'call'>;

export class Calls {
  readonly #calls: readonly Call[];
  /** Each call with those around it, the innermost first. */
  readonly #chains: readonly (readonly number[])[];
  /** Its jobs that are ready or have a job that has not ended. */
  readonly #underWay: number[];
  /** Its jobs that have not ended. */
  readonly #open: number[];
  #turns: ReadonlyMap<number, Turn>;
  #news: TurnNews = noNews;

  constructor(calls: readonly Call[], turns: readonly Turn[]) {
    this.#calls = calls;
    const chains: (readonly number[])[] = [];
    for (const [number, { around }] of calls.entries()) {
      chains.push(around === undefined ? [number] : [number, ...(chains[around] ?? [])]);
    }
    this.#chains = chains;
    this.#underWay = calls.map(() => 0);
    this.#open = calls.map(() => 0);
    this.#turns = new Map(turns.map((turn) => [turn.call, turn]));
  }

  get turns(): readonly Turn[] {
    return [...this.#turns.values()];
  }

  /** Whether a job or a call is part of a call. */
  isWithin({ call }: Member, outer: number): boolean {
    return this.#chainOf(call).includes(outer);
  }

  /** Counts a job that has come to `after`; without `before` it is a new one. */
  count({ call }: Member, before: StepState | undefined, after: StepState): void {
    if (call === undefined) return;
    const underWay = Number(isUnderWay(after)) - Number(before !== undefined && isUnderWay(before));
    const open =
      Number(!hasEnded(after.status)) - Number(before !== undefined && !hasEnded(before.status));
    for (const number of this.#chainOf(call)) {
      this.#underWay[number] = (this.#underWay[number] ?? 0) + underWay;
      this.#open[number] = (this.#open[number] ?? 0) + open;
    }
  }

  /** Whether one job more may be under way in all calls that it is part of. */
  hasRoom({ call }: Member): boolean {
    return this.#chainOf(call).every((number) => {
      const most = this.#calls[number]?.maxParallel ?? 0;
      return most === 0 || (this.#underWay[number] ?? 0) < most;
    });
  }

  /** The outermost call around a job that has not got its turn. */
  gateOf({ call }: Member): number | undefined {
    return this.#chainOf(call).findLast(
      (number) =>
        this.#calls[number]?.concurrency !== undefined && this.#turns.get(number)?.state !== 'has',
    );
  }

  /** Whether a call waits for its turn. */
  isWaiting(call: number): boolean {
    return this.#turns.get(call)?.state === 'waits';
  }

  /** Whether a call around a job is ended before its time. */
  isEnding({ call }: Member): boolean {
    return this.#chainOf(call).some((number) => this.#turns.get(number)?.state === 'ends');
  }

  /** A call asks for its turn. */
  ask(call: number, nowMs: number): void {
    if (this.#turns.has(call)) return;
    this.#put({ call, state: 'waits', sinceMs: nowMs });
    this.#news = { ...this.#news, asked: [...this.#news.asked, call] };
  }

  /** A call gets its turn, or has to end. */
  move(call: number, state: 'has' | 'ends'): void {
    const turn = this.#turns.get(call);
    if (turn !== undefined) this.#put({ ...turn, state });
  }

  leave(call: number): void {
    this.#turns = new Map([...this.#turns].filter(([number]) => number !== call));
    this.#news = { ...this.#news, hasLeft: true };
  }

  /** Calls whose jobs have ended leave their turns. */
  leaveEnded(): void {
    for (const number of this.#turns.keys()) if (this.#open[number] === 0) this.leave(number);
  }

  /** What is new of turns; the next time it is old. */
  takeNews(): TurnNews {
    const news = this.#news;
    this.#news = noNews;
    return news;
  }

  #put(turn: Turn): void {
    this.#turns = new Map([...this.#turns, [turn.call, turn]]);
  }

  #chainOf(call: number | undefined): readonly number[] {
    return call === undefined ? [] : (this.#chains[call] ?? []);
  }
}
