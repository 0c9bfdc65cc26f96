// rnx job stop and rnx job cancel: the two ways to end a job before it ends itself.

import { cancelJob, stopJob } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonText, statusWord, visible } from './print.ts';

const CANCEL_DEADLINE_MS = 10_000;

export const jobStop = command({
  usage: 'rnx job stop [flags] JOB',
  summary: 'Ends a running job: SIGTERM, then SIGKILL for what is left after the grace time.',
  notes: ['JOB is an id or a beginning of one. Answers when nothing of the job is left.'],
  examples: [
    'rnx job stop f47ac10b',
    'rnx job stop --grace=30s f47ac10b',
    'rnx job stop --force f47ac10b',
  ],
  flags: {
    force: { kind: 'switch', help: 'SIGKILL at once' },
    grace: { kind: 'ms', value: 'TIME', help: 'time between SIGTERM and SIGKILL, such as 10s' },
  },
  words: [1, 1],
  missing: 'which job? Say its id: rnx job stop JOB (rnx job list shows them)',
  run: async ({ force, grace }, [uuid = ''], session) => {
    const connection = await session.connect();
    const stopped = await connection.unary(
      stopJob,
      // A grace time of nothing is what --force is.
      { uuid, graceMs: BigInt(grace ?? 0), force: force || grace === 0 },
      // The job's grace time may be long.
      { deadlineMs: session.deadlineMs() },
    );
    const { status, endTime, exitCode, reason, message } = stopped;
    await session.out.write(
      session.json
        ? jsonText({
            uuid: stopped.uuid,
            status,
            end_time: endTime,
            exit_code: exitCode,
            reason,
            message,
          })
        : [
            'Job stopped successfully:',
            `ID: ${visible(stopped.uuid)}`,
            `Status: ${statusWord(status, session.out)}`,
            `ExitCode: ${exitCode}`,
            `EndTime: ${visible(endTime)}\n`,
          ].join('\n'),
    );
    return 0;
  },
});

export const jobCancel = command({
  usage: 'rnx job cancel JOB',
  summary: 'Takes a job off the schedule. A running job is ended by rnx job stop.',
  notes: ['JOB is an id or a beginning of one.'],
  examples: ['rnx job cancel f47ac10b'],
  flags: {},
  words: [1, 1],
  missing: 'which job? Say its id: rnx job cancel JOB (rnx job list --status=SCHEDULED)',
  run: async (_values, [uuid = ''], session) => {
    const connection = await session.connect();
    const canceled = await connection.unary(
      cancelJob,
      { uuid },
      { deadlineMs: session.deadlineMs(CANCEL_DEADLINE_MS) },
    );
    const message = 'The job stays in the history with status CANCELED';
    await session.out.write(
      session.json
        ? jsonText({ canceled: true, job_id: canceled.uuid, status: canceled.status, message })
        : [
            'Scheduled job canceled successfully:',
            `ID: ${visible(canceled.uuid)}`,
            `Status: ${statusWord(canceled.status, session.out)}`,
            `Note: ${message}\n`,
          ].join('\n'),
    );
    return 0;
  },
});
