// From a Job to what clients see of it. Secrets leave the daemon here, masked.

import type { MessageInitShape as Init } from '@bufbuild/protobuf';
import type {
  GetJobStatusResponseSchema,
  JobPostureSchema,
  Job as Listed,
  RunJobResponseSchema,
  StopJobResponseSchema,
} from '../../gen/joblet/jobs_pb.ts';
import type {
  GetJobStatusResponseLegacySchema,
  JobLegacySchema,
} from '../../gen/joblet/legacy_pb.ts';
import { type OutcomeView, viewOutcome } from '../../shared/job-state.ts';
import { formatVolumeMount } from '../../shared/volume-mount.ts';
import type { GivenGpu } from '../gpus/gpu.ts';
import type { Job } from '../jobs/job.ts';
import type { ListedJob } from '../jobs/job-lists.ts';
import type { Turn } from '../jobs/queue.ts';
import { HOST_NETWORK, NO_NETWORK } from '../networks/network.ts';
import { rfc3339 } from './rfc3339.ts';

export const MASK = '***';
const MB = 1024 * 1024;
const INT32_MAX = 2 ** 31 - 1;

/** A job in lists. It is whole, as there are thousands in one and each gap costs time to be filled. */
export function toJob(
  job: ListedJob,
  nodeId: string,
  turn?: Turn,
  gpus: readonly GivenGpu[] = [],
): Listed {
  return {
    $typeName: 'joblet.Job',
    uuid: job.id,
    ...shared(job, nodeId),
    runtime: job.spec.runtime,
    ...ending(job),
    createdTime: rfc3339(job.createdAtMs),
    priority: job.spec.priority,
    publish: [...(job.spec.publish ?? [])],
    ...waiting(turn),
    gpuIndices: indicesOf(gpus),
    ...gpuWish(job),
  };
}

/** A job in full. */
export function toStatus(
  job: Job,
  nodeId: string,
  limitsInForce: readonly string[],
  turn?: Turn,
  posture?: Init<typeof JobPostureSchema>,
): Init<typeof GetJobStatusResponseSchema> {
  const { spec, outcome } = job;
  return {
    uuid: job.id,
    ...shared(job, nodeId),
    network: spec.network,
    volumes: spec.volumes.map(formatVolumeMount),
    runtime: spec.runtime,
    workDir: spec.workDir,
    uploads: [...spec.uploads],
    uploadCount: spec.uploadCount,
    workflowUuid: spec.workflowUuid,
    ...gpuWish(job),
    ...ending(job),
    createdTime: rfc3339(job.createdAtMs),
    timeoutMs: BigInt(timeoutMsOf(job)),
    timeoutTime: rfc3339(job.timeout?.atMs ?? 0),
    stoppedBy: job.stoppedBy,
    maxProcesses: spec.limits.processes,
    memoryPeakBytes: BigInt(job.usage?.memoryPeakBytes ?? 0),
    cpuUsec: BigInt(job.usage?.cpuUsec ?? 0),
    oomKills: outcome?.how === 'out-of-memory' ? outcome.kills : 0,
    noInit: !spec.init,
    allow: [...spec.allow],
    logBytes: BigInt(job.logBytes),
    logDroppedBytes: BigInt(job.logDroppedBytes),
    limitsInForce: [...limitsInForce],
    networkNote: networkNote(spec.network),
    // A job of an earlier version knows nothing of it.
    bandwidthBytesPerSecond: BigInt(spec.bandwidthBytesPerSecond ?? 0),
    publish: [...(spec.publish ?? [])],
    workBytes: BigInt(spec.limits.workBytes),
    graceMs: BigInt(spec.graceMs),
    keepWorkMs: BigInt(spec.keepWorkMs),
    logOverflow: spec.logOverflow ?? 'drop',
    stdin: spec.stdin,
    priority: spec.priority,
    ...waiting(turn),
    ...(posture === undefined ? {} : { posture }),
  };
}

/** The answer to RunJob. */
export function toRunResponse(
  job: Job,
  nodeId: string,
  turn?: Turn,
): Init<typeof RunJobResponseSchema> {
  const { environment: _, secretEnvironment: __, ...rest } = shared(job, nodeId);
  return {
    jobUuid: job.id,
    ...rest,
    ...ending(job),
    createdTime: rfc3339(job.createdAtMs),
    network: job.spec.network,
    networkNote: networkNote(job.spec.network),
    ...waiting(turn),
  };
}

/** The answer to StopJob. */
export function toStopResponse(job: Job): Init<typeof StopJobResponseSchema> {
  const { reason, message } = ending(job);
  return {
    uuid: job.id,
    status: job.status,
    endTime: rfc3339(job.endedAtMs),
    exitCode: viewOf(job).exitCode,
    reason,
    message,
  };
}

/** A job as the first API has it. */
export function toLegacyJob(job: ListedJob, nodeId: string) {
  return {
    id: job.id,
    ...shared(job, nodeId),
    runtime: job.spec.runtime,
  } satisfies Init<typeof JobLegacySchema>;
}

/** A job in full, as the first API has it. */
export function toLegacyStatus(
  job: Job,
  nodeId: string,
  gpus: readonly GivenGpu[],
): Init<typeof GetJobStatusResponseLegacySchema> {
  const { maxIoBps: _, ...rest } = shared(job, nodeId);
  const { gpuCount, gpuMemoryMb } = gpuWish(job);
  return {
    uuid: job.id,
    ...rest,
    maxIoBps: BigInt(job.spec.limits.ioBps),
    runtime: job.spec.runtime,
    network: job.spec.network,
    volumes: job.spec.volumes.map(formatVolumeMount),
    workDir: job.spec.workDir,
    uploads: job.spec.uploads.map((path) => ({ path })),
    workflowUuid: job.spec.workflowUuid,
    gpuCount,
    gpuIndices: indicesOf(gpus),
    gpuMemoryMb: BigInt(gpuMemoryMb),
  };
}

/** The fields that every message about a job has. */
function shared(job: ListedJob, nodeId: string) {
  const { spec } = job;
  return {
    name: spec.name,
    command: spec.command,
    args: [...spec.args],
    maxCpu: spec.limits.cpuPercent,
    cpuCores: spec.limits.cpuCores,
    maxMemory: Math.round(spec.limits.memoryBytes / MB),
    maxIoBps: Math.min(spec.limits.ioBps, INT32_MAX),
    status: job.status,
    startTime: rfc3339(job.startedAtMs),
    endTime: rfc3339(job.endedAtMs),
    exitCode: viewOf(job).exitCode,
    scheduledTime: rfc3339(spec.startAtMs),
    environment: { ...spec.environment },
    secretEnvironment: masked(spec.secretEnvironment),
    nodeId,
  };
}

/** The numbers of the GPUs that a job has. */
export function indicesOf(gpus: readonly GivenGpu[]): number[] {
  return gpus.map(({ index }) => index);
}

function gpuWish({ spec: { gpus } }: ListedJob): { gpuCount: number; gpuMemoryMb: number } {
  return { gpuCount: gpus?.count ?? 0, gpuMemoryMb: Math.round((gpus?.memoryBytes ?? 0) / MB) };
}

/** What it may take; a job that has not started yet may take what it asked for. */
function timeoutMsOf({ timeout, spec, startedAtMs }: Job): number {
  return timeout?.ms ?? (startedAtMs === 0 ? spec.timeoutMs : 0);
}

/** Where a job stands that waits for its turn. */
function waiting(turn: Turn | undefined): { waitsFor: string; jobsAhead: number } {
  return { waitsFor: turn?.why ?? '', jobsAhead: turn?.ahead ?? 0 };
}

function ending(job: ListedJob): { reason: string; message: string; signal: number } {
  const { reason, message } = viewOf(job);
  return { reason, message, signal: job.outcome?.how === 'signaled' ? job.outcome.signal : 0 };
}

const notEnded: Pick<OutcomeView, 'exitCode' | 'reason' | 'message'> = {
  exitCode: 0,
  reason: '',
  message: '',
};

function viewOf(job: ListedJob): Pick<OutcomeView, 'exitCode' | 'reason' | 'message'> {
  return job.outcome === undefined ? notEnded : viewOutcome(job.outcome);
}

function masked(secrets: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(secrets).map((name) => [name, MASK]));
}

/** What a job on a network reaches. */
export function networkNote(network: string): string {
  if (network === NO_NETWORK) return 'loopback only';
  if (network === HOST_NETWORK) return "the host's own: all that it reaches, its services too";
  return network === 'isolated'
    ? 'out by NAT; reaches no other job and nothing of the host, and nothing comes in'
    : 'out by NAT; reaches the jobs of its network and nothing of the host';
}
