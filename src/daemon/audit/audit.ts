// The audit log: who did what, when, with which result. A record of a change is written in the
// transaction of the change, so neither is there without the other; see chain.ts for what makes a
// record that was changed, removed or put in show, and anchor.ts for a tail that was cut off.

import { JobletError, messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import { AnchorFile, readAnchor } from './anchor.ts';
import { type Anchor, formatAnchor, hashRecord, START, type Verdict } from './chain.ts';
import { type Action, type AuditRecord, contentOf, type Entry } from './record.ts';
import { type AuditFilter, AuditTable } from './table.ts';
import { nextTurn, verify } from './verify.ts';

export interface AuditBounds {
  /** Records that are kept; what is older goes first. */
  readonly maxRecords: number;
  /** How long records are kept; 0 is as long as there is room. */
  readonly maxAgeMs: number;
}

/** How far the anchor may be behind. */
const ANCHOR_MS = 1000;

/** What the daemon's log says when it is recorded; of everything else those speak who do it. */
const toldHere: ReadonlySet<Action> = new Set([
  'runtime.installed',
  'runtime.built',
  'runtime.removed',
]);

/** Records looked at in one turn of the event loop, by SQLite alone: a few milliseconds. */
const SLICE = 5000;

/** Records that a follower is given at once. */
const FOLLOW_RECORDS = 500;

/** Each pruning leaves a record, so it waits for so many and takes no more than so many in one turn. */
const PRUNE_LEAST = 100;
const PRUNE_MOST = 2000;

/** What a reader of the log has come to. */
export interface Batch {
  /** Those that pass, the oldest first. */
  readonly records: readonly AuditRecord[];
  /** Whatever passes up to this number has been given. */
  readonly through: number;
  /** That was the last one when it was read. */
  readonly isAll: boolean;
}

export class Audit {
  readonly #db: Db;
  readonly #table: AuditTable;
  readonly #file: AnchorFile;
  readonly #bounds: AuditBounds;
  readonly #log: Log;
  /** The last record written, in a transaction that may still be open. */
  #head: Anchor;
  /** Transactions that had been taken back when #head was right. */
  #rollbacks: number;
  /** The place that the file names; numbers up to it are never given again. */
  #anchored: Anchor;
  #timer: NodeJS.Timeout | undefined;
  /** Resolved by the next record; there while somebody waits for it. */
  #grown: PromiseWithResolvers<void> | undefined;
  /** Checks under way: what they read must stay. */
  #checks = 0;

  /** What is wrong with the log as it was found. */
  readonly #broken: Pick<Entry, 'result' | 'detail'> | undefined;

  /** Opens the log of a state directory. */
  constructor(db: Db, stateDirectory: string, bounds: AuditBounds, log: Log) {
    this.#db = db;
    this.#bounds = bounds;
    this.#log = log;
    this.#table = new AuditTable(db);
    this.#head = this.#table.head();
    this.#rollbacks = db.rollbacks;
    const anchor = readAnchor(stateDirectory);
    this.#anchored = anchor ?? START;
    this.#file = new AnchorFile(stateDirectory, anchor === undefined && this.#head === START);
    this.#broken = this.#findBreak(anchor);
  }

  /** Records that the daemon starts. A daemon that cannot record what it does, does nothing. */
  async start(detail: string): Promise<void> {
    const atMs = Date.now();
    try {
      await this.#db.write(() => {
        this.append({ atMs, action: 'daemon.start', result: 'ok', detail });
        if (this.#broken !== undefined) {
          this.append({ atMs, action: 'audit.broken', ...this.#broken });
        }
      });
    } catch (cause) {
      const message = `the audit log cannot be written, so the daemon does not start: ${messageOf(cause)}`;
      throw new JobletError('unavailable', message, { cause });
    }
    if (this.#broken === undefined) return;
    this.#log.error('the audit log is not as it was left', { why: this.#broken.detail });
  }

  /** Adds a record to the transaction that is open; called within Db.write. */
  append(entry: Entry): void {
    const head = this.#current();
    const content = contentOf(entry);
    const sequence = Math.max(head.sequence, this.#anchored.sequence) + 1;
    const hash = hashRecord(head.hash, content);
    this.#table.insert({ ...content, sequence, hash });
    this.#head = { sequence, hash };
    this.#timer ??= setTimeout(() => void this.#lookAfter(), ANCHOR_MS).unref();
    this.#grown?.resolve();
    this.#grown = undefined;
  }

  /** Records what is no row elsewhere. Resolves when it is committed. */
  async record(entry: Entry): Promise<void> {
    await this.#db.write(() => this.append(entry));
    const { action, detail, result } = entry;
    if (!toldHere.has(action)) return;
    // As others say what they do: the thing and what became of it.
    const message = action.replace('.', ' ');
    if (result === 'failed') this.#log.warn(`${message}: failed`, { why: detail });
    else this.#log.info(message, { what: detail });
  }

  /** The same with whatever is written next, or soon by itself. */
  recordSoon(entry: Entry): void {
    this.#db.writeSoon(() => this.append(entry));
  }

  /** Up to `limit` records that pass, the newest first, of those before a number (0 is all). */
  async query(
    filter: AuditFilter,
    before: number,
    limit: number,
    signal: AbortSignal,
  ): Promise<{ readonly records: AuditRecord[]; readonly head: number }> {
    // What is shown must not be gone after a power cut.
    this.#db.flush();
    await this.#db.durable();
    const head = this.#current().sequence;
    const first = this.#table.first();
    const records: AuditRecord[] = [];
    let to = before > 0 ? Math.min(before - 1, head) : head;
    while (to >= first && to > 0 && records.length < limit) {
      const span = { from: Math.max(first, to - SLICE + 1), to };
      records.push(...this.#table.find(filter, span, 'DESC', limit - records.length));
      to = span.from - 1;
      await nextTurn();
      signal.throwIfAborted();
    }
    return { records, head };
  }

  /** Records that pass and come after a number, the oldest first; then those to come, if wanted. */
  async *read(
    filter: AuditFilter,
    after: number,
    follow: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<AuditRecord> {
    for await (const { records } of this.batches(filter, after, follow, signal)) yield* records;
  }

  /**
   * The same in batches, also without a record. A reader holds one of them at a time. One that would miss
   * records, as it comes too late or is too slow for them, is refused instead: `wrong-state`.
   */
  async *batches(
    filter: AuditFilter,
    after: number,
    follow: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Batch> {
    this.#db.flush();
    if (after > this.#current().sequence) throw notYet(after, this.#current().sequence);
    let at = after > 0 ? after : this.#table.first() - 1;
    // Whoever has had all of it is told so too.
    if (at === this.#current().sequence) yield { records: [], through: at, isAll: true };
    for (;;) {
      const head = this.#current().sequence;
      await this.#db.durable();
      while (at < head) {
        signal.throwIfAborted();
        const first = this.#table.first();
        if (at < first - 1) throw notKept(at, first);
        const span = { from: at + 1, to: Math.min(head, at + SLICE) };
        const records = this.#table.find(filter, span, 'ASC', FOLLOW_RECORDS);
        at = records.length < FOLLOW_RECORDS ? span.to : (records.at(-1)?.sequence ?? span.to);
        yield { records, through: at, isAll: at === head };
        await nextTurn();
      }
      if (!follow) return;
      if (this.#current().sequence <= at) await this.#growth(signal);
    }
  }

  /** Checks the whole chain, also against places that somebody else has kept. */
  async verify(expected: Anchor | undefined, signal: AbortSignal): Promise<Verdict> {
    this.#db.flush();
    await this.#db.durable();
    const known = [{ anchor: this.#current(), by: 'the running daemon' }];
    if (expected !== undefined) known.push({ anchor: expected, by: 'who asks' });
    this.#checks += 1;
    try {
      return await verify(this.#table, known, signal);
    } finally {
      this.#checks -= 1;
    }
  }

  /** Records that the daemon stops; nothing is recorded after it. */
  async stop(): Promise<void> {
    try {
      await this.record({ atMs: Date.now(), action: 'daemon.stop', result: 'ok' });
      await this.#anchor();
    } catch (error) {
      this.#log.error('the end of the audit log could not be written', { why: messageOf(error) });
    }
    clearTimeout(this.#timer);
    this.#file.close();
  }

  /** The last record; one that was taken back with its transaction does not count. */
  #current(): Anchor {
    if (this.#db.rollbacks !== this.#rollbacks) {
      this.#head = this.#table.head();
      this.#rollbacks = this.#db.rollbacks;
    }
    return this.#head;
  }

  /** What the anchor shows to be wrong with the table, as the rest of a record. */
  #findBreak(anchor: Anchor | undefined): Pick<Entry, 'result' | 'detail'> | undefined {
    const { sequence: last } = this.#head;
    if (anchor === undefined) {
      if (last === 0) return undefined;
      const detail = `audit.anchor was not there when the daemon started: whether anything was cut off behind ${last}, nobody can say`;
      return { result: 'unanchored', detail };
    }
    if (anchor.sequence > last) {
      const detail = `records ${last + 1} to ${anchor.sequence} were gone when the daemon started; audit.anchor knew of them`;
      return { result: 'cut', detail };
    }
    const [known] = this.#table.read({ from: anchor.sequence, to: anchor.sequence });
    if (anchor.sequence === 0 || known?.hash === anchor.hash) return undefined;
    const detail = `record ${anchor.sequence} was not the one that audit.anchor knew when the daemon started: the log was written anew`;
    return { result: 'rewritten', detail };
  }

  /** What is done once for many records: the anchor follows, and what is too old goes. */
  async #lookAfter(): Promise<void> {
    this.#timer = undefined;
    try {
      await this.#anchor();
      await this.#prune();
    } catch (error) {
      // The next record tries again; until then whoever writes is told of what is wrong with the disk.
      this.#log.warn('the audit log could not be looked after', { why: messageOf(error) });
    }
  }

  async #anchor(): Promise<void> {
    const head = this.#current();
    await this.#db.durable();
    this.#file.write(head);
    this.#anchored = head;
  }

  async #prune(): Promise<void> {
    for (;;) {
      const first = this.#table.first();
      const most = { from: first, to: first + PRUNE_MOST - 1 };
      const { maxRecords, maxAgeMs } = this.#bounds;
      const surplus = this.#current().sequence - maxRecords;
      const old = maxAgeMs === 0 ? 0 : this.#table.lastOlder(most, Date.now() - maxAgeMs);
      const through = Math.min(most.to, Math.max(surplus, old));
      if (first === 0 || through < first + PRUNE_LEAST - 1 || this.#checks > 0) return;
      await this.#pruneThrough(through);
      await nextTurn();
    }
  }

  #pruneThrough(sequence: number): Promise<void> {
    return this.#db.write(() => {
      const [last] = this.#table.read({ from: sequence, to: sequence });
      if (last === undefined) return;
      this.#table.deleteThrough(sequence);
      // Says where the chain begins from now on.
      const detail = formatAnchor(last);
      this.append({ atMs: Date.now(), action: 'audit.pruned', result: 'ok', detail });
    });
  }

  #growth(signal: AbortSignal): Promise<void> {
    this.#grown ??= Promise.withResolvers<void>();
    const { promise } = this.#grown;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    return Promise.race([promise, aborted.promise]).finally(() =>
      signal.removeEventListener('abort', abort),
    );
  }
}

function notKept(after: number, first: number): JobletError {
  return new JobletError(
    'wrong-state',
    `what came behind ${after} is not kept any more: the oldest there is has the number ${first}; go on behind ${first - 1} for all that is left`,
  );
}

function notYet(after: number, last: number): JobletError {
  return new JobletError(
    'wrong-state',
    `there is no ${after} yet, the last one has the number ${last}: the position is of another node, or of a state that was given up for a backup; begin anew`,
  );
}
