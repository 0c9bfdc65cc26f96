// The one error class of the code base. Whoever throws states the fact and the way out;
// what it becomes on the wire or as an exit code is decided by a table at the edge.

export const errorKinds = [
  'invalid', // the input is wrong, whatever the state
  'unauthenticated', // we do not know who is calling
  'denied', // we know, and they may not
  'not-found',
  'exists',
  'wrong-state', // valid input, but not in this state
  'exhausted', // a limit or quota is reached
  'unavailable', // cannot now; trying again may help
  'unsupported', // this host or this version does not offer it
] as const;

export type ErrorKind = (typeof errorKinds)[number];

export interface ErrorOptions {
  /** What the error is about: a field path, a job id, a file:line:column. */
  readonly about?: string;
  /** Everything that is wrong, when it is more than one thing. */
  readonly problems?: readonly Problem[];
  /** The error below this one, kept for the daemon's log and never sent to a client. */
  readonly cause?: unknown;
}

/** A failure that a caller can understand and act on. Any other error is a bug. */
export class JobletError extends Error {
  readonly kind: ErrorKind;
  readonly about: string | undefined;
  readonly problems: readonly Problem[];

  constructor(kind: ErrorKind, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'JobletError';
    this.kind = kind;
    this.about = options.about;
    this.problems = options.problems ?? [];
  }
}

/** One thing that is wrong with an input: where, and what. */
export interface Problem {
  /** The field (`max_cpu`, `uploads[2].path`) or place (`file.yml:3:7`). */
  readonly field: string;
  readonly message: string;
}

/** All problems of one input at once, as one `invalid` error. */
export function invalid(problems: readonly Problem[]): JobletError {
  const [first] = problems;
  const text = problems.map((p) => (p.field ? `${p.field}: ${p.message}` : p.message)).join('; ');
  return new JobletError('invalid', text, {
    problems,
    ...(first?.field && { about: first.field }),
  });
}

/** Something was asked for, and not said what: an `invalid` error that names the field and what belongs there. */
export function unnamed(field: string, wanted: string): JobletError {
  return invalid([{ field, message: `is empty; give ${wanted}` }]);
}

/** What a daemon that stops says to those who should come again. */
export const STOPPING = 'the daemon is stopping; try again soon';

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
