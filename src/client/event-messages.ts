// The messages by which rnx follows what happens, as tables for wire.ts; see messages.ts.

import type { Input, Message, Shape } from './wire.ts';

export const WatchEventsRequest = {
  kinds: [1, 'string', 'list'],
  subjects: [2, 'string', 'list'],
  actions: [3, 'string', 'list'],
  after: [4, 'int64'],
  fromOldest: [5, 'bool'],
  last: [6, 'int32'],
  noFollow: [7, 'bool'],
} as const satisfies Shape;

export const Event = {
  sequence: [1, 'int64'],
  time: [2, 'string'],
  kind: [3, 'string'],
  subject: [4, 'string'],
  action: [5, 'string'],
  status: [6, 'string'],
  detail: [7, 'string'],
  who: [8, 'string'],
} as const satisfies Shape;

export const WatchEventsResponse = {
  event: [1, Event],
  position: [2, 'int64'],
} as const satisfies Shape;

export type EventRequest = Input<typeof WatchEventsRequest>;
export type EventView = Message<typeof Event>;
