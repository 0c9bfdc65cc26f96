// The only place that knows gRPC's status codes: one total table from our kinds of error, and one
// way for everything else, which is a bug.

import { randomBytes } from 'node:crypto';
import { status as codes } from '@grpc/grpc-js';
import { type ErrorKind, JobletError } from '../../shared/errors.ts';

const codeOf = {
  invalid: codes.INVALID_ARGUMENT,
  unauthenticated: codes.UNAUTHENTICATED,
  denied: codes.PERMISSION_DENIED,
  'not-found': codes.NOT_FOUND,
  exists: codes.ALREADY_EXISTS,
  'wrong-state': codes.FAILED_PRECONDITION,
  exhausted: codes.RESOURCE_EXHAUSTED,
  unavailable: codes.UNAVAILABLE,
  unsupported: codes.UNIMPLEMENTED,
} as const satisfies Record<ErrorKind, codes>;

/** The same as words, for those who count. */
export function codeNameOf(kind: RpcStatus['kind'] | 'ok'): string {
  if (kind === 'ok') return 'OK';
  if (kind === 'internal') return 'INTERNAL';
  if (kind === 'canceled') return 'CANCELLED';
  return codes[codeOf[kind]];
}

/** The status of a call that went well. */
export const okStatus = { code: codes.OK, details: '', metadata: null };

export interface RpcStatus {
  readonly code: codes;
  readonly details: string;
  /** The kind of the error, or `internal`; for the access log. */
  readonly kind: ErrorKind | 'internal' | 'canceled';
  /** What the daemon's log is to say about a bug, under the reference that the client gets. */
  readonly bug?: { readonly reference: string; readonly error: unknown };
}

/**
 * Clients take header blocks of 8 KiB in all; the status message is one of them, percent-encoded.
 */
const DETAILS_BYTES = 6_000;

/** What a client is told about a failure. */
export function statusOf(error: unknown): RpcStatus {
  if (error instanceof JobletError) {
    return { code: codeOf[error.kind], details: fitDetails(error.message), kind: error.kind };
  }
  if (error instanceof CanceledCall) {
    return { code: codes.CANCELLED, details: 'the call was canceled', kind: 'canceled' };
  }
  // Its text may tell about the inside; the client gets something to quote instead.
  const reference = randomBytes(4).toString('hex');
  return {
    code: codes.INTERNAL,
    details: `something went wrong inside the daemon; its log says more under reference ${reference}`,
    kind: 'internal',
    bug: { reference, error },
  };
}

/** The reason of a signal whose call was canceled by the client, or ran past its deadline. */
export class CanceledCall extends Error {
  constructor() {
    super('the call was canceled');
    this.name = 'CanceledCall';
  }
}

/** A message cut so that its encoded form fits into a header. */
export function fitDetails(text: string): string {
  // A lone surrogate cannot be encoded.
  const whole = text.toWellFormed();
  if (encodeURI(whole).length <= DETAILS_BYTES) return whole;
  const mark = ' ... (cut)';
  let bytes = encodeURI(mark).length;
  let kept = '';
  for (const character of whole) {
    bytes += encodeURI(character).length;
    if (bytes > DETAILS_BYTES) break;
    kept += character;
  }
  return kept + mark;
}
