// Calls that were refused, in the words of the audit log.

import type { Actor } from '../audit/record.ts';
import type { Refusal } from '../audit/refusals.ts';
import type { RefusedBy } from './connections.ts';
import type { CallRecord } from './handlers.ts';

/** A call that did not reach its handler; undefined when that had nothing to do with who called. */
export function refusedBeforehand({
  path,
  peer,
  caller,
  certificate,
  error,
}: RefusedBy): Refusal | undefined {
  const who: Actor = { name: caller?.name ?? '', role: caller?.role ?? '', certificate, peer };
  return refusalOf(path, who, error.kind, error.message);
}

/** The same of a call that its handler refused, or that was ended because its certificate was revoked. */
export function refusedInside({ path, call, status }: CallRecord): Refusal | undefined {
  return status && refusalOf(path, call.identity, status.kind, status.details);
}

function refusalOf(
  method: string,
  who: Actor,
  result: string,
  detail: string,
): Refusal | undefined {
  if (result !== 'denied' && result !== 'unauthenticated') return undefined;
  return { atMs: Date.now(), method, who, result, detail };
}
