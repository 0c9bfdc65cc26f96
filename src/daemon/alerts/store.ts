// The tables of alerts. Everything that writes is called within Db.write.

import type { Db } from '../store/db.ts';

export type Turn = 'fired' | 'resolved';
export type NoticeStatus = 'WAITING' | 'SENT' | 'GIVEN_UP';

export interface Alert {
  readonly id: string;
  readonly rule: string;
  /** What the rule measures. */
  readonly measure: string;
  /** What it is about: a directory, a job's name; or empty. */
  readonly subject: string;
  /** Or empty. */
  readonly jobId: string;
  /** The sentence that it fired with. */
  readonly reading: string;
  readonly firedAtMs: number;
  /** 0 while it fires. */
  readonly resolvedAtMs: number;
  readonly resolution: string;
}

/** That a target is to be told of a turn of an alert. */
export interface Notice {
  readonly alertId: string;
  readonly turn: Turn;
  readonly target: string;
  readonly status: NoticeStatus;
  readonly tries: number;
  /** Of the last try; empty when it went well. */
  readonly problem: string;
}

/** Alerts that are over and still shown, and told where they were not yet. */
export const HISTORY = 1000;

export class AlertStore {
  readonly #add;
  readonly #resolve;
  readonly #firing;
  readonly #newest;
  readonly #get;
  readonly #addNotice;
  readonly #setNotice;
  readonly #notices;
  readonly #waiting;
  readonly #untold;
  readonly #targets;
  readonly #giveUp;
  readonly #forgetNotices;
  readonly #forget;
  readonly #position;
  readonly #dropPosition;
  readonly #addPosition;

  constructor(db: Db) {
    this.#add = db.prepare(
      'INSERT INTO alerts (id, rule, measure, subject, job_id, reading, fired_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#resolve = db.prepare('UPDATE alerts SET resolved_at_ms = ?, resolution = ? WHERE id = ?');
    this.#firing = db.prepare('SELECT * FROM alerts WHERE resolved_at_ms = 0 ORDER BY rowid');
    this.#newest = db.prepare('SELECT * FROM alerts ORDER BY rowid DESC LIMIT ?');
    this.#get = db.prepare('SELECT * FROM alerts WHERE id = ?');
    this.#addNotice = db.prepare(
      `INSERT INTO alert_notices (alert_id, turn, target, status) VALUES (?, ?, ?, 'WAITING')`,
    );
    this.#setNotice = db.prepare(
      `UPDATE alert_notices SET status = ?, tries = ?, problem = ?
       WHERE alert_id = ? AND turn = ? AND target = ?`,
    );
    this.#notices = db.prepare(
      'SELECT * FROM alert_notices WHERE alert_id = ? ORDER BY turn, target',
    );
    this.#waiting = db.prepare(
      `SELECT n.* FROM alert_notices n JOIN alerts a ON a.id = n.alert_id
       WHERE n.status = 'WAITING' AND n.target = ?
       ORDER BY CASE n.turn WHEN 'fired' THEN a.fired_at_ms ELSE a.resolved_at_ms END, a.rowid, n.turn
       LIMIT ?`,
    );
    const old = `SELECT id FROM alerts WHERE resolved_at_ms > 0 ORDER BY rowid DESC LIMIT -1 OFFSET ${HISTORY}`;
    this.#untold = db.prepare(
      `SELECT target, count(*) AS notices FROM alert_notices
       WHERE status = 'WAITING' AND alert_id IN (${old}) GROUP BY target`,
    );
    this.#targets = db.prepare(
      `SELECT DISTINCT target FROM alert_notices WHERE status = 'WAITING'`,
    );
    this.#giveUp = db.prepare(
      `UPDATE alert_notices SET status = 'GIVEN_UP', problem = ? WHERE status = 'WAITING' AND target = ? RETURNING 1`,
    );
    this.#forgetNotices = db.prepare(`DELETE FROM alert_notices WHERE alert_id IN (${old})`);
    this.#forget = db.prepare(`DELETE FROM alerts WHERE id IN (${old})`);
    this.#position = db.prepare('SELECT sequence FROM alert_position');
    this.#dropPosition = db.prepare('DELETE FROM alert_position');
    this.#addPosition = db.prepare('INSERT INTO alert_position (sequence) VALUES (?)');
  }

  add({ id, rule, measure, subject, jobId, reading, firedAtMs }: Alert): void {
    this.#add.run(id, rule, measure, subject, jobId, reading, firedAtMs);
  }

  /** Forgets what is over for longest; answers how many notices of that were still to be sent, by target. */
  forget(): Map<string, number> {
    const untold = this.#untold.all();
    this.#forgetNotices.run();
    this.#forget.run();
    return new Map(untold.map(({ target, notices }) => [String(target), Number(notices)]));
  }

  resolve({ id, resolvedAtMs, resolution }: Alert): void {
    this.#resolve.run(resolvedAtMs, resolution, id);
  }

  find(id: string): Alert | undefined {
    const row = this.#get.get(id);
    return row === undefined ? undefined : alertFrom(row);
  }

  /** The oldest first. */
  firing(): Alert[] {
    return this.#firing.all().map(alertFrom);
  }

  /** The newest first, whether or not they are over. */
  newest(limit: number): Alert[] {
    return this.#newest.all(limit).map(alertFrom);
  }

  addNotice(alertId: string, turn: Turn, target: string): void {
    this.#addNotice.run(alertId, turn, target);
  }

  setNotice({ alertId, turn, target, status, tries, problem }: Notice): void {
    this.#setNotice.run(status, tries, problem, alertId, turn, target);
  }

  /** Targets that something is still to be told. */
  waitedFor(): string[] {
    return this.#targets.all().map(({ target }) => String(target));
  }

  /** Gives up all that a target has not been told; answers how much that was. */
  giveUp(target: string, problem: string): number {
    return this.#giveUp.all(problem, target).length;
  }

  noticesOf(alertId: string): Notice[] {
    return this.#notices.all(alertId).map(noticeFrom);
  }

  /** What a target has not been told yet, in the order in which it happened. */
  waiting(target: string, limit: number): Notice[] {
    return this.#waiting.all(target, limit).map(noticeFrom);
  }

  position(): number | undefined {
    const row = this.#position.get();
    return row === undefined ? undefined : Number(row['sequence']);
  }

  setPosition(sequence: number | undefined): void {
    this.#dropPosition.run();
    if (sequence !== undefined) this.#addPosition.run(sequence);
  }
}

function alertFrom(row: Record<string, unknown>): Alert {
  const text = (name: string) => String(row[name]);
  return {
    id: text('id'),
    rule: text('rule'),
    measure: text('measure'),
    subject: text('subject'),
    jobId: text('job_id'),
    reading: text('reading'),
    firedAtMs: Number(row['fired_at_ms']),
    resolvedAtMs: Number(row['resolved_at_ms']),
    resolution: text('resolution'),
  };
}

function noticeFrom(row: Record<string, unknown>): Notice {
  return {
    alertId: String(row['alert_id']),
    turn: String(row['turn']) as Turn,
    target: String(row['target']),
    status: String(row['status']) as NoticeStatus,
    tries: Number(row['tries']),
    problem: String(row['problem']),
  };
}
