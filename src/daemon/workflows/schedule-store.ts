// The tables of schedules and their ticks. Everything that writes is called within Db.write.

import type { Identity } from '../jobs/job.ts';
import type { Db } from '../store/db.ts';
import type { Schedule, ScheduleWish, TickRun, TickState } from './schedule.ts';
import type { CatchUp, Overlap } from './ticks.ts';
import type { WorkflowPlan } from './workflow.ts';

const COLUMNS = `name, id, cron, time_zone, overlap, catch_up, jitter_ms, owner, what, paused,
  created_at_ms, next_at_ms, keep`;

export class ScheduleStore {
  readonly #insert;
  readonly #setNext;
  readonly #setPaused;
  readonly #get;
  readonly #all;
  readonly #plan;
  readonly #delete;
  readonly #deleteRuns;
  readonly #insertRun;
  readonly #setRun;
  readonly #runs;
  readonly #waiting;
  readonly #started;
  readonly #forget;
  readonly #old;

  constructor(db: Db) {
    this.#insert = db.prepare(
      `INSERT INTO schedules (plan, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#setNext = db.prepare('UPDATE schedules SET next_at_ms = ? WHERE id = ?');
    this.#setPaused = db.prepare('UPDATE schedules SET paused = ?, next_at_ms = ? WHERE id = ?');
    this.#get = db.prepare(`SELECT ${COLUMNS} FROM schedules WHERE name = ?`);
    this.#all = db.prepare(`SELECT ${COLUMNS} FROM schedules ORDER BY name`);
    this.#plan = db.prepare('SELECT plan FROM schedules WHERE id = ?');
    this.#delete = db.prepare('DELETE FROM schedules WHERE id = ?');
    this.#deleteRuns = db.prepare('DELETE FROM schedule_runs WHERE schedule_id = ?');
    this.#insertRun = db.prepare(
      `INSERT INTO schedule_runs (schedule_id, tick_ms, workflow_id, state, message, at_ms)
       VALUES (?, ?, ?, ?, ?, ?)`,
    );
    this.#setRun = db.prepare(
      `UPDATE schedule_runs SET state = ?, message = ?, at_ms = ?
       WHERE schedule_id = ? AND tick_ms = ?`,
    );
    const runs = 'SELECT tick_ms, workflow_id, state, message, at_ms FROM schedule_runs';
    this.#runs = db.prepare(`${runs} WHERE schedule_id = ? ORDER BY tick_ms DESC`);
    this.#waiting = db.prepare(
      `${runs} WHERE schedule_id = ? AND state = 'WAITING' ORDER BY tick_ms`,
    );
    this.#started = db.prepare(
      `${runs} WHERE schedule_id = ? AND state = 'STARTED' ORDER BY tick_ms DESC LIMIT ?`,
    );
    this.#forget = db.prepare('DELETE FROM schedule_runs WHERE schedule_id = ? AND tick_ms = ?');
    this.#old = db.prepare(`${runs} WHERE schedule_id = ? ORDER BY tick_ms DESC LIMIT -1 OFFSET ?`);
  }

  add(schedule: Schedule, plan: WorkflowPlan): void {
    const { name, id, cron, timeZone, overlap, catchUp, jitterMs, owner, what } = schedule;
    this.#insert.run(
      JSON.stringify(plan),
      name,
      id,
      cron,
      timeZone,
      overlap,
      catchUp,
      jitterMs,
      JSON.stringify(owner),
      what,
      Number(schedule.isPaused),
      schedule.createdAtMs,
      schedule.nextAtMs,
      schedule.keep,
    );
  }

  setNext(id: string, nextAtMs: number): void {
    this.#setNext.run(nextAtMs, id);
  }

  setPaused(id: string, isPaused: boolean, nextAtMs: number): void {
    this.#setPaused.run(Number(isPaused), nextAtMs, id);
  }

  remove(id: string): void {
    this.#deleteRuns.run(id);
    this.#delete.run(id);
  }

  find(name: string): Schedule | undefined {
    const row = this.#get.get(name);
    return row === undefined ? undefined : fromRow(row);
  }

  /** By their names. */
  all(): Schedule[] {
    return this.#all.all().map(fromRow);
  }

  planOf(id: string): WorkflowPlan | undefined {
    const text = this.#plan.get(id)?.['plan'];
    return typeof text === 'string' ? (JSON.parse(text) as ScheduleWish['plan']) : undefined;
  }

  addRun(scheduleId: string, run: TickRun): void {
    const { tickMs, workflowId, state, message, atMs } = run;
    this.#insertRun.run(scheduleId, tickMs, workflowId, state, message, atMs);
  }

  setRun(scheduleId: string, { tickMs, state, message, atMs }: TickRun): void {
    this.#setRun.run(state, message, atMs, scheduleId, tickMs);
  }

  /** Those behind the newest `keep` that wait for nothing, the newest first. */
  oldRunsOf({ id, keep }: Pick<Schedule, 'id' | 'keep'>): TickRun[] {
    return this.#old
      .all(id, keep)
      .map(runFromRow)
      .filter(({ state }) => state !== 'WAITING');
  }

  forgetRun(scheduleId: string, { tickMs }: TickRun): void {
    this.#forget.run(scheduleId, tickMs);
  }

  /** The newest first. */
  runsOf(scheduleId: string): TickRun[] {
    return this.#runs.all(scheduleId).map(runFromRow);
  }

  /** Ticks that are to be started, the oldest first. */
  waitingOf(scheduleId: string): TickRun[] {
    return this.#waiting.all(scheduleId).map(runFromRow);
  }

  /** The last ones that were started, the newest first. */
  startedOf(scheduleId: string, count: number): TickRun[] {
    return this.#started.all(scheduleId, count).map(runFromRow);
  }
}

function fromRow(row: Record<string, unknown>): Schedule {
  const text = (name: string) => String(row[name]);
  const number = (name: string) => Number(row[name]);
  return {
    name: text('name'),
    id: text('id'),
    cron: text('cron'),
    timeZone: text('time_zone'),
    overlap: text('overlap') as Overlap,
    catchUp: text('catch_up') as CatchUp,
    jitterMs: number('jitter_ms'),
    owner: JSON.parse(text('owner')) as Identity,
    what: text('what'),
    isPaused: number('paused') === 1,
    createdAtMs: number('created_at_ms'),
    nextAtMs: number('next_at_ms'),
    keep: number('keep'),
  };
}

function runFromRow(row: Record<string, unknown>): TickRun {
  return {
    tickMs: Number(row['tick_ms']),
    workflowId: String(row['workflow_id']),
    state: String(row['state']) as TickState,
    message: String(row['message']),
    atMs: Number(row['at_ms']),
  };
}
