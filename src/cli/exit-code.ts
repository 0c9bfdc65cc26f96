// The exit code of rnx when it stands for a job, as shells and container tools have it.

/** rnx or the daemon failed before there was a job to speak of. */
export const NO_JOB_EXIT_CODE = 125;

const CANNOT_EXECUTE_EXIT_CODE = 126;
const NOT_FOUND_EXIT_CODE = 127;

const SIGNAL_BASE = 128;

/** Jobs that have no exit code of their own, by what ended them: SIGTERM or SIGKILL, in effect. */
const codeOfReason: Readonly<Record<string, number>> = {
  STOPPED: SIGNAL_BASE + 15,
  OOM_KILLED: SIGNAL_BASE + 9,
};

/** Names of errno for a command that is not there. */
const notFound: readonly string[] = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];
/** And for one that is there but cannot be run. */
const notExecutable: readonly string[] = [
  'EACCES',
  'ENOEXEC',
  'EPERM',
  'EISDIR',
  'ETXTBSY',
  'ELIBBAD',
];

/** How a job ended, as far as it matters here. */
export interface Ended {
  readonly exitCode: number;
  readonly signal: number;
  readonly reason: string;
  readonly message: string;
}

/** The exit code that tells a shell how the job ended. */
export function exitCodeOf({ exitCode, signal, reason, message }: Ended): number {
  if (reason === 'NOT_STARTED') return notStartedCode(message);
  if (signal > 0) return SIGNAL_BASE + signal;
  if (exitCode >= 0) return exitCode;
  return codeOfReason[reason] ?? NO_JOB_EXIT_CODE;
}

/** The daemon's sentence names the step, what it was about, the errno, and perhaps what to do. */
function notStartedCode(message: string): number {
  const match = /: exec: .*: (E[A-Z0-9]+)(?:;|$)/.exec(message);
  if (match === null) return NO_JOB_EXIT_CODE;
  if (notFound.includes(match[1] ?? '')) return NOT_FOUND_EXIT_CODE;
  return notExecutable.includes(match[1] ?? '') ? CANNOT_EXECUTE_EXIT_CODE : NO_JOB_EXIT_CODE;
}
