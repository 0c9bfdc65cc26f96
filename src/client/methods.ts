// The calls the client makes: where each goes, and how its messages become bytes.

import * as a from './alert-messages.ts';
import * as b from './build-messages.ts';
import * as e from './event-messages.ts';
import * as m from './messages.ts';
import * as r from './runtime-messages.ts';
import * as s from './schedule-messages.ts';
import * as t from './tree-messages.ts';
import { decode, encode, type Input, type Message, type Shape } from './wire.ts';
import * as w from './workflow-messages.ts';

/** One method of the API. */
export interface Method<I, O> {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly encode: (message: I) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => O;
}

function method<I extends Shape, O extends Shape>(
  path: string,
  request: I,
  response: O,
): Method<Input<I>, Message<O>> {
  return {
    path: `/joblet.${path}`,
    encode: (message) => encode(request, message),
    decode: (bytes) => decode(response, bytes),
  };
}

export const runJob = method('JobService/RunJob', m.RunJobRequest, m.RunJobResponse);
export const getJobStatus = method(
  'JobService/GetJobStatus',
  m.GetJobStatusRequest,
  m.GetJobStatusResponse,
);
export const waitJob = method('JobService/WaitJob', m.WaitJobRequest, m.GetJobStatusResponse);
export const extendJob = method('JobService/ExtendJob', m.ExtendJobRequest, m.GetJobStatusResponse);
export const queryJobs = method('JobService/QueryJobs', m.QueryJobsRequest, m.QueryJobsResponse);
export const getJobLogs = method('JobService/GetJobLogs', m.GetJobLogsRequest, m.DataChunk);
export const stopJob = method('JobService/StopJob', m.StopJobRequest, m.StopJobResponse);
export const cancelJob = method('JobService/CancelJob', m.CancelJobRequest, m.CancelJobResponse);
export const deleteJob = method('JobService/DeleteJob', m.DeleteJobRequest, m.DeleteJobResponse);
export const deleteAllJobs = method(
  'JobService/DeleteAllJobs',
  m.DeleteAllJobsRequest,
  m.DeleteAllJobsResponse,
);
export const sendJobInput = method(
  'JobService/SendJobInput',
  m.SendJobInputRequest,
  m.SendJobInputResponse,
);
export const uploadFiles = method(
  'JobService/UploadFiles',
  m.UploadFilesRequest,
  m.UploadFilesResponse,
);
export const listJobFiles = method(
  'JobService/ListJobFiles',
  m.ListJobFilesRequest,
  m.ListJobFilesResponse,
);
export const getJobFiles = method('JobService/GetJobFiles', m.GetJobFilesRequest, m.JobFilesPart);
export const putJobFiles = method(
  'JobService/PutJobFiles',
  m.PutJobFilesRequest,
  m.PutJobFilesResponse,
);
export const getServerVersion = method(
  'MonitoringService/GetServerVersion',
  m.EmptyRequest,
  m.ServerVersionInfo,
);
export const createVolume = method(
  'VolumeService/CreateVolume',
  m.CreateVolumeRequest,
  m.CreateVolumeResponse,
);
export const listVolumes = method('VolumeService/ListVolumes', m.EmptyRequest, m.Volumes);
export const inspectVolume = method(
  'VolumeService/InspectVolume',
  m.InspectVolumeRequest,
  m.Volume,
);
export const resizeVolume = method('VolumeService/ResizeVolume', m.ResizeVolumeRequest, m.Volume);
export const removeVolume = method(
  'VolumeService/RemoveVolume',
  m.RemoveVolumeRequest,
  m.RemoveVolumeResponse,
);
export const changeJobEgress = method(
  'JobService/ChangeJobEgress',
  m.ChangeJobEgressRequest,
  m.EgressPolicy,
);
export const getJobFlows = method('JobService/GetJobFlows', m.GetJobFlowsRequest, m.JobFlow);
export const createNetwork = method(
  'NetworkService/CreateNetwork',
  m.CreateNetworkRequest,
  m.CreateNetworkResponse,
);
export const listNetworks = method('NetworkService/ListNetworks', m.EmptyRequest, m.Networks);
export const getNetwork = method('NetworkService/GetNetwork', m.GetNetworkRequest, m.Network);
export const removeNetwork = method(
  'NetworkService/RemoveNetwork',
  m.RemoveNetworkRequest,
  m.RemoveNetworkResponse,
);
export const createSchedule = method(
  'ScheduleService/CreateSchedule',
  s.CreateScheduleRequest,
  s.Schedule,
);
export const listSchedules = method('ScheduleService/ListSchedules', m.EmptyRequest, s.Schedules);
export const getSchedule = method('ScheduleService/GetSchedule', s.ScheduleName, s.Schedule);
export const pauseSchedule = method('ScheduleService/PauseSchedule', s.ScheduleName, s.Schedule);
export const resumeSchedule = method('ScheduleService/ResumeSchedule', s.ScheduleName, s.Schedule);
export const deleteSchedule = method(
  'ScheduleService/DeleteSchedule',
  s.ScheduleName,
  s.ScheduleName,
);
export const queryAudit = method(
  'AuditService/QueryAudit',
  m.QueryAuditRequest,
  m.QueryAuditResponse,
);
export const followAudit = method('AuditService/FollowAudit', m.FollowAuditRequest, m.AuditRecord);
export const verifyAudit = method(
  'AuditService/VerifyAudit',
  m.VerifyAuditRequest,
  m.VerifyAuditResponse,
);
export const listAlerts = method(
  'AlertService/ListAlerts',
  a.ListAlertsRequest,
  a.ListAlertsResponse,
);
export const testAlertTarget = method(
  'AlertService/TestAlertTarget',
  a.TestAlertTargetRequest,
  a.TestAlertTargetResponse,
);
export const watchEvents = method(
  'EventService/WatchEvents',
  e.WatchEventsRequest,
  e.WatchEventsResponse,
);
export const validateRuntimeYaml = method(
  'RuntimeService/ValidateRuntimeYAML',
  b.ValidateRuntimeYAMLRequest,
  b.ValidateRuntimeYAMLResponse,
);
export const verifyRuntime = method(
  'RuntimeService/VerifyRuntime',
  t.VerifyRuntimeRequest,
  t.VerifyRuntimeResponse,
);
export const listRuntimes = method(
  'RuntimeService/ListRuntimes',
  m.EmptyRequest,
  r.ListRuntimesResponse,
);
export const listRegistries = method(
  'RuntimeService/ListRegistries',
  r.ListRegistriesRequest,
  r.ListRegistriesResponse,
);
export const getRuntimeInfo = method(
  'RuntimeService/GetRuntimeInfo',
  r.GetRuntimeInfoRequest,
  r.GetRuntimeInfoResponse,
);
export const testRuntime = method(
  'RuntimeService/TestRuntime',
  r.TestRuntimeRequest,
  r.TestRuntimeResponse,
);
export const removeRuntime = method(
  'RuntimeService/RemoveRuntime',
  r.RemoveRuntimeRequest,
  r.RemoveRuntimeResponse,
);
export const validateRuntimeSpec = method(
  'RuntimeService/ValidateRuntimeSpec',
  r.ValidateRuntimeSpecRequest,
  r.ValidateRuntimeSpecResponse,
);
export const buildRuntime = method(
  'RuntimeService/BuildRuntime',
  b.BuildRuntimeRequest,
  b.BuildRuntimeProgress,
);
export const runWorkflow = method(
  'JobService/RunWorkflow',
  w.RunWorkflowRequest,
  w.RunWorkflowResponse,
);
export const getWorkflowStatus = method(
  'JobService/GetWorkflowStatus',
  w.GetWorkflowStatusRequest,
  w.GetWorkflowStatusResponse,
);
export const listWorkflows = method(
  'JobService/ListWorkflows',
  w.ListWorkflowsRequest,
  w.ListWorkflowsResponse,
);
export const getWorkflowJobs = method(
  'JobService/GetWorkflowJobs',
  w.GetWorkflowJobsRequest,
  w.GetWorkflowJobsResponse,
);
export const watchWorkflow = method(
  'JobService/WatchWorkflow',
  w.GetWorkflowStatusRequest,
  w.GetWorkflowStatusResponse,
);
export const stopWorkflow = method(
  'JobService/StopWorkflow',
  w.StopWorkflowRequest,
  w.GetWorkflowStatusResponse,
);
export const deleteWorkflow = method(
  'JobService/DeleteWorkflow',
  w.DeleteWorkflowRequest,
  w.DeleteWorkflowResponse,
);
export const retryWorkflow = method(
  'JobService/RetryWorkflow',
  w.RetryWorkflowRequest,
  w.RunWorkflowResponse,
);
export const installNamedRuntime = method(
  'RuntimeService/StreamingInstallRuntimeFromGithub',
  t.InstallRuntimeRequest,
  t.RuntimeInstallationChunk,
);
export const installLocalRuntime = method(
  'RuntimeService/StreamingInstallRuntimeFromLocal',
  t.InstallRuntimeFromLocalRequest,
  t.RuntimeInstallationChunk,
);
export const packRuntime = method(
  'RuntimeService/PackRuntime',
  t.PackRuntimeRequest,
  t.PackRuntimeChunk,
);
