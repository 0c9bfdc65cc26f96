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
  existsSync,
  fdatasync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import {
  backup,
  DatabaseSync,
  type SQLInputValue,
  type SQLOutputValue,
  type StatementSync,
} from 'node:sqlite';
import { JobletError } from '../../shared/errors.ts';
import { damaged, faultOf, foundDamaged } from './faults.ts';
import { SUM_BYTES, usePageSums } from './page-sums.ts';
import { syncDirectory } from './sync-directory.ts';
import { readWal } from './wal.ts';

const MIGRATIONS = path.join(import.meta.dirname, 'migrations');

/** How long a change that may wait does wait for company. */
const SOON_MS = 100;
/** So many of them wait for a disk that fails; the oldest go first. */
const SOON_MOST = 10_000;

/** Where in a database file its header says how many bytes of a page are left for checksums. */
export const SUMS_AT = 20;

/**
 * The WAL has this size from the start. SQLite moves it into the database at half of that, so when
 * the disk is full there is room for the ends of a thousand jobs.
 */
const WAL_BYTES = 8 * 1024 * 1024;

/** Pages copied at a time by a backup; the main thread may have to wait for one such step. */
const BACKUP_PAGES = 20;

/** How often a backup is begun. */
const COPY_TRIES = 10;

/** Who wants to know how the disk is doing. */
export interface DbEvents {
  /** Something could not be written, for the first time since all was well. */
  failed?(why: string): void;
  /** What is written is kept again. */
  recovered?(): void;
  /** Something about the files is worth a line in the log. */
  noticed?(what: string): void;
}

/** A prepared statement; its failures are named. */
export interface Statement {
  run(...values: SQLInputValue[]): void;
  get(...values: SQLInputValue[]): Record<string, SQLOutputValue> | undefined;
  all(...values: SQLInputValue[]): Record<string, SQLOutputValue>[];
}

export class Db {
  readonly #file: string;
  readonly #events: DbEvents;
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
  /** Those of them that are in the transaction now: they go with a later one when it fails. */
  #taken: (() => void)[] = [];
  #soonTimer: NodeJS.Timeout | undefined;
  #isFailing = false;
  /** A flush failed: the kernel may have dropped what it could not write, and says so only once. */
  #isUnsure = false;

  /**
   * Opens or creates `<directory>/joblet.db`, checks it, and brings its schema up to date, unless it is
   * wanted as it is.
   */
  constructor(directory: string, events: DbEvents = {}, schema: 'newest' | 'as it is' = 'newest') {
    this.#file = databaseFile(directory);
    this.#events = events;
    usePageSums();
    try {
      checkWal(this.#file, events);
      const hasSums = makeFile(this.#file);
      this.#db = new DatabaseSync(this.#file);
      // Exclusive: the kernel's lock keeps a second daemon out, and goes when this process does.
      this.#db.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;',
      );
      if (!hasSums) this.#sumPages();
      this.#check();
      if (schema === 'newest') this.#migrate();
      this.#begin = this.#db.prepare('BEGIN IMMEDIATE');
      this.#commit = this.#db.prepare('COMMIT');
      this.#walFd = openSync(`${this.#file}-wal`, 'r+');
      this.#reserveWal();
      closeSync(openSync(inUseFile(directory), 'w', 0o600));
      syncDirectory(directory);
    } catch (error) {
      throw faultOf(error, this.#file);
    }
  }

  prepare(sql: string): Statement {
    const statement = this.#named(() => this.#db.prepare(sql));
    return {
      run: (...values) => {
        this.#named(() => statement.run(...values));
      },
      get: (...values) => this.#named(() => statement.get(...values)),
      all: (...values) => this.#named(() => statement.all(...values)),
    };
  }

  /**
   * Runs `body` in a transaction that it shares with whatever else is written in this turn of the
   * event loop: what arrives together is committed together. Resolves when it is committed; if
   * anything in the batch fails, all of it is taken back and every writer is told. Never throws.
   */
  write(body: () => void): Promise<void> {
    if (this.#batch === undefined) {
      try {
        this.#begin.run();
      } catch (error) {
        return Promise.reject(this.#failed(error));
      }
      this.#batch = Promise.withResolvers<void>();
      // Somebody always hears of a failure: the promise is handed to every writer below.
      this.#batch.promise.catch(() => {});
      setImmediate(() => this.flush());
    }
    const { promise } = this.#batch;
    clearTimeout(this.#soonTimer);
    this.#soonTimer = undefined;
    try {
      for (let next = this.#soon.shift(); next !== undefined; next = this.#soon.shift()) {
        this.#taken.push(next);
        next();
      }
      body();
    } catch (error) {
      this.#takeBack(error);
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
      this.#taken = [];
      this.#commits += 1;
      batch.resolve();
    } catch (error) {
      this.#takeBack(error);
    }
  }

  /** Resolves when everything written before this call would survive a power cut. */
  durable(): Promise<void> {
    return this.#batch === undefined
      ? this.#durable()
      : this.#batch.promise.then(() => this.#durable());
  }

  /** Copies the database as it is, while it is written on. The pages are copied in the thread pool. */
  async copyTo(file: string): Promise<void> {
    this.flush();
    closeSync(openSync(file, 'wx', 0o600));
    for (let left = COPY_TRIES; ; left -= 1) {
      try {
        await backup(this.#db, file, { rate: BACKUP_PAGES });
        return;
      } catch (error) {
        if (left === 1 || !metAWrite(error)) throw faultOf(error, file);
      }
    }
  }

  close(): void {
    this.flush();
    closeSync(this.#walFd);
    // From here on it is no sign of anything that the WAL is not there.
    rmSync(inUseFile(path.dirname(this.#file)), { force: true });
    this.#db.close();
  }

  #durable(): Promise<void> {
    if (this.#syncing === undefined) return this.#startSync();
    // The one under way will do if it was started behind the last commit.
    if (this.#syncing.commits === this.#commits) return this.#syncing.promise;
    const start = () => this.#startSync();
    this.#next ??= this.#syncing.promise.then(start, start);
    return this.#next;
  }

  #startSync(): Promise<void> {
    this.#next = undefined;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#syncing = { promise, commits: this.#commits };
    const done = (error: unknown) => {
      // Whoever waits in #next starts the next one; else the next caller does.
      if (this.#next === undefined) this.#syncing = undefined;
      if (error !== null) {
        this.#isUnsure = true;
        reject(this.#failed(error));
        return;
      }
      if (this.#isFailing) this.#events.recovered?.();
      this.#isFailing = false;
      resolve();
    };
    try {
      if (this.#isUnsure) this.#writeAnew();
      fdatasync(this.#walFd, done);
    } catch (error) {
      done(error);
    }
    return promise;
  }

  /** Writes everything into the database itself, past what the kernel may have dropped. */
  #writeAnew(): void {
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#isUnsure = false;
    this.#reserveWal();
  }

  #takeBack(error: unknown): void {
    const batch = this.#batch;
    this.#batch = undefined;
    this.#rollbacks += 1;
    // A disk that fails may have ended the transaction already.
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    const fault = this.#failed(error);
    const taken = this.#taken.splice(0);
    // What is wrong by itself would be wrong again.
    if (fault instanceof JobletError) this.#soon.unshift(...taken.slice(-SOON_MOST));
    batch?.reject(fault);
  }

  /** Names a failure, and says the first one. */
  #failed(error: unknown): unknown {
    const fault = faultOf(error, this.#file);
    if (fault instanceof JobletError && !this.#isFailing) {
      this.#isFailing = true;
      this.#events.failed?.(fault.message);
    }
    return fault;
  }

  #named<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw faultOf(error, this.#file);
    }
  }

  /** A database of an earlier version has no room for checksums: it is written anew, once. */
  #sumPages(): void {
    this.#db.exec('VACUUM');
    // Until the pages are in the database itself they have only the checksums of the WAL.
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /** Reads every page: 30 ms for 20,000 jobs. */
  #check(): void {
    const [row] = this.#db.prepare('PRAGMA quick_check(1)').all();
    const said = String(row?.['quick_check'] ?? row?.['integrity_check'] ?? 'ok');
    if (said !== 'ok') throw foundDamaged(this.#file, said);
  }

  /** Gives the WAL its size now, so that a full disk later does not keep an end from being recorded. */
  #reserveWal(): void {
    const { size } = fstatSync(this.#walFd);
    const missing = WAL_BYTES - size;
    if (missing <= 0) return;
    const { bfree, bsize } = statfsSync(this.#file);
    if (bfree * bsize < 2 * missing) {
      this.#events.noticed?.(
        `the disk of ${this.#file} is nearly full; there is no room to keep for the ends of jobs`,
      );
      return;
    }
    const zeros = Buffer.alloc(missing);
    for (let done = 0; done < missing; ) {
      done += writeSync(this.#walFd, zeros, done, missing - done, size + done);
    }
  }

  #migrate(): void {
    const row = this.#db.prepare('PRAGMA user_version').get();
    const have = Number(row?.['user_version'] ?? 0);
    const known = migrations();
    if (have > known.length) {
      throw new JobletError(
        'unavailable',
        `${this.#file} was written by a newer joblet (schema ${have}, this one knows ${known.length}); run the newer version`,
        { about: this.#file },
      );
    }
    for (const [index, name] of known.entries()) {
      if (index < have) continue;
      const sql = readFileSync(path.join(MIGRATIONS, name), 'utf8');
      this.#db.exec(`BEGIN; ${sql}\nPRAGMA user_version = ${index + 1}; COMMIT;`);
    }
  }
}

/** The database of a state directory. */
export function databaseFile(directory: string): string {
  return path.join(directory, 'joblet.db');
}

/** Stands beside the database while the newest records are in its WAL. */
export function inUseFile(directory: string): string {
  return `${databaseFile(directory)}-in-use`;
}

/** The newest schema that this version knows. */
export function knownSchema(): number {
  return migrations().length;
}

/** Names of the migrations in their order. */
/**
 * Whether a backup stopped because its step met a transaction of ours: Node 26 takes that for the end
 * and rejects with SQLite's word for success.
 */
function metAWrite(error: unknown): boolean {
  return (error as { readonly errcode?: unknown }).errcode === 0;
}

function migrations(): string[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort();
}

/**
 * Makes the file before SQLite sees it, so that it is never readable by others. Answers whether its
 * pages have checksums, or will.
 *
 * NOTE: closing a file drops every lock that this process holds on it, SQLite's too. So nobody opens
 * it behind this.
 */
function makeFile(file: string): boolean {
  const head = Buffer.alloc(SUMS_AT + 1);
  const fd = openSync(file, constants.O_CREAT | constants.O_RDWR, 0o600);
  const length = readSync(fd, head, 0, head.length, 0);
  closeSync(fd);
  return length < head.length || head[SUMS_AT] === SUM_BYTES;
}

/** Refuses what SQLite would pass over in silence: a WAL that is gone, or is damaged in its middle. */
function checkWal(file: string, events: DbEvents): void {
  const wal = `${file}-wal`;
  if (!existsSync(wal)) {
    const inUse = inUseFile(path.dirname(file));
    if (!existsSync(inUse)) return;
    throw new JobletError(
      'unavailable',
      `${wal} is missing, and with it the newest records: the last daemon was not stopped cleanly.` +
        ` Put the file back or restore a backup; to go on without them, remove ${inUse}`,
      { about: wal },
    );
  }
  const { ignoredBytes, damagedAt } = readWal(readFileSync(wal));
  if (damagedAt !== undefined) {
    throw damaged(wal, `byte ${damagedAt} and what follows it do not fit together`);
  }
  if (ignoredBytes > 0) {
    events.noticed?.(
      `the last ${ignoredBytes} bytes of ${wal} were not written whole; what nobody was told to be safe is lost`,
    );
  }
}
