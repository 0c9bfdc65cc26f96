// Backups of the state. One is a database of its own in one file: every page has its checksum, no page
// is unused, and its length is what its first page says, so that a changed bit and a lost end both show.

import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { JobletError } from '../../shared/errors.ts';
import { databaseFile, inUseFile, knownSchema, SUMS_AT } from './db.ts';
import { remainsOf } from './directories.ts';
import { faultOf, foundDamaged, isLocked } from './faults.ts';
import { SUM_BYTES, usePageSums } from './page-sums.ts';

export interface BackupFacts {
  readonly bytes: number;
  readonly schema: number;
  readonly jobs: number;
  /** Of them, those that had not ended. */
  readonly unfinished: number;
}

/** Boot of jobs whose row comes from a backup: what became of them since, it does not know. */
export const RESTORED_BOOT = 'restored';

const PAGE_BYTES = 4096;
/** Where a database says how many pages it has. */
const PAGES_AT = 28;

/** Makes a backup out of a copy of the database and gives it its name, whole or not at all. */
export function sealBackup(copy: string, file: string): BackupFacts {
  try {
    usePageSums();
    const db = new DatabaseSync(copy);
    // No files beside it, and no page that nobody reads.
    db.exec('PRAGMA journal_mode = DELETE; VACUUM;');
    db.close();
    const facts = readBackup(copy);
    chmodSync(copy, 0o600);
    sync(copy);
    renameSync(copy, file);
    sync(path.dirname(file));
    return facts;
  } catch (error) {
    throw faultOf(error, file);
  }
}

/** What a backup holds. Throws when it is none, is damaged, or is of a newer version. */
export function readBackup(file: string): BackupFacts {
  const bytes = checkShape(file);
  usePageSums();
  try {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      const one = (sql: string) => Object.values(db.prepare(sql).get() ?? {})[0];
      const said = String(one('PRAGMA quick_check(1)'));
      if (said !== 'ok') throw foundDamaged(file, said);
      const schema = Number(one('PRAGMA user_version'));
      if (schema > knownSchema()) {
        throw new JobletError(
          'unavailable',
          `${file} is of a newer joblet (schema ${schema}, this one knows ${knownSchema()}); restore it with that version`,
          { about: file },
        );
      }
      const jobs = Number(one('SELECT count(*) FROM jobs'));
      const unfinished = Number(one('SELECT count(*) FROM jobs WHERE ended_at_ms = 0'));
      return { bytes, schema, jobs, unfinished };
    } finally {
      db.close();
    }
  } catch (error) {
    throw faultOf(error, file);
  }
}

/**
 * Puts a backup in the place of the state, which must be used by nobody. What was there is kept beside
 * it; `mayReplace` says that there may be something.
 */
export function restoreBackup(file: string, directory: string, mayReplace: boolean): BackupFacts {
  const facts = readBackup(file);
  const database = databaseFile(directory);
  const old = remainsOf(directory);
  if (old.length > 0 && !mayReplace) {
    throw new JobletError(
      'exists',
      `there is a state in ${directory} already: ${old.join(' and ')};` +
        ' --force puts the backup in its place and keeps the old one beside it',
      { about: directory },
    );
  }
  const fresh = `${database}-restoring`;
  try {
    copyFileSync(file, fresh);
    chmodSync(fresh, 0o600);
    markUnfinished(fresh);
    sync(fresh);
    assertUnused(directory);
    // The old log first: SQLite would take it for the new database's.
    const aside = `${database}-replaced-${new Date().toISOString().replaceAll(/\W/g, '')}`;
    for (const part of ['-wal', '']) {
      if (existsSync(database + part)) renameSync(database + part, aside + part);
    }
    rmSync(inUseFile(directory), { force: true });
    writeFileSync(restoredFile(directory), '', { mode: 0o600 });
    renameSync(fresh, database);
    sync(directory);
    return facts;
  } catch (error) {
    rmSync(fresh, { force: true });
    throw faultOf(error, directory);
  }
}

/** Stands beside a database that was restored until a daemon has looked after what came behind the backup. */
export function restoredFile(directory: string): string {
  return `${databaseFile(directory)}-restored`;
}

/** Cheap signs of what is no whole backup, before SQLite is asked. */
function checkShape(file: string): number {
  const { size } = statSync(file, { throwIfNoEntry: false }) ?? { size: -1 };
  if (size < 0) throw new JobletError('not-found', `there is no file ${file}`, { about: file });
  const head = Buffer.alloc(PAGES_AT + 4);
  const fd = openSync(file, 'r');
  const length = readSync(fd, head, 0, head.length, 0);
  closeSync(fd);
  const bad = (what: string) =>
    new JobletError('invalid', `${file} is no whole backup: ${what}; use another one`, {
      about: file,
    });
  if (length < head.length || head.toString('latin1', 0, 15) !== 'SQLite format 3') {
    throw bad('it does not begin like one');
  }
  if (head[SUMS_AT] !== SUM_BYTES) throw bad('its pages have no checksums');
  const said = head.readUInt32BE(PAGES_AT) * PAGE_BYTES;
  if (said !== size) throw bad(`it has ${size} bytes, and should have ${said}`);
  return size;
}

/** A state that is damaged is used by nobody either. */
function assertUnused(directory: string): void {
  const database = databaseFile(directory);
  if (!existsSync(database)) return;
  const db = new DatabaseSync(database);
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; ROLLBACK;');
  } catch (error) {
    if (isLocked(error)) throw faultOf(error, database);
  } finally {
    db.close();
  }
  // Closing it has moved its WAL into it.
  if (!existsSync(`${database}-wal`)) rmSync(inUseFile(directory), { force: true });
}

/**
 * Jobs that had not ended may have run on since, or begun to: the next start finds out what became of
 * them, and runs none of them again.
 */
function markUnfinished(database: string): void {
  const db = new DatabaseSync(database);
  db.prepare(
    `UPDATE jobs SET boot_id = ?, status = 'RUNNING'
     WHERE ended_at_ms = 0 AND (status <> 'SCHEDULED' OR start_at_ms <= ?)`,
  ).run(RESTORED_BOOT, Date.now());
  // What has become of their steps since is not known either; none of them starts by itself.
  const hasWorkflows = db
    .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'workflow_steps'")
    .get();
  if (hasWorkflows !== undefined) {
    db.exec(`
      UPDATE workflow_steps SET status = 'CANCELED', exit_code = -1, message = 'STATE_RESTORED'
      WHERE job_id = '' AND status = 'PENDING';
      UPDATE workflows SET ending = 'cancel', ended_by = 'the restore' WHERE ended_at_ms = 0;`);
  }
  const hasSchedules = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schedules'").get();
  if (hasSchedules !== undefined) {
    // Below 0: the next tick is to be found from the next start on.
    db.exec(`
      UPDATE schedule_runs SET state = 'SKIPPED', message = 'STATE_RESTORED' WHERE state = 'WAITING';
      UPDATE schedules SET next_at_ms = -1 WHERE next_at_ms > 0;`);
  }
  db.close();
}

function sync(file: string): void {
  const fd = openSync(file, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
