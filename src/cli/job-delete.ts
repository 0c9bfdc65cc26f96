// rnx job delete and rnx job delete-all: what has ended goes, with its output.

import { deleteAllJobs, deleteJob } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';

const ONE_DEADLINE_MS = 15_000;
const ALL_DEADLINE_MS = 30_000;

export const jobDelete = command({
  usage: 'rnx job delete JOB',
  summary: 'Deletes the record and the output of a job that has ended.',
  notes: ['JOB is an id or a beginning of one.'],
  examples: ['rnx job delete f47ac10b'],
  flags: {},
  words: [1, 1],
  missing: 'which job? Say its id: rnx job delete JOB (rnx job list shows them)',
  run: async (_values, [uuid = ''], session) => {
    const connection = await session.connect();
    const deleted = await connection.unary(
      deleteJob,
      { uuid },
      { deadlineMs: session.deadlineMs(ONE_DEADLINE_MS) },
    );
    const { success, message } = deleted;
    await session.out.write(
      session.json
        ? jsonText({ uuid: deleted.uuid, success, message })
        : `Job deleted successfully:\nID: ${visible(deleted.uuid)}\nMessage: ${visible(message)}\n`,
    );
    return 0;
  },
});

export const jobDeleteAll = command({
  usage: 'rnx job delete-all',
  summary: 'Deletes the records and the output of all jobs that have ended.',
  notes: ['Jobs that run or wait are left alone.'],
  examples: ['rnx job delete-all'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const connection = await session.connect();
    const deleted = await connection.unary(
      deleteAllJobs,
      {},
      { deadlineMs: session.deadlineMs(ALL_DEADLINE_MS) },
    );
    const { success, message, deletedCount, skippedCount } = deleted;
    await session.out.write(
      session.json
        ? jsonText({ success, message, deleted_count: deletedCount, skipped_count: skippedCount })
        : [
            'Jobs deleted successfully:',
            `Deleted: ${deletedCount}`,
            `Skipped: ${skippedCount} (running or scheduled)`,
            `Message: ${visible(message)}\n`,
          ].join('\n'),
    );
    return 0;
  },
});
