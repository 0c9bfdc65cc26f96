// Lists of jobs as the table has them. They are long and asked for often, so that they read what a list
// shows and no more, and parse what many rows say once.

import type { JobStatus, Outcome } from '../../shared/job-state.ts';
import type { Db, Statement } from '../store/db.ts';
import type { Job, StoredSpec } from './job.ts';

export interface JobQuery {
  /** Empty or absent is any. */
  readonly statuses?: readonly JobStatus[];
  readonly name?: string;
  /** At most this many, newest first. */
  readonly limit: number;
  /** Continue behind this job. */
  readonly beforeMs?: number;
  readonly beforeId?: string;
}

/** A job as far as lists show it. */
export type ListedJob = Pick<
  Job,
  'id' | 'spec' | 'status' | 'createdAtMs' | 'startedAtMs' | 'endedAtMs' | 'outcome'
>;

const COLUMNS = 'id, status, spec, secrets, created_at_ms, started_at_ms, ended_at_ms, outcome';

/** Texts of one column that are remembered with what they say, and how long such a text may be. */
const TEXTS = 256;
const TEXT_CHARS = 2048;

export class JobLists {
  readonly #db: Db;
  /** By their condition; there are few. */
  readonly #statements = new Map<string, Statement>();
  readonly #specs = new Texts<Omit<StoredSpec, 'secretEnvironment'>>();
  readonly #secrets = new Texts<StoredSpec['secretEnvironment']>();
  readonly #outcomes = new Texts<Outcome>();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Newest first. */
  query({ statuses = [], name = '', limit, beforeMs, beforeId = '' }: JobQuery): ListedJob[] {
    this.#db.flush();
    const where: string[] = [];
    const values: (string | number)[] = [];
    if (statuses.length > 0) {
      where.push('status IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(statuses));
    }
    if (name !== '') {
      where.push('name = ?');
      values.push(name);
    }
    if (beforeMs !== undefined) {
      // Where that job has been deleted meanwhile, its time has to do.
      where.push(`rowid < coalesce((SELECT rowid FROM jobs WHERE id = ?),
        (SELECT max(rowid) + 1 FROM jobs WHERE created_at_ms <= ?))`);
      values.push(beforeId, beforeMs);
    }
    const condition = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
    return this.#statement(condition)
      .all(...values, limit)
      .map((row) => this.#listed(row));
  }

  #statement(condition: string): Statement {
    const known = this.#statements.get(condition);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(
      `SELECT ${COLUMNS} FROM jobs ${condition} ORDER BY rowid DESC LIMIT ?`,
    );
    this.#statements.set(condition, statement);
    return statement;
  }

  #listed(row: Record<string, unknown>): ListedJob {
    const outcome = row['outcome'];
    return {
      id: String(row['id']),
      spec: {
        ...this.#specs.parse(String(row['spec'])),
        secretEnvironment: this.#secrets.parse(String(row['secrets'])),
      },
      status: String(row['status']) as JobStatus,
      createdAtMs: Number(row['created_at_ms']),
      startedAtMs: Number(row['started_at_ms']),
      endedAtMs: Number(row['ended_at_ms']),
      outcome: outcome === null ? undefined : this.#outcomes.parse(String(outcome)),
    };
  }
}

/** JSON that is parsed once for those rows near each other that have the same. */
class Texts<T> {
  readonly #values = new Map<string, T>();

  parse(text: string): T {
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const value = JSON.parse(text) as T;
    if (text.length > TEXT_CHARS) return value;
    if (this.#values.size >= TEXTS) this.#values.clear();
    this.#values.set(text, value);
    return value;
  }
}
