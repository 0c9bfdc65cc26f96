// The node's database: one SQLite file in WAL mode, opened once. Statements are short, because
// node:sqlite runs on the main thread.
//
// What is written in one turn of the event loop is one transaction.
//
// Durability: a commit is written to the WAL at once, so the death of this process loses nothing.
// What a power cut must not lose is waited for with `durable()`: one fdatasync of the WAL in the
// thread pool serves all who wait, and the main thread never stands still for the disk.

import {
  closeSync,
  constants,
  fdatasync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { readOwner } from './owner.ts';

const MIGRATIONS = path.join(import.meta.dirname, 'migrations');

/** How long a change that may wait does wait for company. */
const SOON_MS = 100;

export class Db {
  readonly #db: DatabaseSync;
  readonly #walFd: number;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  /** Transactions committed so far. */
  #commits = 0;
  #rollbacks = 0;
  /** The flush under way, and how many commits it covers. */
  #syncing: { readonly promise: Promise<void>; readonly commits: number } | undefined;
  #next: Promise<void> | undefined;
  /** The transaction of this turn of the event loop. */
  #batch: PromiseWithResolvers<void> | undefined;
  /** Changes that go with the next transaction. */
  readonly #soon: (() => void)[] = [];
  #soonTimer: NodeJS.Timeout | undefined;

  /** Opens or creates `<directory>/joblet.db` and brings its schema up to date. */
  constructor(directory: string) {
    const file = path.join(directory, 'joblet.db');
    try {
      // Made before SQLite sees it, so that it is never readable by others.
      closeSync(openSync(file, constants.O_CREAT | constants.O_RDWR, 0o600));
      this.#db = new DatabaseSync(file);
      // Exclusive: the kernel's lock keeps a second daemon out, and goes when this process does.
      this.#db.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;',
      );
      this.#migrate(file);
      this.#begin = this.#db.prepare('BEGIN IMMEDIATE');
      this.#commit = this.#db.prepare('COMMIT');
      this.#walFd = openSync(`${file}-wal`, 'r+');
      const directoryFd = openSync(directory, 'r');
      fsyncSync(directoryFd);
      closeSync(directoryFd);
    } catch (error) {
      if (error instanceof JobletError) throw error;
      if (/database is locked/.test(messageOf(error))) {
        throw new JobletError(
          'unavailable',
          `${readOwner(directory)} already runs on ${directory}; stop it first, or give this one a state directory of its own`,
          { about: directory, cause: error },
        );
      }
      throw new JobletError(
        'unavailable',
        `the state in ${file} cannot be used: ${messageOf(error)}; free or repair the disk, or restore a backup`,
        { about: file, cause: error },
      );
    }
  }

  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /**
   * Runs `body` in a transaction that it shares with whatever else is written in this turn of the
   * event loop: what arrives together is committed together. Resolves when it is committed; if
   * anything in the batch fails, all of it is taken back and every writer is told.
   */
  write(body: () => void): Promise<void> {
    if (this.#batch === undefined) {
      this.#begin.run();
      this.#batch = Promise.withResolvers<void>();
      // Somebody always hears of a failure: the promise is handed to every writer below.
      this.#batch.promise.catch(() => {});
      setImmediate(() => this.flush());
    }
    const { promise } = this.#batch;
    clearTimeout(this.#soonTimer);
    this.#soonTimer = undefined;
    try {
      for (const each of this.#soon.splice(0)) each();
      body();
    } catch (error) {
      this.#fail(error);
    }
    return promise;
  }

  /**
   * The same, in the transaction of whatever is written next, or soon by itself: for what a daemon
   * started after a crash finds out without it, or can do without.
   */
  writeSoon(body: () => void): void {
    this.#soon.push(body);
    this.#soonTimer ??= setTimeout(() => this.flush(), SOON_MS).unref();
  }

  /** Transactions taken back so far: what somebody remembers from before the last may be wrong. */
  get rollbacks(): number {
    return this.#rollbacks;
  }

  /** Commits what this turn has written so far, and what waits. */
  flush(): void {
    if (this.#soon.length > 0) void this.write(() => {}).catch(() => {});
    const batch = this.#batch;
    if (batch === undefined) return;
    try {
      this.#commit.run();
      this.#batch = undefined;
      this.#commits += 1;
      batch.resolve();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves when everything written before this call would survive a power cut. */
  durable(): Promise<void> {
    return this.#batch === undefined
      ? this.#durable()
      : this.#batch.promise.then(() => this.#durable());
  }

  #durable(): Promise<void> {
    if (this.#syncing === undefined) return this.#startSync();
    // The one under way will do if it was started behind the last commit.
    if (this.#syncing.commits === this.#commits) return this.#syncing.promise;
    const start = () => this.#startSync();
    this.#next ??= this.#syncing.promise.then(start, start);
    return this.#next;
  }

  close(): void {
    this.flush();
    closeSync(this.#walFd);
    this.#db.close();
  }

  #fail(error: unknown): void {
    const batch = this.#batch;
    this.#batch = undefined;
    this.#rollbacks += 1;
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    batch?.reject(error);
  }

  #startSync(): Promise<void> {
    this.#next = undefined;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#syncing = { promise, commits: this.#commits };
    fdatasync(this.#walFd, (error) => {
      // Whoever waits in #next starts the next one; else the next caller does.
      if (this.#next === undefined) this.#syncing = undefined;
      if (error === null) resolve();
      else {
        const message = `the disk refused to keep the state: ${error.message}`;
        reject(new JobletError('unavailable', message, { cause: error }));
      }
    });
    return promise;
  }

  #migrate(file: string): void {
    const row = this.#db.prepare('PRAGMA user_version').get();
    const have = Number(row?.['user_version'] ?? 0);
    const migrations = readdirSync(MIGRATIONS)
      .filter((name) => name.endsWith('.sql'))
      .sort();
    if (have > migrations.length) {
      throw new JobletError(
        'unavailable',
        `${file} was written by a newer joblet (schema ${have}, this one knows ${migrations.length}); run the newer version`,
        { about: file },
      );
    }
    for (const [index, name] of migrations.entries()) {
      if (index < have) continue;
      const sql = readFileSync(path.join(MIGRATIONS, name), 'utf8');
      this.#db.exec(`BEGIN; ${sql}\nPRAGMA user_version = ${index + 1}; COMMIT;`);
    }
  }
}
