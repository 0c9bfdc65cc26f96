// rnx job extend: moves the timeout of a running job.

import { extendJob } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { formatDuration } from '../shared/units.ts';
import { command } from './command.ts';
import { jsonText, localTime, statusWord, visible } from './print.ts';

const DEADLINE_MS = 10_000;

export const jobExtend = command({
  usage: 'rnx job extend JOB --timeout=TIME',
  summary: 'Lets a running job time out TIME from now, instead of when it would have.',
  notes: [
    'JOB is an id or a beginning of one. --timeout=0 takes the timeout away.',
    'More than the node allows (joblet.jobTimeout) takes an operator.',
  ],
  examples: ['rnx job extend f47ac10b --timeout=10m', 'rnx job extend f47ac10b --timeout=0'],
  flags: {
    timeout: { kind: 'ms', value: 'TIME', help: 'from now on, such as 90s, 10m, 1h30m' },
  },
  words: [1, 1],
  missing: 'which job? Say its id: rnx job extend JOB --timeout=10m (rnx job list shows them)',
  run: async ({ timeout }, [uuid = ''], session) => {
    if (timeout === undefined) {
      throw new JobletError('invalid', 'how long may it run? Say rnx job extend JOB --timeout=10m');
    }
    const connection = await session.connect();
    const job = await connection.unary(
      extendJob,
      { uuid, timeoutMs: BigInt(timeout) },
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    const { status, timeoutTime } = job;
    const until =
      timeout === 0 ? 'none' : `${localTime(timeoutTime)} (in ${formatDuration(timeout)})`;
    await session.out.write(
      session.json
        ? jsonText({ uuid: job.uuid, status, timeout_time: timeoutTime })
        : [
            'Job extended successfully:',
            `ID: ${visible(job.uuid)}`,
            `Status: ${statusWord(status, session.out)}`,
            `Timeout: ${until}\n`,
          ].join('\n'),
    );
    return 0;
  },
});
