// rnx job log: the output of a job, what is there and what comes.

import type { LogRequest } from '../client/messages.ts';
import { getJobLogs } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command, type Values } from './command.ts';
import { LabelledLog, Page } from './labelled-log.ts';
import { LogPrinter } from './log-printer.ts';
import { followLog, Patience } from './patience.ts';
import { parsePast } from './schedule.ts';
import type { Session } from './session.ts';

/** What a shell reports for a program that Ctrl-C ended. */
export const INTERRUPTED_EXIT_CODE = 130;

const streams: readonly string[] = ['stdout', 'stderr'];

const flags = {
  follow: { kind: 'switch', short: 'f', on: true, help: 'go on until the job ends (the default)' },
  tail: { kind: 'integer', value: 'N', help: 'begin with the last N lines' },
  since: { kind: 'text', value: 'TIME', help: 'from then on: 10m ago, or 2026-12-24T18:00:00Z' },
  until: { kind: 'text', value: 'TIME', help: 'up to then' },
  position: { kind: 'bytes', value: 'N', help: 'behind N bytes of the output' },
  filter: { kind: 'text', value: 'REGEXP', help: 'only lines in which it is found' },
  context: { kind: 'integer', short: 'C', value: 'N', help: 'N lines around each of these' },
  stream: { kind: 'list', value: 'NAME', choices: streams, help: 'only stdout, or only stderr' },
  timestamps: { kind: 'switch', help: 'put the time in front of each line' },
  raw: { kind: 'switch', help: 'on a terminal too, the bytes as they are' },
} as const;

type LogValues = Values<typeof flags>;

/** Lines around one that is found; the node gives no more. */
const MOST_CONTEXT = 100;

/** Jobs whose output is shown side by side. */
const MOST_JOBS = 50;

export const jobLog = command({
  usage: 'rnx job log [flags] JOB...',
  summary: 'Shows the output of a job: what is there, then what comes, until it ends.',
  notes: [
    'Byte for byte, both streams to standard output; on a terminal control sequences',
    'are written out as text. Of several jobs each line says whose it is.',
  ],
  examples: [
    'rnx job log --since 10m --filter "time(out|d out)" --context 2 f47ac10b',
    'rnx job log --follow=false --stream stderr f47ac10b > errors.txt',
  ],
  flags,
  words: [1, MOST_JOBS],
  missing: 'which job? Say its id: rnx job log JOB (rnx job list shows them)',
  run,
});

async function run(values: LogValues, jobs: readonly string[], session: Session): Promise<number> {
  const request = toRequest(values, jobs.length, Date.now());
  const { out, err, json } = session;
  const [only = '', ...others] = jobs;
  if (out.terminal && !json && values.follow) {
    const named = others.length === 0 ? `job ${only}` : `${jobs.length} jobs`;
    await err.write(`Logs for ${named} (Press Ctrl+C to exit if streaming):\n`);
  }
  const connection = await session.connect();
  const stopped = new AbortController();
  process.once('SIGINT', () => stopped.abort());
  const patience = new Patience(err, stopped.signal);
  let position = Number(request.position);
  const show = async (uuid: string, printer: Printer) => {
    const { signal } = stopped;
    const wanted = { ...request, uuid };
    const chunks = values.follow
      ? followLog(connection, wanted, patience, signal)
      : connection.serverStream(getJobLogs, wanted, { signal });
    try {
      for await (const chunk of chunks) {
        await printer.print(chunk);
        position = printer.behind(chunk);
      }
    } finally {
      await printer.end();
    }
  };
  const page = new Page(out);
  const lines = (uuid: string, label: string, color: number) =>
    new LabelledLog(page, err, { ...values, json, uuid, label, color });
  try {
    if (others.length > 0) {
      const width = Math.max(...jobs.map((uuid) => shortId(uuid).length));
      await Promise.all(
        jobs.map((uuid, at) => show(uuid, lines(uuid, shortId(uuid).padEnd(width), at))),
      );
    } else if (values.timestamps && !json) await show(only, lines(only, '', 0));
    else await show(only, new LogPrinter(out, err, { ...values, json }));
    return 0;
  } catch (error) {
    if (!stopped.signal.aborted) {
      // Not where nobody reads any more what is shown.
      if (error instanceof JobletError && others.length === 0 && position > 0) {
        await err.write(`--position ${position} goes on behind what was shown\n`);
      }
      throw error;
    }
    await err.write('\nStopping log stream...\n');
    return INTERRUPTED_EXIT_CODE;
  }
}

interface FromPosition {
  readonly position: bigint;
}

type Printer = Pick<LogPrinter, 'print' | 'end' | 'behind'>;

/** Of a whole id its first part, which people tell jobs apart by. */
function shortId(uuid: string): string {
  return uuid.length === 36 ? uuid.slice(0, 8) : uuid;
}

function toRequest(values: LogValues, jobCount: number, nowMs: number): LogRequest & FromPosition {
  const refuse = (message: string) => new JobletError('invalid', message);
  for (const name of values.stream) {
    if (!streams.includes(name)) {
      throw refuse(`--stream: ${JSON.stringify(name)} is neither stdout nor stderr`);
    }
  }
  if (values.tail === 0) {
    throw refuse('--tail: at least one line; without --tail all of them are shown');
  }
  if (values.position !== undefined && jobCount > 1) {
    throw refuse('--position: is a place in the output of one job');
  }
  if (values.context !== undefined && values.filter === undefined) {
    throw refuse('--context: goes with --filter, as lines around those that it finds');
  }
  if ((values.context ?? 0) > MOST_CONTEXT) {
    throw refuse(`--context: at most ${MOST_CONTEXT} lines before and behind each`);
  }
  const time = (flag: string, text: string | undefined) =>
    text === undefined ? 0n : BigInt(Date.parse(parsePast(flag, text, nowMs))) * 1_000_000n;
  const sinceNs = time('--since', values.since);
  const untilNs = time('--until', values.until);
  if (untilNs > 0n && untilNs < sinceNs) throw refuse('--until: lies before --since');
  return {
    noFollow: !values.follow,
    position: BigInt(values.position ?? 0),
    streams: values.stream.length > 0 ? values.stream : streams,
    tailLines: values.tail ?? 0,
    sinceNs,
    untilNs,
    filter: values.filter ?? '',
    linesBefore: values.context ?? 0,
    linesAfter: values.context ?? 0,
  };
}
