// The messages by which rnx runs workflows and looks after them, as tables for wire.ts; see
// messages.ts.

import { FileUpload } from './messages.ts';
import type { Input, Message, Shape } from './wire.ts';

export const RunWorkflowRequest = {
  workflow: [1, 'string'],
  totalJobs: [2, 'int32'],
  jobOrder: [3, 'string', 'list'],
  yamlContent: [4, 'string'],
  workflowFiles: [5, FileUpload, 'list'],
  choice: [240, 'string'],
  params: [241, 'string', 'map'],
  uploadId: [242, 'string'],
  validateOnly: [243, 'bool'],
} as const satisfies Shape;

export const RunWorkflowResponse = {
  workflowUuid: [1, 'string'],
  status: [2, 'string'],
  warnings: [240, 'string', 'list'],
} as const satisfies Shape;

export const GetWorkflowStatusRequest = {
  workflowUuid: [1, 'string'],
} as const satisfies Shape;

export const Timestamp = {
  seconds: [1, 'int64'],
  nanos: [2, 'int32'],
} as const satisfies Shape;

export const WorkflowInfo = {
  uuid: [1, 'string'],
  status: [2, 'string'],
  totalJobs: [3, 'int32'],
  completedJobs: [4, 'int32'],
  failedJobs: [5, 'int32'],
  canceledJobs: [6, 'int32'],
  createdAt: [7, Timestamp],
  startedAt: [8, Timestamp],
  completedAt: [9, Timestamp],
  yamlContent: [10, 'string'],
  name: [240, 'string'],
  endedBy: [241, 'string'],
  runningJobs: [242, 'int32'],
  skippedJobs: [340, 'int32'],
  waitsForGroup: [341, 'string'],
} as const satisfies Shape;

export const WorkflowJob = {
  jobUuid: [1, 'string'],
  jobName: [2, 'string'],
  status: [3, 'string'],
  dependencies: [4, 'string', 'list'],
  startTime: [5, Timestamp],
  endTime: [6, Timestamp],
  exitCode: [7, 'int32'],
  message: [240, 'string'],
  attempts: [241, 'int32'],
  outputs: [340, 'string', 'map'],
} as const satisfies Shape;

export const GetWorkflowStatusResponse = {
  workflow: [1, WorkflowInfo],
  jobs: [2, WorkflowJob, 'list'],
} as const satisfies Shape;

export const ListWorkflowsRequest = {
  includeCompleted: [1, 'bool'],
} as const satisfies Shape;

export const ListWorkflowsResponse = {
  workflows: [1, WorkflowInfo, 'list'],
} as const satisfies Shape;

export const GetWorkflowJobsRequest = {
  workflowUuid: [1, 'string'],
} as const satisfies Shape;

export const GetWorkflowJobsResponse = {
  jobs: [1, WorkflowJob, 'list'],
} as const satisfies Shape;

export const StopWorkflowRequest = {
  workflowUuid: [1, 'string'],
  force: [2, 'bool'],
  letRun: [3, 'bool'],
} as const satisfies Shape;

export const DeleteWorkflowRequest = {
  workflowUuid: [1, 'string'],
} as const satisfies Shape;

export const DeleteWorkflowResponse = {
  workflowUuid: [1, 'string'],
} as const satisfies Shape;

export const RetryWorkflowRequest = {
  workflowUuid: [1, 'string'],
  all: [2, 'bool'],
} as const satisfies Shape;

export type WorkflowRequest = Input<typeof RunWorkflowRequest>;
export type WorkflowDetail = Message<typeof GetWorkflowStatusResponse>;
export type WorkflowStep = Message<typeof WorkflowJob>;
export type WorkflowSummary = Message<typeof WorkflowInfo>;
export type WireTime = Message<typeof Timestamp>;
