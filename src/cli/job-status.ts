// rnx job status, and rnx status as the first generation printed it.

import type { JobDetail, Posture } from '../client/messages.ts';
import { getJobStatus } from '../client/methods.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import type { Session } from './session.ts';
import { statusText } from './status-text.ts';

const DEADLINE_MS = 10_000;

const flags = {
  // Of the generation that showed workflows here.
  workflow: { kind: 'switch', short: 'w', help: 'the id is that of a workflow' },
  detail: { kind: 'switch', short: 'd', help: 'of a workflow, also its text' },
} as const;

const shared = {
  summary: 'Shows everything about a job: state, times, limits, how it ended.',
  notes: ['JOB is an id or a beginning of one. Values of secret variables are never shown.'],
  flags,
  words: [1, 1],
  missing: 'which job? Say its id: rnx job status JOB (rnx job list shows them)',
} as const;

export const jobStatus = command({
  ...shared,
  usage: 'rnx job status [flags] JOB',
  flags: {
    ...flags,
    posture: { kind: 'switch', help: 'also how it is held, as the kernel of its host sees it' },
  },
  examples: ['rnx job status f47ac10b', 'rnx job status --posture f47ac10b'],
  run: async (values, [uuid = ''], session) => {
    if (values.workflow) return workflow(uuid, values.detail, 'JOB ID', session);
    const job = await findJob({ uuid, posture: values.posture }, session);
    await session.out.write(
      session.json ? jsonText(statusJson(job)) : statusText(job, Date.now(), session.out),
    );
    return 0;
  },
});

/** The first generation's spelling, with the lines that scripts of its time parse. */
export const status = command({
  ...shared,
  usage: 'rnx status JOB',
  examples: ['rnx status f47ac10b', 'rnx job status f47ac10b     more about it'],
  run: async (values, [uuid = ''], session) => {
    if (values.workflow) return workflow(uuid, values.detail, 'JOB UUID', session);
    const job = await findJob({ uuid }, session);
    await session.out.write(session.json ? jsonText(statusJson(job)) : statusLines(job));
    return 0;
  },
});

async function workflow(
  uuid: string,
  detail: boolean,
  idTitle: 'JOB ID' | 'JOB UUID',
  session: Session,
): Promise<number> {
  const { showStatus } = await import('./workflow-status.ts');
  return showStatus(uuid, detail, idTitle, session);
}

async function findJob(
  request: { readonly uuid: string; readonly posture?: boolean },
  session: Session,
): Promise<JobDetail> {
  const connection = await session.connect();
  const deadlineMs = session.deadlineMs(DEADLINE_MS);
  return connection.unary(getJobStatus, request, { deadlineMs });
}

/** The lines of `rnx status`. */
export function statusLines(job: JobDetail): string {
  return [
    `Id: ${visible(job.uuid)}`,
    `Command: ${visible([job.command, ...job.args].join(' '))}`,
    `Status: ${visible(job.status)}`,
    `Started At: ${visible(job.startTime)}`,
    `Ended At: ${visible(job.endTime)}`,
    `MaxCPU: ${job.maxCpu}`,
    `MaxMemory: ${job.maxMemory}`,
    `MaxIOBPS: ${job.maxIoBps}`,
    `ExitCode: ${job.exitCode}\n`,
  ].join('\n');
}

/** A job as programs get it. Keys of the published format are always there, empty or not. */
export function statusJson(job: JobDetail): object {
  return {
    uuid: job.uuid,
    name: job.name,
    nodeId: job.nodeId,
    command: job.command,
    args: job.args,
    ...(job.maxCpu > 0 ? { maxCPU: job.maxCpu } : {}),
    ...(job.maxMemory > 0 ? { maxMemory: job.maxMemory } : {}),
    ...(job.maxIoBps > 0 ? { maxIOBPS: job.maxIoBps } : {}),
    ...(job.cpuCores !== '' ? { cpuCores: job.cpuCores } : {}),
    ...(job.gpuCount > 0
      ? { gpuCount: job.gpuCount, gpuMemoryMB: job.gpuMemoryMb, gpuIndices: job.gpuIndices }
      : {}),
    status: job.status,
    createdTime: job.createdTime,
    startTime: job.startTime,
    endTime: job.endTime,
    exitCode: job.exitCode,
    signal: job.signal,
    reason: job.reason,
    message: job.message,
    scheduledTime: job.scheduledTime,
    environment: job.environment,
    secretEnvironment: job.secretEnvironment,
    network: job.network,
    networkNote: job.networkNote,
    addresses: job.addresses,
    egress: job.egress,
    publish: job.publish,
    bandwidthBytesPerSecond: Number(job.bandwidthBytesPerSecond),
    volumes: job.volumes,
    keepWorkMs: Number(job.keepWorkMs),
    runtime: job.runtime,
    workDir: job.workDir,
    uploads: job.uploads,
    uploadCount: job.uploadCount,
    dependencies: job.dependencies,
    workflowUuid: job.workflowUuid,
    timeoutMs: Number(job.timeoutMs),
    timeoutTime: job.timeoutTime,
    stoppedBy: job.stoppedBy,
    graceMs: Number(job.graceMs),
    maxProcesses: job.maxProcesses,
    workBytes: Number(job.workBytes),
    limitsInForce: job.limitsInForce,
    noInit: job.noInit,
    allow: job.allow,
    priority: job.priority,
    waitsFor: job.waitsFor,
    jobsAhead: job.jobsAhead,
    memoryPeakBytes: Number(job.memoryPeakBytes),
    cpuUsec: Number(job.cpuUsec),
    oomKills: job.oomKills,
    logBytes: Number(job.logBytes),
    logDroppedBytes: Number(job.logDroppedBytes),
    ...(job.posture === undefined ? {} : { posture: postureJson(job.posture) }),
  };
}

function postureJson(posture: Posture): object {
  const writable = posture.writable.map((place) => ({ ...place, bytes: Number(place.bytes) }));
  return { ...posture, writable };
}
