// States of a job and how it ended. A job's end is recorded as an Outcome, the plain fact;
// the status word and the exit code that clients see are derived from it here and nowhere else.
//
//   PENDING ──┐
//   SCHEDULED ┴─> INITIALIZING ──> RUNNING ──> COMPLETED | FAILED | STOPPED
//       │ └────────────│──────────────────────> CANCELED
//       └──────────────┴────────────────────────────────> FAILED (could not be started)

import { formatDuration } from './units.ts';

export const jobStatuses = [
  'PENDING',
  'SCHEDULED',
  'INITIALIZING',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'STOPPED',
  'CANCELED',
] as const;

export type JobStatus = (typeof jobStatuses)[number];

const finalStatuses: ReadonlySet<JobStatus> = new Set([
  'COMPLETED',
  'FAILED',
  'STOPPED',
  'CANCELED',
]);

/** Whether a job in this status can never change again. */
export function isFinal(status: JobStatus): boolean {
  return finalStatuses.has(status);
}

/** How a job ended. Exactly one of these is recorded, once. */
export type Outcome =
  | { readonly how: 'exited'; readonly code: number }
  | { readonly how: 'signaled'; readonly signal: number }
  | { readonly how: 'out-of-memory'; readonly limitBytes: number; readonly kills: number }
  | { readonly how: 'timed-out'; readonly timeoutMs: number }
  | { readonly how: 'stopped'; readonly by?: string }
  | { readonly how: 'canceled'; readonly why: string }
  | { readonly how: 'lost'; readonly why: LostReason }
  | {
      readonly how: 'not-started';
      readonly step: string;
      readonly object: string;
      readonly errno: string;
    };

/** Why nobody knows the exit code of a job that did run. */
export type LostReason = 'KEEPER_LOST' | 'NODE_RESTART' | 'STATE_RESTORED';

export interface OutcomeView {
  readonly status: JobStatus;
  readonly exitCode: number;
  /** A word for programs: EXITED, SIGNALED, OOM_KILLED, TIMEOUT, ... */
  readonly reason: string;
  /** A sentence for people; empty when there is nothing to add. */
  readonly message: string;
}

/** The exit code that clients see when no code of the program's own exists. */
const NO_EXIT_CODE = -1;

/** The exit code of a job that ran past its timeout, as `timeout(1)` has it. */
const TIMEOUT_EXIT_CODE = 124;

/** What was asked for and cannot be, as step and errno. */
const waysOut: Readonly<Record<string, string>> = {
  'exec ENOENT':
    '; the job sees no such program: check its name, upload it, or choose a --runtime that has it',
  'exec EACCES': '; it is no program: make it one (chmod +x), or give it to one that reads it',
  'exec ENOEXEC':
    '; it is no program of this machine and no script that begins with #!: give it to one that reads it',
  'gpu ENODEV':
    '; the node has not so many any more, or they were turned off: rnx gpu list shows them',
  'cwd ENOENT': '; there is no such folder: upload one, or leave --workdir out',
};

/** Steps that fail because of the host, and not because of what was asked for. */
const hostSteps: ReadonlySet<string> = new Set([
  'bind-ro',
  'capabilities',
  'cgroup',
  'cgroup-set',
  'dev',
  'ids',
  'memory-events',
  'net',
  'proc',
  'process',
  'root',
  'seccomp',
  'sys',
  'tmpfs',
  'tree',
]);

const lostBecause = {
  KEEPER_LOST: 'the process that watched the job was killed, so the job was ended',
  NODE_RESTART: 'the machine restarted while the job ran',
  STATE_RESTORED:
    'the state was restored from a backup that was made before the job ended; what became of it is not known',
} as const satisfies Record<LostReason, string>;

/** What clients see of an end. */
export function viewOutcome(outcome: Outcome): OutcomeView {
  switch (outcome.how) {
    case 'exited':
      return outcome.code === 0
        ? { status: 'COMPLETED', exitCode: 0, reason: 'EXITED', message: '' }
        : {
            status: 'FAILED',
            exitCode: outcome.code,
            reason: 'EXITED',
            message: `the command ended with exit code ${outcome.code}`,
          };
    case 'signaled':
      return {
        status: 'FAILED',
        exitCode: NO_EXIT_CODE,
        reason: 'SIGNALED',
        message: `the command was ended by signal ${outcome.signal}`,
      };
    case 'out-of-memory':
      return {
        status: 'FAILED',
        exitCode: NO_EXIT_CODE,
        reason: 'OOM_KILLED',
        message:
          `the job needed more than its memory limit of ${Math.round(outcome.limitBytes / (1 << 20))} MB` +
          ` (${outcome.kills} killed); raise it with --max-memory`,
      };
    case 'timed-out':
      return {
        status: 'STOPPED',
        exitCode: TIMEOUT_EXIT_CODE,
        reason: 'TIMEOUT',
        message: `the job ran past its timeout of ${formatDuration(outcome.timeoutMs)}`,
      };
    case 'stopped':
      return {
        status: 'STOPPED',
        exitCode: NO_EXIT_CODE,
        reason: 'STOPPED',
        message: outcome.by === undefined ? '' : `stopped by ${outcome.by}`,
      };
    case 'canceled':
      return {
        status: 'CANCELED',
        exitCode: NO_EXIT_CODE,
        reason: 'CANCELED',
        message: outcome.why,
      };
    case 'lost':
      return {
        status: 'FAILED',
        exitCode: NO_EXIT_CODE,
        reason: outcome.why,
        message: lostBecause[outcome.why],
      };
    case 'not-started':
      return {
        status: 'FAILED',
        exitCode: NO_EXIT_CODE,
        reason: 'NOT_STARTED',
        message:
          `could not be started: ${outcome.step}: ${outcome.object}: ${outcome.errno}` +
          wayOutOf(outcome.step, outcome.errno),
      };
  }
}

/** What can be done about a step that failed, to follow what failed; empty when we do not know. */
function wayOutOf(step: string, errno: string): string {
  if (hostSteps.has(step)) return '; joblet doctor, on the node, says what it lacks';
  return waysOut[`${step} ${errno}`] ?? '';
}
