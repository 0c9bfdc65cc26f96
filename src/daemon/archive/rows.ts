// The rows of the archive: which jobs are to go there, are there, or are to go from there.

import type { Db } from '../store/db.ts';

/** A file of a job, as it was stored. */
export interface ArchivedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export class ArchiveRows {
  readonly #db: Db;
  readonly #waiting;
  readonly #running;
  readonly #doomed;
  readonly #begin;
  readonly #find;
  readonly #add;
  readonly #finish;
  readonly #reopen;
  readonly #forget;

  constructor(db: Db) {
    this.#db = db;
    this.#waiting = db.prepare(
      `SELECT jobs.id FROM jobs LEFT JOIN archived ON job_id = jobs.id
       WHERE ended_at_ms > 0 AND coalesce(stored_at_ms, 0) = 0 ORDER BY ended_at_ms`,
    );
    this.#running = db.prepare("SELECT id FROM jobs WHERE status = 'RUNNING'");
    this.#doomed = db.prepare('SELECT job_id FROM archived WHERE doomed = 1');
    // A job that is being deleted has no row any more, and gets none here.
    this.#begin = db.prepare(
      `INSERT INTO archived SELECT id, 0, '[]', 0 FROM jobs WHERE id = ?
       ON CONFLICT (job_id) DO NOTHING`,
    );
    this.#find = db.prepare('SELECT stored_at_ms, files, doomed FROM archived WHERE job_id = ?');
    this.#add = db.prepare(
      'UPDATE archived SET files = ? WHERE job_id = ? AND stored_at_ms = 0 AND doomed = 0',
    );
    this.#finish = db.prepare(
      'UPDATE archived SET stored_at_ms = ?, files = ? WHERE job_id = ? AND doomed = 0',
    );
    this.#reopen = db.prepare('UPDATE archived SET stored_at_ms = 0, files = ? WHERE job_id = ?');
    this.#forget = db.prepare('DELETE FROM archived WHERE job_id = ?');
  }

  /** Ended jobs that are not in the archive, those first that ended first. */
  waiting(): string[] {
    return this.#waiting.all().map((row) => String(row['id']));
  }

  /** Jobs of whose logs something may be complete. */
  running(): string[] {
    return this.#running.all().map((row) => String(row['id']));
  }

  /** Deleted jobs that may have something in the archive. */
  doomed(): string[] {
    return this.#doomed.all().map((row) => String(row['job_id']));
  }

  /**
   * Says that something of a job may be in the archive from now on; `again` when that was said before,
   * and `gone` when there is no such job.
   */
  async begin(id: string): Promise<'new' | 'again' | 'gone'> {
    const before = this.#find.get(id);
    await this.#db.write(() => this.#begin.run(id));
    await this.#db.durable();
    if (this.#find.get(id)?.['doomed'] !== 0) return 'gone';
    return before === undefined ? 'new' : 'again';
  }

  isDoomed(id: string): boolean {
    return this.#find.get(id)?.['doomed'] === 1;
  }

  /** Says that one more file is there of a job that is not there as a whole. */
  async add(id: string, file: ArchivedFile): Promise<void> {
    const files = [...(this.filesOf(id) ?? []), file];
    await this.#db.write(() => this.#add.run(JSON.stringify(files), id));
  }

  /** Says that all of a job is there. */
  async finish(id: string, files: readonly ArchivedFile[], atMs: number): Promise<void> {
    await this.#db.write(() => this.#finish.run(atMs, JSON.stringify(files), id));
    await this.#db.durable();
  }

  /** Says that not all of it is there after all, but these files. */
  reopen(id: string, files: readonly ArchivedFile[]): Promise<void> {
    return this.#db.write(() => this.#reopen.run(JSON.stringify(files), id));
  }

  forget(id: string): Promise<void> {
    return this.#db.write(() => this.#forget.run(id));
  }

  isWhole(id: string): boolean {
    const row = this.#find.get(id);
    return row !== undefined && row['stored_at_ms'] !== 0 && row['doomed'] === 0;
  }

  /** The files of a job that are there, all of them or not yet; undefined when nothing is to be there. */
  filesOf(id: string): ArchivedFile[] | undefined {
    const row = this.#find.get(id);
    if (row === undefined || row['doomed'] === 1) return undefined;
    return JSON.parse(String(row['files'])) as ArchivedFile[];
  }
}
