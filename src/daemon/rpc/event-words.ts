// The words of a URL that ask for events, as the request that they stand for.

import { create } from '@bufbuild/protobuf';
import { type WatchEventsRequest, WatchEventsRequestSchema } from '../../gen/joblet/events_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';

const lists = { kind: 'kinds', subject: 'subjects', action: 'actions' } as const;
const known = [...Object.keys(lists), 'after', 'last', 'follow'];

/**
 * The request that a query asks for; the id of the last event that somebody has had goes before it.
 * @throws JobletError invalid, with everything that is wrong
 */
export function toEventRequest(query: URLSearchParams, lastId: string): WatchEventsRequest {
  const problems: Problem[] = [];
  const number = (field: string, text: string) => {
    if (/^\d{0,15}$/.test(text)) return Number(text);
    problems.push({ field, message: 'is a number' });
    return 0;
  };
  for (const field of new Set(query.keys())) {
    if (known.includes(field)) continue;
    const message = `is not known; there is ${known.join(', ')}`;
    problems.push({ field: field.slice(0, 64), message });
  }
  const after = query.get('after') ?? '';
  const follow = query.get('follow') ?? 'true';
  if (!/^(true|false)$/.test(follow)) {
    problems.push({ field: 'follow', message: 'is true or false' });
  }
  const words = Object.entries(lists).map(([word, field]) => [field, query.getAll(word)]);
  const request = create(WatchEventsRequestSchema, {
    ...Object.fromEntries(words),
    after: BigInt(number('after', lastId || after)),
    fromOldest: lastId === '' && after === '0',
    last: number('last', query.get('last') ?? ''),
    noFollow: follow === 'false',
  });
  if (problems.length > 0) throw invalid(problems);
  return request;
}
