// The messages by which rnx keeps recurring schedules, as tables for wire.ts; see messages.ts.

import { RunJobRequest } from './messages.ts';
import type { Input, Message, Shape } from './wire.ts';
import { RunWorkflowRequest } from './workflow-messages.ts';

export const CreateScheduleRequest = {
  name: [1, 'string'],
  cron: [2, 'string'],
  timeZone: [3, 'string'],
  overlap: [4, 'string'],
  catchUp: [5, 'string'],
  jitterMs: [6, 'int64'],
  keep: [340, 'int32'],
  job: [7, RunJobRequest],
  workflow: [8, RunWorkflowRequest],
} as const satisfies Shape;

export const ScheduleName = { name: [1, 'string'] } as const satisfies Shape;

export const ScheduleTick = {
  time: [1, 'string'],
  workflowUuid: [2, 'string'],
  state: [3, 'string'],
  message: [4, 'string'],
  workflowStatus: [5, 'string'],
} as const satisfies Shape;

export const Schedule = {
  name: [1, 'string'],
  cron: [2, 'string'],
  timeZone: [3, 'string'],
  overlap: [4, 'string'],
  catchUp: [5, 'string'],
  jitterMs: [6, 'int64'],
  keep: [340, 'int32'],
  what: [7, 'string'],
  paused: [8, 'bool'],
  createdTime: [9, 'string'],
  owner: [10, 'string'],
  nextTimes: [11, 'string', 'list'],
  history: [12, ScheduleTick, 'list'],
} as const satisfies Shape;

export const Schedules = { schedules: [1, Schedule, 'list'] } as const satisfies Shape;

export type ScheduleRequest = Input<typeof CreateScheduleRequest>;
export type ScheduleView = Message<typeof Schedule>;
