// What is said of calls when they have ended or were not let in, whichever port they came by: lines in
// the daemon's log, records in the audit log, and counts.

import type { Audit } from '../audit/audit.ts';
import { type Refusal, Refusals } from '../audit/refusals.ts';
import type { Log } from '../log.ts';
import type { Memory } from '../memory.ts';
import type { CallCounts } from '../telemetry/call-counts.ts';
import type { RefusedBy } from './connections.ts';
import { codeNameOf } from './errors.ts';
import { FailedCalls } from './failed-calls.ts';
import type { CallRecord } from './handlers.ts';
import { refusedBeforehand, refusedInside } from './refused-calls.ts';

export interface CallJournalParts {
  readonly audit: Pick<Audit, 'recordSoon'>;
  readonly memory: Pick<Memory, 'used'>;
  readonly counts: CallCounts;
  readonly log: Log;
}

export class CallJournal {
  readonly #parts: CallJournalParts;
  readonly #refusals: Refusals;
  readonly #failed: FailedCalls;

  constructor(parts: CallJournalParts) {
    const { audit, log } = parts;
    this.#parts = parts;
    this.#failed = new FailedCalls(log);
    // One line for each record, not for each call: a flood would fill this log as well.
    this.#refusals = new Refusals((entry) => {
      audit.recordSoon(entry);
      const { method, who, detail, count } = entry;
      log.warn('call refused', { method, peer: who?.peer, who: who?.name, why: detail, count });
    });
  }

  /** A call has ended. */
  ended(record: CallRecord): void {
    const { memory, counts } = this.#parts;
    memory.used();
    counts.count(record.path, codeNameOf(record.status?.kind ?? 'ok'), record.durationMs);
    this.#write(record);
    this.#note(refusedInside(record));
  }

  /** A call was not let in. */
  refused(refused: RefusedBy): void {
    const { path, peer, caller, error } = refused;
    this.#parts.counts.count(path, codeNameOf(error.kind), undefined);
    const refusal = refusedBeforehand(refused);
    this.#note(refusal);
    if (refusal !== undefined) return;
    this.#failed.note({
      method: path,
      who: caller?.name,
      peer,
      kind: error.kind,
      why: error.message,
    });
  }

  /** Says what has been counted so far. */
  flush(): void {
    this.#refusals.flush();
    this.#failed.flush();
  }

  #note(refusal: Refusal | undefined): void {
    if (refusal !== undefined) this.#refusals.note(refusal);
  }

  /** One line for each call: quiet when it went well, loud when it is our fault. */
  #write({ path, call, status, durationMs }: CallRecord): void {
    const { log } = this.#parts;
    const { name, role } = call.identity;
    const fields = { method: path, who: name, role, ms: Math.round(durationMs * 10) / 10 };
    if (status === undefined) log.debug('call', fields);
    else if (status.bug === undefined) {
      this.#failed.note({ ...fields, peer: call.peer, kind: status.kind, why: status.details });
    } else {
      const { reference, error } = status.bug;
      const stack = error instanceof Error ? error.stack : String(error);
      log.error('call failed by a fault of ours', {
        ...fields,
        peer: call.peer,
        reference,
        stack,
      });
    }
  }
}
