// rnx events: what becomes of jobs and all else on a node, as it happens.

import type { EventRequest, EventView } from '../client/event-messages.ts';
import { watchEvents } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command, type Values } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import type { Output } from './output.ts';
import { goingOn, Patience } from './patience.ts';
import { jsonLine, localTime, statusWord, visible } from './print.ts';
import type { Session } from './session.ts';

const DEFAULT_EVENTS = 20;
const MOST_EVENTS = 1000;
const MOST_SUBJECTS = 100;

/** Below this, ids are shown by their beginning. */
const NARROW_COLUMNS = 120;
const SHORT_ID = 8;
const STATUS_COLUMNS = 12;

const kinds = ['job', 'workflow', 'schedule', 'volume', 'network', 'runtime', 'alert', 'node'];

const flags = {
  follow: { kind: 'switch', short: 'f', help: 'go on with the events to come' },
  limit: { kind: 'integer', value: 'N', help: 'the newest N (20 unless said); 0 is all' },
  after: { kind: 'integer', value: 'NUMBER', help: 'those behind the event of this number' },
  kind: {
    kind: 'list',
    value: 'KIND',
    choices: kinds,
    help: 'job, workflow, schedule, volume, network, runtime, alert',
  },
  action: { kind: 'list', value: 'WORD', help: 'only these, as job.ended; several by commas' },
} as const;

export const events = command({
  usage: 'rnx events [flags] [JOB|WORKFLOW|NAME...]',
  summary: 'Shows what happened on the node, the newest last: to all, or to those named.',
  notes: [
    'Each event has a number, which --json shows. Whoever goes on behind the last one',
    'that he has seen (--after) misses none, also when the daemon was away meanwhile.',
  ],
  examples: [
    'rnx events --follow --kind job,workflow',
    'rnx events --follow --json --action job.ended --after 5120',
  ],
  flags,
  words: [0, MOST_SUBJECTS],
  run,
});

async function run(
  wanted: Values<typeof flags>,
  subjects: readonly string[],
  session: Session,
): Promise<number> {
  const { out, err, json } = session;
  const request = {
    subjects,
    kinds: wordsOf(wanted.kind),
    actions: wordsOf(wanted.action),
    noFollow: !wanted.follow,
  };
  let from: EventRequest = { ...request, ...begin(wanted) };
  const connection = await session.connect();
  const stopped = new AbortController();
  if (wanted.follow) process.once('SIGINT', () => stopped.abort());
  const { signal } = stopped;
  let position = 0n;
  const open = () => connection.serverStream(watchEvents, from, { signal });
  try {
    for await (const news of wanted.follow ? goingOn(new Patience(err, signal), open) : open()) {
      position = news.position;
      from = { ...request, after: position };
      if (news.event === undefined) continue;
      await out.write(json ? jsonLine(eventJson(news.event)) : eventLine(news.event, out));
    }
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED_EXIT_CODE;
    if (position > 0n) await err.write(`--after ${position} goes on behind the last of them\n`);
    throw error;
  }
}

function begin({ after, limit = DEFAULT_EVENTS }: Pick<Values<typeof flags>, 'after' | 'limit'>) {
  if (after !== undefined && after > 0) return { after: BigInt(after) };
  if (after === 0 || limit === 0) return { fromOldest: true };
  if (limit <= MOST_EVENTS) return { last: limit };
  const message = `--limit: at most the newest ${MOST_EVENTS}; 0 is all there are`;
  throw new JobletError('invalid', message);
}

function wordsOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(',')).map((word) => word.trim());
}

/** An event on one line; what is not there is a dash, and what does not fit on a terminal is left out. */
export function eventLine(event: EventView, out: Output): string {
  const columns = out.columns ?? Number.POSITIVE_INFINITY;
  const isNarrow = columns < NARROW_COLUMNS;
  const isId = event.kind === 'job' || event.kind === 'workflow';
  const subject = isId && isNarrow ? event.subject.slice(0, SHORT_ID) : event.subject;
  const time = localTime(event.time);
  const [subjectColumns, whoColumns] = isNarrow ? [SHORT_ID, 8] : [36, 12];
  const cell = (text: string, width: number) => (visible(text) || '-').padEnd(width);
  const before = [isNarrow ? time.slice('2026-'.length) : time, cell(event.action, 16)].join('  ');
  const behind = [
    cell(subject, subjectColumns),
    cell(event.who, whoColumns),
    visible(event.detail),
  ].join('  ');
  const room = columns - before.length - STATUS_COLUMNS - 4;
  const padding = ' '.repeat(Math.max(0, STATUS_COLUMNS - event.status.length));
  const status = statusWord(event.status, out) + padding;
  return `${before}  ${status}  ${behind.slice(0, Math.max(0, room)).toWellFormed().trimEnd()}\n`;
}

/** An event as programs get it. */
function eventJson({ sequence, ...same }: EventView): object {
  return { sequence: Number(sequence), ...same };
}
