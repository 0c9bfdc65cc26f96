// The route of a job's log.

import { isFinal, viewOutcome } from '../../shared/job-state.ts';
import { type JobParts, readLog } from '../rpc/jobs.ts';
import { passing } from '../rpc/log-chunks.ts';
import { toLogRequest } from '../rpc/log-words.ts';
import { LogEvents, parsePlace } from './log-events.ts';
import type { WebRequest } from './request.ts';
import type { Route } from './routes.ts';

export type LogParts = Pick<JobParts, 'jobs' | 'logs'>;

/** So often a quiet stream says that it is there, to whatever stands in between. */
const BEAT_MS = 15_000;

export function logRoute(parts: LogParts): Route {
  return {
    path: '/v1/jobs/ID/log',
    method: '/joblet.JobService/GetJobLogs',
    answer: (request, [id = '']) => sendLog(parts, request, id),
  };
}

async function sendLog(parts: LogParts, request: WebRequest, id: string): Promise<void> {
  const wish = toLogRequest(id, request.url.searchParams);
  const lastId = request.header('last-event-id');
  const place = parsePlace(lastId || String(wish.position));
  if (place.isEnd) {
    // Tells a browser, which would come again for ever, that there is nothing to come for.
    request.answerEmpty();
    return;
  }
  // Who comes again goes on where it was, wherever it had begun.
  const from = lastId === '' ? wish : { ...wish, position: BigInt(place.position), tailLines: 0 };
  const pieces = passing(readLog(parts, from, request));
  const events = new LogEvents(place);
  request.begin('text/event-stream');
  const beat = setInterval(() => void (request.isTaken && request.write(':\n\n')), BEAT_MS).unref();
  try {
    await request.write(':\n\n');
    for await (const piece of pieces) {
      const event = events.piece(piece);
      if (event !== '') await request.write(event);
    }
    request.signal.throwIfAborted();
    await request.write(events.end(factsOf(parts, id)));
    request.end();
  } finally {
    clearInterval(beat);
  }
}

/** What a reader wants to know when nothing more comes. */
function factsOf({ jobs }: LogParts, id: string): Record<string, string | number> {
  const { status, outcome } = jobs.get(id);
  if (!isFinal(status) || outcome === undefined) return { status };
  const { exitCode, reason } = viewOutcome(outcome);
  return { status, exitCode, reason };
}
