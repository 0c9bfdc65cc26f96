// What is remembered of the logs of ended jobs: that they are sealed, what they take, and that they were
// removed.

import type { Audit } from '../audit/audit.ts';
import type { Db } from '../store/db.ts';
import type { Removal } from './logs.ts';

/** The log of an ended job that has not been removed. */
export interface EndedLog {
  readonly id: string;
  readonly endedAtMs: number;
  /** Output that was kept. */
  readonly outputBytes: number;
  /** What it takes on disk; undefined until it is sealed. */
  readonly diskBytes: number | undefined;
}

/** Logs looked at before the event loop gets its turn. */
const PAGE = 500;

export class LogRows {
  readonly #db: Db;
  readonly #audit: Audit;
  readonly #page;
  readonly #seal;
  readonly #remove;
  readonly #clear;
  readonly #removal;
  readonly #halfRemoved;

  constructor(db: Db, audit: Audit) {
    this.#db = db;
    this.#audit = audit;
    this.#page = db.prepare(
      `SELECT jobs.rowid AS place, id, ended_at_ms, log_bytes, disk_bytes, removed_at_ms
       FROM jobs LEFT JOIN logs ON job_id = id
       WHERE jobs.rowid > ? ORDER BY jobs.rowid LIMIT ${PAGE}`,
    );
    this.#seal = db.prepare(
      `INSERT INTO logs (job_id, disk_bytes) SELECT id, ? FROM jobs WHERE id = ?
       ON CONFLICT DO UPDATE SET disk_bytes = excluded.disk_bytes WHERE removed_at_ms = 0`,
    );
    this.#remove = db.prepare(
      `INSERT INTO logs (job_id, disk_bytes, removed_at_ms, removed_why)
       SELECT id, ?, ?, ? FROM jobs WHERE id = ?
       ON CONFLICT DO UPDATE SET removed_at_ms = excluded.removed_at_ms,
         removed_why = excluded.removed_why`,
    );
    this.#clear = db.prepare('UPDATE logs SET disk_bytes = 0 WHERE job_id = ?');
    this.#removal = db.prepare(
      'SELECT removed_why, removed_at_ms FROM logs WHERE job_id = ? AND removed_at_ms > 0',
    );
    this.#halfRemoved = db.prepare(
      'SELECT job_id FROM logs WHERE removed_at_ms > 0 AND disk_bytes > 0',
    );
  }

  /** All that have not been removed, in the order in which their jobs were accepted. */
  async *ended(): AsyncGenerator<EndedLog> {
    for (let place = 0; ; ) {
      const rows = this.#page.all(place);
      for (const row of rows) {
        place = Number(row['place']);
        if (Number(row['ended_at_ms']) === 0 || Number(row['removed_at_ms'] ?? 0) > 0) continue;
        yield {
          id: String(row['id']),
          endedAtMs: Number(row['ended_at_ms']),
          outputBytes: Number(row['log_bytes']),
          diskBytes: row['disk_bytes'] === null ? undefined : Number(row['disk_bytes']),
        };
      }
      if (rows.length < PAGE) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  sealed(id: string, diskBytes: number): Promise<void> {
    return this.#db.write(() => this.#seal.run(diskBytes, id));
  }

  /** Records that a log is removed, before it is. Resolves when that would survive a power cut. */
  async removed(id: string, diskBytes: number, atMs: number, why: string): Promise<void> {
    await this.#db.write(() => {
      this.#audit.append({ atMs, action: 'job.log-removed', jobId: id, result: 'ok', detail: why });
      this.#remove.run(diskBytes, atMs, why, id);
    });
    await this.#db.durable();
  }

  /** Nothing of a removed log is left. */
  cleared(id: string): Promise<void> {
    return this.#db.write(() => this.#clear.run(id));
  }

  /** Those of which a crash may have left something. */
  halfRemoved(): string[] {
    return this.#halfRemoved.all().map((row) => String(row['job_id']));
  }

  /** Why and when the log of a job was removed; undefined when it was not. */
  removalOf(id: string): Removal | undefined {
    const row = this.#removal.get(id);
    return row && { why: String(row['removed_why']), atMs: Number(row['removed_at_ms']) };
  }
}
