// What a failure is in HTTP: one total table from our kinds of error.

import type { ErrorKind } from '../../shared/errors.ts';
import type { RpcStatus } from '../rpc/errors.ts';

const codes = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  'not-found': 404,
  exists: 409,
  'wrong-state': 409,
  exhausted: 429,
  unavailable: 503,
  unsupported: 501,
} as const satisfies Record<ErrorKind, number>;

/** The status code of an answer to a request that failed so. */
export function httpCodeOf(kind: RpcStatus['kind']): number {
  return kind === 'internal' || kind === 'canceled' ? 500 : codes[kind];
}
