// The messages by which rnx shows alerts, as tables for wire.ts; see messages.ts.

import type { Message, Shape } from './wire.ts';

export const ListAlertsRequest = {
  all: [1, 'bool'],
  limit: [2, 'int32'],
} as const satisfies Shape;

export const AlertNotice = {
  target: [1, 'string'],
  turn: [2, 'string'],
  status: [3, 'string'],
  tries: [4, 'int32'],
  problem: [5, 'string'],
} as const satisfies Shape;

export const Alert = {
  id: [1, 'string'],
  rule: [2, 'string'],
  subject: [3, 'string'],
  jobUuid: [4, 'string'],
  status: [5, 'string'],
  message: [6, 'string'],
  firedTime: [7, 'string'],
  resolvedTime: [8, 'string'],
  resolution: [9, 'string'],
  notices: [10, AlertNotice, 'list'],
} as const satisfies Shape;

export const ListAlertsResponse = {
  alerts: [1, Alert, 'list'],
  rules: [2, 'int32'],
} as const satisfies Shape;

export const TestAlertTargetRequest = { target: [1, 'string'] } as const satisfies Shape;

export const TestAlertTargetResponse = {} as const satisfies Shape;

export type AlertView = Message<typeof Alert>;
