// EventService: what becomes of jobs and of all else, for whoever may look.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  EventSchema,
  EventService,
  WatchEventsRequest,
  WatchEventsResponseSchema,
} from '../../gen/joblet/events_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import {
  type Event,
  type EventKind,
  eventActions,
  eventKinds,
  isAbout,
  toEvent,
} from '../audit/events.ts';
import type { Action } from '../audit/record.ts';
import type { Call, Handlers } from './handlers.ts';
import { rfc3339 } from './rfc3339.ts';

const MAX_LAST = 1000;
const MAX_SUBJECTS = 100;
const MAX_WORD_CHARS = 256;
/** Records read at a time for the newest that are wanted. */
const PAGE_RECORDS = 1000;
/** A position is told by itself when it has grown by so much. */
const SILENT_RECORDS = 1000;

export type News = MessageInitShape<typeof WatchEventsResponseSchema>;

interface Wish {
  readonly actions: readonly Action[];
  readonly subjects: readonly string[];
}

export function eventHandlers(
  audit: Pick<Audit, 'query' | 'batches'>,
): Handlers<typeof EventService> {
  return { watchEvents: (request, call) => watchEvents(audit, request, call) };
}

/** The news that a request wants. Whoever has had all that there is hears so once. */
export async function* watchEvents(
  audit: Pick<Audit, 'query' | 'batches'>,
  request: WatchEventsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<News> {
  const wish = toWish(request);
  let told = Number(request.after);
  let wasAll = false;
  if (told === 0 && !request.fromOldest) {
    const { events, head } = await newest(audit, wish, request.last, signal);
    for (const event of events) yield newsOf(event);
    told = head;
    yield { position: BigInt(told) };
    if (request.noFollow) return;
    wasAll = true;
  }
  const { actions, subjects } = wish;
  for await (const batch of audit.batches({ actions }, told, !request.noFollow, signal)) {
    for (const event of eventsOf(batch.records, subjects)) {
      yield newsOf(event);
      told = event.sequence;
    }
    const isFirstEnd = batch.isAll && !wasAll;
    wasAll ||= batch.isAll;
    if (!isFirstEnd && batch.through - told < SILENT_RECORDS) continue;
    told = batch.through;
    yield { position: BigInt(told) };
  }
}

function toWish({ kinds, subjects, actions, after, last }: WatchEventsRequest): Wish {
  const problems: Problem[] = [];
  const known = eventActions();
  const check = (field: string, words: readonly string[], all: readonly string[], what: string) => {
    const unknown = words.find((word) => !all.includes(word));
    if (unknown === undefined) return;
    const shown = JSON.stringify(unknown.slice(0, 64));
    problems.push({ field, message: `${shown} is no ${what}; there is ${all.join(', ')}` });
  };
  check('kinds', kinds, eventKinds, 'kind of event');
  check('actions', actions, known, 'event');
  if (subjects.length > MAX_SUBJECTS) {
    problems.push({ field: 'subjects', message: `are more than ${MAX_SUBJECTS}` });
  }
  if (subjects.some((word) => word === '' || word.length > MAX_WORD_CHARS)) {
    const message = `are ids or names, of 1 to ${MAX_WORD_CHARS} characters`;
    problems.push({ field: 'subjects', message });
  }
  if (after < 0n || after > BigInt(Number.MAX_SAFE_INTEGER)) {
    problems.push({ field: 'after', message: 'is no position of this stream' });
  }
  if (last < 0 || last > MAX_LAST) {
    problems.push({ field: 'last', message: `is from 0 to ${MAX_LAST}` });
  }
  const ofKinds = kinds.length === 0 ? known : eventActions(kinds as EventKind[]);
  const wanted = ofKinds.filter((action) => actions.length === 0 || actions.includes(action));
  if (problems.length === 0 && wanted.length === 0) {
    const message = `are none of ${kinds.join(', ')}; there is ${ofKinds.join(', ')}`;
    problems.push({ field: 'actions', message });
  }
  if (problems.length > 0) throw invalid(problems);
  return { actions: wanted, subjects };
}

/** The newest events that are wanted, the oldest of them first, and the number of the log's last record. */
async function newest(
  audit: Pick<Audit, 'query'>,
  { actions, subjects }: Wish,
  most: number,
  signal: AbortSignal,
): Promise<{ readonly events: Event[]; readonly head: number }> {
  const events: Event[] = [];
  const limit = Math.min(PAGE_RECORDS, most);
  const { records, head } = await audit.query({ actions }, 0, limit, signal);
  for (let page = records; page.length > 0; ) {
    events.push(...eventsOf(page, subjects));
    const before = page.at(-1)?.sequence ?? 0;
    const isEnough = events.length >= most || page.length < limit || before <= 1;
    page = isEnough ? [] : (await audit.query({ actions }, before, limit, signal)).records;
  }
  return { events: events.slice(0, most).reverse(), head };
}

function eventsOf(
  records: readonly Parameters<typeof toEvent>[0][],
  subjects: readonly string[],
): Event[] {
  return records
    .map(toEvent)
    .filter((event) => event !== undefined)
    .filter((event) => isAbout(event, subjects));
}

function newsOf(event: Event): News {
  return { event: toMessage(event), position: BigInt(event.sequence) };
}

function toMessage({ sequence, atMs, ...same }: Event): MessageInitShape<typeof EventSchema> {
  return { ...same, sequence: BigInt(sequence), time: rfc3339(atMs) };
}
