// The messages the client sends and reads, as tables for wire.ts. What the fields mean is written in
// proto/joblet; wire.test.ts holds each table against the generated code.

import type { Input, Message, Shape } from './wire.ts';

export const EmptyRequest = {} as const satisfies Shape;

export const FileUpload = {
  path: [1, 'string'],
  content: [2, 'bytes'],
  mode: [3, 'uint32'],
  isDirectory: [4, 'bool'],
} as const satisfies Shape;

export const EgressPolicy = {
  closed: [1, 'bool'],
  allow: [2, 'string', 'list'],
  deny: [3, 'string', 'list'],
} as const satisfies Shape;

export const ChangeJobEgressRequest = {
  uuid: [1, 'string'],
  allow: [2, 'string', 'list'],
  deny: [3, 'string', 'list'],
  reset: [4, 'bool'],
} as const satisfies Shape;

export const GetJobFlowsRequest = {
  uuid: [1, 'string'],
  follow: [2, 'bool'],
} as const satisfies Shape;

export const JobFlow = {
  number: [1, 'uint32'],
  time: [2, 'string'],
  endTime: [3, 'string'],
  verdict: [4, 'string'],
  way: [5, 'string'],
  protocol: [6, 'string'],
  address: [7, 'string'],
  port: [8, 'uint32'],
  name: [9, 'string'],
  sentBytes: [10, 'uint64'],
  receivedBytes: [11, 'uint64'],
  omitted: [12, 'uint64'],
} as const satisfies Shape;

// Fields that only the server may set are left out.
export const RunJobRequest = {
  name: [1, 'string'],
  command: [2, 'string'],
  args: [3, 'string', 'list'],
  maxCpu: [4, 'int32'],
  cpuCores: [5, 'string'],
  maxMemory: [6, 'int32'],
  maxIoBps: [7, 'int32'],
  uploads: [8, FileUpload, 'list'],
  schedule: [9, 'string'],
  network: [10, 'string'],
  volumes: [11, 'string', 'list'],
  runtime: [12, 'string'],
  workDir: [13, 'string'],
  environment: [14, 'string', 'map'],
  secretEnvironment: [18, 'string', 'map'],
  gpuCount: [19, 'int32'],
  gpuMemoryMb: [20, 'int32'],
  timeoutMs: [100, 'int64'],
  maxProcesses: [101, 'int32'],
  stdin: [102, 'bool'],
  noInit: [103, 'bool'],
  allow: [104, 'string', 'list'],
  workBytes: [105, 'int64'],
  uploadId: [106, 'string'],
  graceMs: [107, 'int64'],
  keepWorkMs: [220, 'int64'],
  priority: [130, 'int32'],
  idempotencyKey: [131, 'string'],
  bandwidthBytesPerSecond: [200, 'int64'],
  egress: [201, EgressPolicy],
  publish: [310, 'string', 'list'],
  logOverflow: [370, 'string'],
} as const satisfies Shape;

export const RunJobResponse = {
  jobUuid: [1, 'string'],
  status: [2, 'string'],
  command: [3, 'string'],
  args: [4, 'string', 'list'],
  maxCpu: [5, 'int32'],
  cpuCores: [6, 'string'],
  maxMemory: [7, 'int32'],
  maxIoBps: [8, 'int32'],
  startTime: [9, 'string'],
  endTime: [10, 'string'],
  exitCode: [11, 'int32'],
  scheduledTime: [12, 'string'],
  reason: [100, 'string'],
  message: [101, 'string'],
  name: [102, 'string'],
  nodeId: [103, 'string'],
  createdTime: [104, 'string'],
  signal: [105, 'int32'],
  network: [106, 'string'],
  networkNote: [107, 'string'],
  waitsFor: [130, 'string'],
  jobsAhead: [131, 'int32'],
  repeatedRequest: [132, 'bool'],
} as const satisfies Shape;

export const GetJobStatusRequest = {
  uuid: [1, 'string'],
  posture: [160, 'bool'],
} as const satisfies Shape;

export const WritablePlace = {
  path: [1, 'string'],
  bytes: [2, 'int64'],
  kind: [3, 'string'],
} as const satisfies Shape;

export const KernelView = {
  pid: [1, 'int32'],
  confirmed: [2, 'string', 'list'],
  deviations: [3, 'string', 'list'],
} as const satisfies Shape;

export const JobPosture = {
  namespaces: [1, 'string', 'list'],
  firstId: [2, 'uint32'],
  idCount: [3, 'uint32'],
  capabilities: [4, 'string', 'list'],
  noNewPrivs: [5, 'bool'],
  filter: [6, 'string'],
  opened: [7, 'string', 'list'],
  root: [8, 'string'],
  readOnly: [9, 'string', 'list'],
  writable: [10, WritablePlace, 'list'],
  limits: [11, 'string', 'list'],
  network: [12, 'string'],
  init: [13, 'string'],
  startedBy: [14, 'string'],
  kernel: [15, KernelView],
  gpus: [492, 'string', 'list'],
} as const satisfies Shape;

export const GetJobStatusResponse = {
  uuid: [1, 'string'],
  name: [2, 'string'],
  command: [3, 'string'],
  args: [4, 'string', 'list'],
  maxCpu: [5, 'int32'],
  cpuCores: [6, 'string'],
  maxMemory: [7, 'int32'],
  maxIoBps: [8, 'int32'],
  status: [9, 'string'],
  startTime: [10, 'string'],
  endTime: [11, 'string'],
  exitCode: [12, 'int32'],
  scheduledTime: [13, 'string'],
  environment: [14, 'string', 'map'],
  secretEnvironment: [15, 'string', 'map'],
  network: [16, 'string'],
  volumes: [17, 'string', 'list'],
  runtime: [18, 'string'],
  workDir: [19, 'string'],
  uploads: [20, 'string', 'list'],
  dependencies: [21, 'string', 'list'],
  workflowUuid: [22, 'string'],
  gpuIndices: [23, 'int32', 'list'],
  gpuCount: [24, 'int32'],
  gpuMemoryMb: [25, 'int32'],
  nodeId: [26, 'string'],
  reason: [100, 'string'],
  message: [101, 'string'],
  createdTime: [102, 'string'],
  timeoutMs: [103, 'int64'],
  maxProcesses: [104, 'int32'],
  signal: [105, 'int32'],
  memoryPeakBytes: [106, 'int64'],
  cpuUsec: [107, 'int64'],
  oomKills: [108, 'int32'],
  noInit: [109, 'bool'],
  allow: [110, 'string', 'list'],
  logBytes: [111, 'int64'],
  logDroppedBytes: [112, 'int64'],
  limitsInForce: [113, 'string', 'list'],
  networkNote: [114, 'string'],
  waitsFor: [115, 'string'],
  workBytes: [116, 'int64'],
  graceMs: [117, 'int64'],
  stdin: [118, 'bool'],
  posture: [160, JobPosture],
  priority: [130, 'int32'],
  jobsAhead: [131, 'int32'],
  timeoutTime: [132, 'string'],
  stoppedBy: [133, 'string'],
  uploadCount: [170, 'int32'],
  keepWorkMs: [220, 'int64'],
  addresses: [200, 'string', 'list'],
  bandwidthBytesPerSecond: [201, 'int64'],
  egress: [202, EgressPolicy],
  publish: [310, 'string', 'list'],
  logOverflow: [370, 'string'],
} as const satisfies Shape;

export const StopJobRequest = {
  uuid: [1, 'string'],
  graceMs: [100, 'int64'],
  force: [101, 'bool'],
} as const satisfies Shape;

export const StopJobResponse = {
  uuid: [1, 'string'],
  status: [2, 'string'],
  endTime: [3, 'string'],
  exitCode: [4, 'int32'],
  reason: [100, 'string'],
  message: [101, 'string'],
} as const satisfies Shape;

export const CancelJobRequest = {
  uuid: [1, 'string'],
} as const satisfies Shape;

export const CancelJobResponse = {
  uuid: [1, 'string'],
  status: [2, 'string'],
} as const satisfies Shape;

export const DeleteJobRequest = {
  uuid: [1, 'string'],
} as const satisfies Shape;

export const DeleteJobResponse = {
  uuid: [1, 'string'],
  success: [2, 'bool'],
  message: [3, 'string'],
} as const satisfies Shape;

export const DeleteAllJobsRequest = {} as const satisfies Shape;

export const DeleteAllJobsResponse = {
  success: [1, 'bool'],
  message: [2, 'string'],
  deletedCount: [3, 'int32'],
  skippedCount: [4, 'int32'],
} as const satisfies Shape;

export const GetJobLogsRequest = {
  uuid: [1, 'string'],
  position: [100, 'uint64'],
  noFollow: [101, 'bool'],
  streams: [102, 'string', 'list'],
  tailLines: [103, 'uint32'],
  sinceNs: [260, 'int64'],
  untilNs: [261, 'int64'],
  filter: [262, 'string'],
  linesBefore: [263, 'uint32'],
  linesAfter: [264, 'uint32'],
} as const satisfies Shape;

export const DataChunk = {
  payload: [1, 'bytes'],
  position: [100, 'uint64'],
  stream: [101, 'string'],
  timeNs: [102, 'int64'],
  droppedBytes: [103, 'uint64'],
  gapReason: [104, 'string'],
  apart: [260, 'bool'],
} as const satisfies Shape;

export const Job = {
  uuid: [1, 'string'],
  name: [2, 'string'],
  command: [3, 'string'],
  args: [4, 'string', 'list'],
  maxCpu: [5, 'int32'],
  cpuCores: [6, 'string'],
  maxMemory: [7, 'int32'],
  maxIoBps: [8, 'int32'],
  status: [9, 'string'],
  startTime: [10, 'string'],
  endTime: [11, 'string'],
  exitCode: [12, 'int32'],
  scheduledTime: [13, 'string'],
  runtime: [14, 'string'],
  environment: [15, 'string', 'map'],
  secretEnvironment: [16, 'string', 'map'],
  gpuIndices: [17, 'int32', 'list'],
  gpuCount: [18, 'int32'],
  gpuMemoryMb: [19, 'int32'],
  nodeId: [20, 'string'],
  reason: [100, 'string'],
  message: [101, 'string'],
  createdTime: [102, 'string'],
  signal: [103, 'int32'],
  priority: [130, 'int32'],
  waitsFor: [131, 'string'],
  jobsAhead: [132, 'int32'],
  publish: [310, 'string', 'list'],
} as const satisfies Shape;

export const QueryJobsRequest = {
  statuses: [1, 'string', 'list'],
  limit: [2, 'int32'],
  name: [3, 'string'],
  pageToken: [4, 'string'],
} as const satisfies Shape;

export const QueryJobsResponse = {
  jobs: [1, Job, 'list'],
  nextPageToken: [2, 'string'],
} as const satisfies Shape;

export const WaitJobRequest = {
  uuid: [1, 'string'],
} as const satisfies Shape;

export const ExtendJobRequest = {
  uuid: [1, 'string'],
  timeoutMs: [2, 'int64'],
} as const satisfies Shape;

export const SendJobInputRequest = {
  uuid: [1, 'string'],
  data: [2, 'bytes'],
  end: [3, 'bool'],
} as const satisfies Shape;

export const SendJobInputResponse = {
  acceptedBytes: [1, 'int64'],
} as const satisfies Shape;

export const FileHeader = {
  path: [1, 'string'],
  mode: [2, 'uint32'],
  isDirectory: [3, 'bool'],
  size: [4, 'int64'],
} as const satisfies Shape;

export const UploadFilesRequest = {
  header: [1, FileHeader],
  data: [2, 'bytes'],
} as const satisfies Shape;

export const UploadFilesResponse = {
  uploadId: [1, 'string'],
  files: [2, 'int32'],
  bytes: [3, 'int64'],
} as const satisfies Shape;

export const ListJobFilesRequest = {
  uuid: [1, 'string'],
  path: [2, 'string'],
} as const satisfies Shape;

export const JobFile = {
  path: [1, 'bytes'],
  type: [2, 'string'],
  mode: [3, 'uint32'],
  size: [4, 'int64'],
  mtimeNs: [5, 'int64'],
  link: [6, 'bytes'],
} as const satisfies Shape;

export const ListJobFilesResponse = { files: [1, JobFile, 'list'] } as const satisfies Shape;

export const GetJobFilesRequest = {
  uuid: [1, 'string'],
  path: [2, 'string'],
} as const satisfies Shape;

export const SkippedFile = {
  path: [1, 'bytes'],
  reason: [2, 'string'],
} as const satisfies Shape;

export const JobFilesPart = {
  entry: [1, JobFile],
  data: [2, 'bytes'],
  hole: [3, 'int64'],
  skipped: [4, SkippedFile],
} as const satisfies Shape;

export const PutTarget = {
  uuid: [1, 'string'],
  path: [2, 'string'],
} as const satisfies Shape;

export const PutJobFilesRequest = {
  target: [1, PutTarget],
  header: [2, FileHeader],
  data: [3, 'bytes'],
} as const satisfies Shape;

export const PutJobFilesResponse = {
  files: [1, 'int32'],
  bytes: [2, 'int64'],
} as const satisfies Shape;

export const ServerVersionInfo = {
  version: [1, 'string'],
  gitCommit: [2, 'string'],
  gitTag: [3, 'string'],
  buildDate: [4, 'string'],
  component: [5, 'string'],
  goVersion: [6, 'string'],
  platform: [7, 'string'],
  protoCommit: [8, 'string'],
  protoTag: [9, 'string'],
} as const satisfies Shape;

export const CreateVolumeRequest = {
  name: [1, 'string'],
  size: [2, 'string'],
  type: [3, 'string'],
} as const satisfies Shape;

export const CreateVolumeResponse = {
  name: [1, 'string'],
  size: [2, 'string'],
  type: [3, 'string'],
  path: [4, 'string'],
} as const satisfies Shape;

export const RemoveVolumeRequest = { name: [1, 'string'] } as const satisfies Shape;

export const RemoveVolumeResponse = {
  success: [1, 'bool'],
  message: [2, 'string'],
} as const satisfies Shape;

export const InspectVolumeRequest = { name: [1, 'string'] } as const satisfies Shape;

export const ResizeVolumeRequest = {
  name: [1, 'string'],
  size: [2, 'string'],
} as const satisfies Shape;

export const Volume = {
  name: [1, 'string'],
  size: [2, 'string'],
  type: [3, 'string'],
  path: [4, 'string'],
  createdTime: [5, 'string'],
  jobCount: [6, 'int32'],
  sizeBytes: [220, 'int64'],
  usedBytes: [221, 'int64'],
  jobUuids: [222, 'string', 'list'],
  problem: [223, 'string'],
} as const satisfies Shape;

export const Volumes = { volumes: [1, Volume, 'list'] } as const satisfies Shape;

export const AuditRecord = {
  sequence: [1, 'int64'],
  time: [2, 'string'],
  action: [3, 'string'],
  jobUuid: [4, 'string'],
  method: [5, 'string'],
  who: [6, 'string'],
  role: [7, 'string'],
  certificate: [8, 'string'],
  peer: [9, 'string'],
  result: [10, 'string'],
  detail: [11, 'string'],
  count: [12, 'int64'],
  hash: [13, 'string'],
} as const satisfies Shape;

export const AuditFilter = {
  since: [1, 'string'],
  until: [2, 'string'],
  jobUuid: [3, 'string'],
  who: [4, 'string'],
  actions: [5, 'string', 'list'],
  result: [6, 'string'],
} as const satisfies Shape;

export const CreateNetworkRequest = {
  name: [1, 'string'],
  cidr: [2, 'string'],
  bandwidthBytesPerSecond: [200, 'int64'],
  egress: [201, EgressPolicy],
} as const satisfies Shape;

export const CreateNetworkResponse = {
  name: [1, 'string'],
  cidr: [2, 'string'],
  bridge: [3, 'string'],
  cidr6: [200, 'string'],
} as const satisfies Shape;

export const GetNetworkRequest = { name: [1, 'string'] } as const satisfies Shape;

export const RemoveNetworkRequest = { name: [1, 'string'] } as const satisfies Shape;

export const RemoveNetworkResponse = {
  success: [1, 'bool'],
  message: [2, 'string'],
} as const satisfies Shape;

export const NetworkJob = {
  uuid: [1, 'string'],
  name: [2, 'string'],
  addresses: [3, 'string', 'list'],
  publish: [310, 'string', 'list'],
} as const satisfies Shape;

export const Network = {
  name: [1, 'string'],
  cidr: [2, 'string'],
  bridge: [3, 'string'],
  jobCount: [4, 'int32'],
  builtin: [200, 'bool'],
  peers: [201, 'bool'],
  bandwidthBytesPerSecond: [202, 'int64'],
  cidr6: [203, 'string'],
  gateway: [204, 'string'],
  createdTime: [205, 'string'],
  jobs: [206, NetworkJob, 'list'],
  egress: [207, EgressPolicy],
} as const satisfies Shape;

export const Networks = { networks: [1, Network, 'list'] } as const satisfies Shape;

export const QueryAuditRequest = {
  filter: [1, AuditFilter],
  limit: [2, 'int32'],
  pageToken: [3, 'string'],
} as const satisfies Shape;

export const QueryAuditResponse = {
  records: [1, AuditRecord, 'list'],
  nextPageToken: [2, 'string'],
  head: [3, 'int64'],
} as const satisfies Shape;

export const FollowAuditRequest = {
  filter: [1, AuditFilter],
  after: [2, 'int64'],
  noFollow: [3, 'bool'],
} as const satisfies Shape;

export const VerifyAuditRequest = {
  expect: [1, 'string'],
} as const satisfies Shape;

export const AuditDamage = {
  sequence: [1, 'int64'],
  message: [2, 'string'],
} as const satisfies Shape;

export const VerifyAuditResponse = {
  records: [1, 'int64'],
  first: [2, 'int64'],
  head: [3, 'string'],
  damages: [4, AuditDamage, 'list'],
  damageCount: [5, 'int64'],
} as const satisfies Shape;

export type EgressDetail = Message<typeof EgressPolicy>;
export type FlowDetail = Message<typeof JobFlow>;
export type NetworkDetail = Message<typeof Network>;
export type JobRequest = Input<typeof RunJobRequest>;
export type JobStarted = Message<typeof RunJobResponse>;
export type JobDetail = Message<typeof GetJobStatusResponse>;
export type Posture = Message<typeof JobPosture>;
export type JobSummary = Message<typeof Job>;
export type JobStopped = Message<typeof StopJobResponse>;
export type LogRequest = Input<typeof GetJobLogsRequest>;
export type LogChunk = Message<typeof DataChunk>;
export type Upload = Input<typeof FileUpload>;
export type UploadPart = Input<typeof UploadFilesRequest>;
export type JobInput = Input<typeof SendJobInputRequest>;
export type FoundFile = Message<typeof JobFile>;
export type FilesPart = Message<typeof JobFilesPart>;
export type PutPart = Input<typeof PutJobFilesRequest>;
export type VolumeDetail = Message<typeof Volume>;
export type AuditEntry = Message<typeof AuditRecord>;
export type AuditWish = Input<typeof AuditFilter>;
export type AuditVerdict = Message<typeof VerifyAuditResponse>;
export type ServerVersion = Message<typeof ServerVersionInfo>;
