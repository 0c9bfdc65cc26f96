// Checks a whole log, a slice at a time: a long one takes seconds, and others want to be served.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { ChainCheck, type Known, type Verdict } from './chain.ts';
import type { AuditTable } from './table.ts';

/** Records read and hashed in one turn of the event loop: about four milliseconds. */
const SLICE = 500;

/** Throws `unavailable` where the database cannot be read. */
export async function verify(
  table: AuditTable,
  known: readonly Known[],
  signal: AbortSignal,
): Promise<Verdict> {
  const check = new ChainCheck(known);
  const last = table.head().sequence;
  for (let from = table.first(); from > 0 && from <= last; from += SLICE) {
    for (const record of readSlice(table, from)) check.next(record);
    await nextTurn();
    signal.throwIfAborted();
  }
  return check.end();
}

function readSlice(table: AuditTable, from: number) {
  try {
    return table.read({ from, to: from + SLICE - 1 });
  } catch (cause) {
    throw new JobletError(
      'unavailable',
      `the audit log cannot be read from record ${from} on: ${messageOf(cause)}; the database is damaged, so restore a backup`,
      { cause },
    );
  }
}

/** Lets everybody else have a turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
