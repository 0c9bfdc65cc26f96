// The audit table: records in, records out. Nothing else knows its columns.

import type { Db } from '../store/db.ts';
import { type Anchor, START } from './chain.ts';
import type { AuditRecord } from './record.ts';

/** Which records are wanted; what is left out, or empty, wants any. */
export interface AuditFilter {
  readonly sinceMs?: number | undefined;
  /** Earlier than this. */
  readonly untilMs?: number | undefined;
  /** A job's id, or the beginning of one. */
  readonly jobId?: string;
  readonly who?: string;
  readonly actions?: readonly string[];
  readonly result?: string;
}

/** Records that lie between two numbers, both of them counted in. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const COLUMNS =
  'sequence, at_ms, action, job_id, method, who, role, certificate, peer, result, detail, count, hash';

export class AuditTable {
  readonly #db: Db;
  readonly #insert;
  readonly #head;
  readonly #first;
  readonly #span;
  readonly #delete;
  readonly #old;

  constructor(db: Db) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO audit (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#head = db.prepare('SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1');
    this.#first = db.prepare('SELECT sequence FROM audit ORDER BY sequence LIMIT 1');
    this.#span = db.prepare(
      `SELECT ${COLUMNS} FROM audit WHERE sequence BETWEEN ? AND ? ORDER BY sequence`,
    );
    this.#delete = db.prepare('DELETE FROM audit WHERE sequence <= ?');
    this.#old = db.prepare(
      'SELECT max(sequence) AS sequence FROM audit WHERE sequence BETWEEN ? AND ? AND at_ms < ?',
    );
  }

  insert(record: AuditRecord): void {
    this.#insert.run(
      record.sequence,
      record.atMs,
      record.action,
      record.jobId,
      record.method,
      record.name,
      record.role,
      record.certificate,
      record.peer,
      record.result,
      record.detail,
      record.count,
      record.hash,
    );
  }

  /** The last record, or the place before the first. */
  head(): Anchor {
    const row = this.#head.get();
    if (row === undefined) return START;
    return { sequence: Number(row['sequence']), hash: String(row['hash']) };
  }

  /** Number of the first record; 0 when there is none. */
  first(): number {
    return Number(this.#first.get()?.['sequence'] ?? 0);
  }

  /** Ascending. */
  read({ from, to }: Span): AuditRecord[] {
    return this.#span.all(from, to).map(fromRow);
  }

  /** The records of a span that pass a filter, at most `limit` of them. */
  find(filter: AuditFilter, span: Span, order: 'ASC' | 'DESC', limit: number): AuditRecord[] {
    const where = ['sequence BETWEEN ? AND ?'];
    const values: (string | number)[] = [span.from, span.to];
    const wants = (condition: string, ...given: readonly (string | number)[]) => {
      where.push(condition);
      values.push(...given);
    };
    const { sinceMs, untilMs, jobId = '', who = '', actions = [], result = '' } = filter;
    if (sinceMs !== undefined) wants('at_ms >= ?', sinceMs);
    if (untilMs !== undefined) wants('at_ms < ?', untilMs);
    if (jobId !== '') wants('substr(job_id, 1, ?) = ?', jobId.length, jobId);
    if (who !== '') wants('who = ?', who);
    if (result !== '') wants('result = ?', result);
    if (actions.length > 0) wants(`action IN (${actions.map(() => '?').join(', ')})`, ...actions);
    return this.#db
      .prepare(
        `SELECT ${COLUMNS} FROM audit WHERE ${where.join(' AND ')} ORDER BY sequence ${order} LIMIT ?`,
      )
      .all(...values, limit)
      .map(fromRow);
  }

  /** The last record of a span that is older than a time; 0 when none is. */
  lastOlder({ from, to }: Span, beforeMs: number): number {
    return Number(this.#old.get(from, to, beforeMs)?.['sequence'] ?? 0);
  }

  /** Takes everything up to a number away. */
  deleteThrough(sequence: number): void {
    this.#delete.run(sequence);
  }
}

function fromRow(row: Record<string, unknown>): AuditRecord {
  const text = (name: string) => String(row[name]);
  const number = (name: string) => Number(row[name]);
  return {
    sequence: number('sequence'),
    atMs: number('at_ms'),
    action: text('action'),
    jobId: text('job_id'),
    method: text('method'),
    name: text('who'),
    role: text('role'),
    certificate: text('certificate'),
    peer: text('peer'),
    result: text('result'),
    detail: text('detail'),
    count: number('count'),
    hash: text('hash'),
  };
}
