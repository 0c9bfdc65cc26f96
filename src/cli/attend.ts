// Staying with a job until it ends: its output, its input, Ctrl-C, and the exit code it leaves.

import type { Connection } from '../client/connection.ts';
import type { JobDetail, JobInput, JobStarted } from '../client/messages.ts';
import { cancelJob, sendJobInput, stopJob, waitJob } from '../client/methods.ts';
import { JobletError, messageOf } from '../shared/errors.ts';
import { exitCodeOf } from './exit-code.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { LogPrinter } from './log-printer.ts';
import { followLog, Patience, whenBack } from './patience.ts';
import { jsonLine, jsonText, statusWord, visible } from './print.ts';
import type { Session } from './session.ts';

export interface Attendance {
  readonly output: 'show' | 'none';
  /** What Ctrl-C does: end the job, as if it ran here, or leave it running. */
  readonly interrupt: 'stop' | 'leave';
  /** Pass standard input on. */
  readonly input: boolean;
  readonly raw: boolean;
  /** Says which job it is, once Ctrl-C does what it is to do. */
  readonly greet: () => Promise<void>;
  /** Say at the end how it ended. */
  readonly announce: boolean;
  /** The JSON to print at the end, where JSON is wanted. */
  readonly summary: ((ended: Ended) => object) | undefined;
}

type Ended = Pick<
  JobDetail,
  'status' | 'exitCode' | 'signal' | 'reason' | 'message' | 'startTime' | 'endTime'
>;

/** Ends that the exit code alone does not explain. */
const unexplained: readonly string[] = [
  'NOT_STARTED',
  'OOM_KILLED',
  'TIMEOUT',
  'CANCELED',
  'KEEPER_LOST',
  'NODE_RESTART',
  'STATE_RESTORED',
];

/** Stays until the job ends; resolves to the exit code that stands for it. */
export async function attend(
  connection: Connection,
  started: JobStarted,
  session: Session,
  attendance: Attendance,
): Promise<number> {
  const uuid = started.jobUuid;
  // Jobs that are stopped end by themselves: nothing needs to be aborted.
  const left = attendance.interrupt === 'leave' ? new AbortController() : undefined;
  onInterrupt(connection, uuid, session, left);
  await attendance.greet();
  if (attendance.input) void passInput(connection, uuid, session);
  try {
    const ended = await untilEnd(connection, started, session, attendance, left?.signal);
    await announce(ended, session, attendance);
    return exitCodeOf(ended);
  } catch (error) {
    if (left?.signal.aborted !== true) throw error;
    await session.err.write(`\nStopping log stream... The job runs on: rnx job log ${uuid}\n`);
    return INTERRUPTED_EXIT_CODE;
  }
}

async function untilEnd(
  connection: Connection,
  started: JobStarted,
  session: Session,
  { output, raw }: Attendance,
  signal: AbortSignal | undefined,
): Promise<Ended> {
  // There is no output of a command that never ran, and nothing to wait for.
  if (started.reason === 'NOT_STARTED') return started;
  const uuid = started.jobUuid;
  const patience = new Patience(session.err, signal);
  // It has started the job.
  patience.met();
  const waiting = whenBack(patience, () => connection.unary(waitJob, { uuid }, { signal }));
  // The output may fail first; then nobody is left to hear of this.
  waiting.catch(() => {});
  if (output === 'show') {
    const { out, err, json } = session;
    const printer = new LogPrinter(out, err, { raw, json, stderr: err });
    const request = { uuid, streams: ['stdout', 'stderr'] };
    for await (const chunk of followLog(connection, request, patience, signal)) {
      await printer.print(chunk);
    }
    await printer.end();
  }
  return waiting;
}

async function announce(ended: Ended, session: Session, attendance: Attendance): Promise<void> {
  const { out, err } = session;
  const { status, reason, message } = ended;
  if (attendance.summary !== undefined) {
    const summary = attendance.summary(ended);
    // Behind lines of output it is one more line.
    await out.write(attendance.output === 'show' ? jsonLine(summary) : jsonText(summary));
    return;
  }
  if (attendance.announce) await err.write(`Status: ${statusWord(status, err)}\n`);
  if (unexplained.includes(reason)) await err.write(`Error: ${visible(message || reason)}\n`);
}

function onInterrupt(
  connection: Connection,
  uuid: string,
  { err }: Session,
  left: AbortController | undefined,
): void {
  if (left !== undefined) {
    process.once('SIGINT', () => left.abort());
    return;
  }
  let force = false;
  const stop = () => {
    err.write(force ? 'Killing the job...\n' : 'Stopping the job (Ctrl-C again kills it)...\n');
    endJob(connection, uuid, force).catch((error: unknown) => {
      err.write(`Error: ${visible(messageOf(error))}\n`);
    });
    force = true;
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

/** Stops a job that runs, or takes back one that waits. */
async function endJob(connection: Connection, uuid: string, force: boolean): Promise<void> {
  try {
    await connection.unary(stopJob, { uuid, force });
  } catch (error) {
    if (!isWrongState(error)) throw error;
    // That it has ended by itself in the meantime is as good.
    await connection.unary(cancelJob, { uuid }).catch((late: unknown) => {
      if (!isWrongState(late)) throw late;
    });
  }
}

function isWrongState(error: unknown): boolean {
  return error instanceof JobletError && error.kind === 'wrong-state';
}

async function passInput(connection: Connection, uuid: string, { err }: Session): Promise<void> {
  try {
    await connection.clientStream(sendJobInput, inputParts(uuid));
  } catch (error) {
    // A job that has ended, or that closed its input, takes no more: no reason to complain.
    if (isWrongState(error)) return;
    err.write(`Error: standard input does not reach the job: ${visible(messageOf(error))}\n`);
  }
}

async function* inputParts(uuid: string): AsyncGenerator<JobInput> {
  for await (const data of process.stdin) yield { uuid, data };
  yield { uuid, end: true };
}
