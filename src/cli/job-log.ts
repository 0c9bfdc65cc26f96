// rnx job log: the output of a job, what is there and what comes.

import { getJobLogs } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command, type Values } from './command.ts';
import { LogPrinter } from './log-printer.ts';
import type { Session } from './session.ts';

/** What a shell reports for a program that Ctrl-C ended. */
export const INTERRUPTED_EXIT_CODE = 130;

const streams: readonly string[] = ['stdout', 'stderr'];

const flags = {
  follow: { kind: 'switch', short: 'f', on: true, help: 'go on until the job ends (the default)' },
  tail: { kind: 'integer', value: 'N', help: 'begin with the last N lines' },
  stream: { kind: 'list', value: 'NAME', choices: streams, help: 'only stdout, or only stderr' },
  timestamps: { kind: 'switch', help: 'put the time in front of each line' },
  raw: { kind: 'switch', help: 'on a terminal too, the bytes as they are' },
} as const;

export const jobLog = command({
  usage: 'rnx job log [flags] JOB',
  summary: 'Shows the output of a job: what is there, then what comes, until it ends.',
  notes: [
    'JOB is an id or a beginning of one. Both streams go to standard output, byte for',
    'byte; on a terminal control sequences are written out as text. Ctrl-C stops',
    'following, the job runs on; --follow=false ends with what is there.',
  ],
  examples: [
    'rnx job log f47ac10b',
    'rnx job log f47ac10b | grep ERROR',
    'rnx job log --tail 20 --timestamps f47ac10b',
    'rnx job log --follow=false --stream stderr f47ac10b > errors.txt',
  ],
  flags,
  words: [1, 1],
  missing: 'which job? Say its id: rnx job log JOB (rnx job list shows them)',
  run,
});

async function run(
  values: Values<typeof flags>,
  [uuid = '']: readonly string[],
  session: Session,
): Promise<number> {
  for (const name of values.stream) {
    if (!streams.includes(name)) {
      throw new JobletError(
        'invalid',
        `--stream: ${JSON.stringify(name)} is neither stdout nor stderr`,
      );
    }
  }
  if (values.tail === 0) {
    throw new JobletError(
      'invalid',
      '--tail: at least one line; without --tail all of them are shown',
    );
  }
  const { out, err, json } = session;
  if (out.terminal && !json && values.follow) {
    await err.write(`Logs for job ${uuid} (Press Ctrl+C to exit if streaming):\n`);
  }
  const connection = await session.connect();
  const stopped = new AbortController();
  process.once('SIGINT', () => stopped.abort());
  const printer = new LogPrinter(out, err, { ...values, json });
  const chunks = connection.serverStream(
    getJobLogs,
    {
      uuid,
      noFollow: !values.follow,
      streams: values.stream.length > 0 ? values.stream : streams,
      tailLines: values.tail,
    },
    { signal: stopped.signal },
  );
  try {
    for await (const chunk of chunks) await printer.print(chunk);
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    await err.write('\nStopping log stream...\n');
    return INTERRUPTED_EXIT_CODE;
  }
  await printer.end();
  return 0;
}
