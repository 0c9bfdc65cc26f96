// What a call came to: gRPC's numbers and texts, as the one error class of the code base.

import { type ErrorKind, JobletError, STOPPING } from '../shared/errors.ts';

/** gRPC's names for its status codes, by number. */
export const codeNames = [
  'OK',
  'CANCELED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

export type CodeName = (typeof codeNames)[number];

const kindOf: Readonly<Record<CodeName, ErrorKind>> = {
  OK: 'unavailable',
  CANCELED: 'unavailable',
  UNKNOWN: 'unavailable',
  INVALID_ARGUMENT: 'invalid',
  DEADLINE_EXCEEDED: 'unavailable',
  NOT_FOUND: 'not-found',
  ALREADY_EXISTS: 'exists',
  PERMISSION_DENIED: 'denied',
  RESOURCE_EXHAUSTED: 'exhausted',
  FAILED_PRECONDITION: 'wrong-state',
  ABORTED: 'wrong-state',
  OUT_OF_RANGE: 'invalid',
  UNIMPLEMENTED: 'unsupported',
  INTERNAL: 'unavailable',
  UNAVAILABLE: 'unavailable',
  DATA_LOSS: 'unavailable',
  UNAUTHENTICATED: 'unauthenticated',
};

/** A call that did not succeed, with the code it came back with. */
export class CallError extends JobletError {
  readonly code: CodeName;

  constructor(code: CodeName, message: string, cause?: unknown) {
    super(kindOf[code], message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** The daemon is away, or leaves just now: a call that is made again may find it. */
export class Away extends CallError {
  constructor(message: string, cause?: unknown) {
    super('UNAVAILABLE', message, cause);
  }
}

const codeOfKind: Readonly<Record<ErrorKind, CodeName>> = {
  invalid: 'INVALID_ARGUMENT',
  unauthenticated: 'UNAUTHENTICATED',
  denied: 'PERMISSION_DENIED',
  'not-found': 'NOT_FOUND',
  exists: 'ALREADY_EXISTS',
  'wrong-state': 'FAILED_PRECONDITION',
  exhausted: 'RESOURCE_EXHAUSTED',
  unavailable: 'UNAVAILABLE',
  unsupported: 'UNIMPLEMENTED',
};

/** The code of any error, whether a daemon sent it or we found it ourselves. */
export function codeOf(error: unknown): CodeName {
  if (error instanceof CallError) return error.code;
  return error instanceof JobletError ? codeOfKind[error.kind] : 'INTERNAL';
}

/** The error that a call's `grpc-status` and `grpc-message` speak of; undefined for success. */
export function errorOfStatus(status: string, message: string | undefined): CallError | undefined {
  if (status === '0') return undefined;
  const code = codeNames[Number(status)] ?? 'UNKNOWN';
  const text = percentDecode(message ?? '');
  // Whatever else cannot be done now is no reason to think that nobody is there.
  if (code === 'UNAVAILABLE' && text === STOPPING) return new Away(text);
  return new CallError(code, text === '' ? `the daemon answered ${code}` : text);
}

/** Undoes the percent encoding of `grpc-message`; what is not encoded soundly stays as it is. */
export function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
