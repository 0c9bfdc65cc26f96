// The route of what happens on the node, as Server-Sent Events. The id of an event is its position, so
// that a browser which comes again with `Last-Event-ID` gets the rest: every event once.

import type { Audit } from '../audit/audit.ts';
import { toEventRequest } from '../rpc/event-words.ts';
import { type News, watchEvents } from '../rpc/events.ts';
import type { WebRequest } from './request.ts';
import type { Route } from './routes.ts';

export type EventParts = Pick<Audit, 'query' | 'batches'>;

/** So often a quiet stream says that it is there, to whatever stands in between. */
const BEAT_MS = 15_000;

export function eventRoute(audit: EventParts): Route {
  return {
    path: '/v1/events',
    method: '/joblet.EventService/WatchEvents',
    answer: (request) => sendEvents(audit, request),
  };
}

async function sendEvents(audit: EventParts, request: WebRequest): Promise<void> {
  const wish = toEventRequest(request.url.searchParams, request.header('last-event-id'));
  const news = watchEvents(audit, wish, request);
  // What is wrong with the wish is the answer itself; a browser does not come again then.
  const first = await news.next();
  request.begin('text/event-stream');
  const beat = setInterval(() => void (request.isTaken && request.write(':\n\n')), BEAT_MS).unref();
  try {
    if (!first.done) await request.write(eventOf(first.value));
    for await (const each of news) await request.write(eventOf(each));
    request.signal.throwIfAborted();
    request.end();
  } finally {
    clearInterval(beat);
  }
}

/** What only tells the position sets the id, and is no event to a browser. */
function eventOf({ event, position }: News): string {
  const id = `id: ${position}\n`;
  if (event === undefined) return `${id}\n`;
  const { $typeName, sequence, ...same } = event as Record<string, unknown>;
  const data = JSON.stringify({ sequence: Number(sequence), ...same });
  return `${id}event: ${event.action}\ndata: ${data}\n\n`;
}
