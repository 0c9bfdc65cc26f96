// The chain of records: each holds a hash of its content and of the hash before it, so that none can be
// changed, removed or put in without the others showing it.
//
// The number of a record is not hashed. It follows from its place: the first one, no gaps, the links.

import { hash } from 'node:crypto';
import type { AuditRecord, Content } from './record.ts';

/** A place in the chain: everything up to it is as it was when the hash is the same. */
export interface Anchor {
  readonly sequence: number;
  readonly hash: string;
}

/** The place before the first record. */
export const START: Anchor = { sequence: 0, hash: '0'.repeat(64) };

/** The hash of a record that follows on one with the hash `before`. */
export function hashRecord(before: string, content: Content): string {
  const { atMs, action, jobId, method, name, role, certificate, peer, result, detail, count } =
    content;
  return hash(
    'sha256',
    before +
      JSON.stringify([
        atMs,
        action,
        jobId,
        method,
        name,
        role,
        certificate,
        peer,
        result,
        detail,
        count,
      ]),
  );
}

/** `SEQUENCE:HASH` */
export function formatAnchor({ sequence, hash }: Anchor): string {
  return `${sequence}:${hash}`;
}

/** The inverse of formatAnchor; undefined for anything else. */
export function parseAnchor(text: string): Anchor | undefined {
  const [, sequence, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim()) ?? [];
  if (sequence === undefined || hash === undefined) return undefined;
  return { sequence: Number(sequence), hash };
}

/** Something that is not as it was written. */
export interface Damage {
  /** The record that shows it, or the first of those that are missing. */
  readonly sequence: number;
  /** A sentence, with the number in it. */
  readonly message: string;
}

/** What a check found. */
export interface Verdict {
  readonly records: number;
  /** Number of the first record; 0 when there is none. */
  readonly first: number;
  readonly head: Anchor;
  /** In the order of their discovery, the first MAX_DAMAGES. */
  readonly damages: readonly Damage[];
  readonly damageCount: number;
}

/** A place that somebody outside of the chain has kept. */
export interface Known {
  readonly anchor: Anchor;
  /** Who knows it, as the subject of a sentence. */
  readonly by: string;
}

export const MAX_DAMAGES = 100;

/** Reads a chain from its first record to its last, and says what is wrong with it. */
export class ChainCheck {
  readonly #known: readonly Known[];
  readonly #damages: Damage[] = [];
  #damageCount = 0;
  #records = 0;
  #first: AuditRecord | undefined;
  /** The record before the next one. */
  #last: Anchor = START;
  /** Set when #last does not fit: what follows tells whether it was changed or put in. */
  #suspect: { readonly before: Anchor; readonly isBeforeSound: boolean } | undefined;
  /** Up to where the daemon itself has taken the oldest records away. */
  #pruned: Anchor = START;

  constructor(known: readonly Known[]) {
    this.#known = known;
  }

  /** The next record, in the order of their numbers. */
  next(record: AuditRecord): void {
    const { sequence, hash, action, detail } = record;
    this.#records += 1;
    if (this.#first === undefined) this.#first = record;
    else if (sequence > this.#last.sequence + 1) this.#afterGap(record);
    else this.#afterNeighbour(record);
    if (action === 'audit.pruned') this.#pruned = parseAnchor(detail) ?? this.#pruned;
    if (action === 'audit.broken') this.#report(sequence, `says: ${detail}`);
    for (const { anchor, by } of this.#known) {
      if (anchor.sequence !== sequence || anchor.hash === hash) continue;
      this.#report(sequence, `is not the record that ${by} knows: the log was written anew`);
    }
    this.#last = { sequence, hash };
  }

  /** There are no more records. */
  end(): Verdict {
    const first = this.#first;
    if (first !== undefined) this.#checkBeginning(first);
    if (this.#suspect !== undefined) {
      this.#report(
        this.#last.sequence,
        'does not follow on the one before it: it was changed, or put in',
      );
    }
    for (const { anchor, by } of this.#known.filter((each) => each.anchor.sequence > 0)) {
      if (anchor.sequence > this.#last.sequence) {
        this.#reportMissing(this.#last.sequence + 1, anchor.sequence, `cut off: ${by} knows them`);
      } else if (first !== undefined && anchor.sequence < first.sequence) {
        this.#report(anchor.sequence, `is no longer kept, so what ${by} knows cannot be compared`);
      }
    }
    return {
      records: this.#records,
      first: first?.sequence ?? 0,
      head: this.#last,
      damages: this.#damages,
      damageCount: this.#damageCount,
    };
  }

  #afterNeighbour(record: AuditRecord): void {
    const suspect = this.#suspect;
    this.#suspect = undefined;
    if (hashRecord(this.#last.hash, record) === record.hash) {
      if (suspect !== undefined) this.#reportChanged(suspect.isBeforeSound);
      return;
    }
    if (suspect !== undefined && hashRecord(suspect.before.hash, record) === record.hash) {
      this.#report(
        this.#last.sequence,
        'was put in: the one after it follows on the one before it',
      );
      return;
    }
    if (suspect !== undefined) this.#reportChanged(suspect.isBeforeSound);
    this.#suspect = { before: this.#last, isBeforeSound: suspect === undefined };
  }

  /** What the record itself says cannot be checked then, unless the cut was at the end of its time. */
  #afterGap(record: AuditRecord): void {
    if (this.#suspect !== undefined) this.#reportChanged(this.#suspect.isBeforeSound);
    this.#suspect = undefined;
    const isCut = hashRecord(this.#last.hash, record) === record.hash;
    this.#reportMissing(
      this.#last.sequence + 1,
      record.sequence - 1,
      isCut ? 'missing: they were cut off before the log went on' : 'missing',
    );
  }

  /** Whether the chain begins where it was begun, or where the daemon has pruned it. */
  #checkBeginning(first: AuditRecord): void {
    const due = this.#pruned.sequence + 1;
    if (first.sequence > due) this.#reportMissing(due, first.sequence - 1, 'missing');
    else if (first.sequence < due) {
      this.#report(first.sequence, `was put in: everything before ${due} had been pruned`);
    } else if (hashRecord(this.#pruned.hash, first) !== first.hash) {
      this.#report(first.sequence, 'is not what was written');
    }
  }

  #reportChanged(isBeforeSound: boolean): void {
    this.#report(
      this.#last.sequence,
      isBeforeSound
        ? 'is not what was written'
        : 'does not follow on the one before it, which is not what was written either',
    );
  }

  #reportMissing(from: number, to: number, what: string): void {
    if (from === to) this.#report(from, `is ${what}`);
    else this.#report(from, `and those up to ${to} are ${what}`);
  }

  #report(sequence: number, message: string): void {
    this.#damageCount += 1;
    if (this.#damages.length < MAX_DAMAGES)
      this.#damages.push({ sequence, message: `record ${sequence} ${message}` });
  }
}
