// The text of `rnx job status`: sections in a fixed order, those with nothing to say left out.

import type { JobDetail } from '../client/messages.ts';
import { isFinal, type JobStatus } from '../shared/job-state.ts';
import { formatBandwidth, formatBytes, formatDuration } from '../shared/units.ts';
import { egressLines } from './egress.ts';
import type { Output } from './output.ts';
import { postureLines } from './posture-text.ts';
import { commandLine, localTime, roughSize, roughTime, statusWord, visible } from './print.ts';

/** A title and the lines below it. */
type Section = readonly [title: string, lines: readonly string[]];

/** Everything about a job, for people. */
export function statusText(job: JobDetail, nowMs: number, out: Output): string {
  const head = [
    `Job ID: ${visible(job.uuid)}`,
    `Job Name: ${visible(job.name) || '-'}`,
    `Node ID: ${visible(job.nodeId) || '-'}`,
    `Command: ${commandLine(job.command, job.args)}`,
    `Status: ${statusWord(job.status, out)}`,
    ...labeled({
      Waiting: job.waitsFor,
      Stopping: job.status === 'RUNNING' && job.stoppedBy !== '' ? `by ${job.stoppedBy}` : '',
      Priority: job.priority === 0 ? '' : String(job.priority),
    }),
  ];
  const body = sections(job, nowMs)
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => [`${title}:`, ...lines.map((line) => `  ${line}`)].join('\n'));
  return `${[head.join('\n'), ...body].join('\n\n')}\n`;
}

function sections(job: JobDetail, nowMs: number): readonly Section[] {
  return [
    ['Scheduling Information', job.status === 'SCHEDULED' ? scheduling(job, nowMs) : []],
    ['Timing', timing(job, nowMs)],
    ['Resource Limits', limits(job)],
    ['Runtime Environment', labeled({ Runtime: job.runtime })],
    ['Network Configuration', networking(job)],
    ['Volumes', job.volumes.map(visible)],
    ['Working Directory', workingDirectory(job)],
    ['Uploaded Files', uploaded(job)],
    [
      'Workflow Information',
      labeled({ Workflow: job.workflowUuid, Dependencies: job.dependencies.join(', ') }),
    ],
    ['Environment Variables', environment(job)],
    ['Isolation', isolation(job)],
    ['Posture', job.posture === undefined ? [] : postureLines(job.posture)],
    ['Result', isFinal(job.status as JobStatus) ? result(job) : []],
    ['Available Actions', actions(job)],
  ];
}

function workingDirectory({ workDir, workBytes, keepWorkMs }: JobDetail): string[] {
  const kept = Number(keepWorkMs);
  return labeled({
    Path: workDir,
    Size: size(workBytes),
    Kept: kept > 0 ? `${formatDuration(kept)} from its end` : '',
  });
}

function uploaded({ uploads, uploadCount }: JobDetail): string[] {
  const others = uploadCount - uploads.length;
  return [...uploads.map(visible), ...(others > 0 ? [`... and ${others} more`] : [])];
}

/** `Label: value` for each value that is not empty. */
function labeled(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values)
    .filter(([, value]) => value !== '')
    .map(([label, value]) => `${label}: ${visible(value)}`);
}

function size(bytes: bigint): string {
  return bytes > 0n ? formatBytes(Number(bytes)) : '';
}

function duration(ms: bigint): string {
  return ms > 0n ? formatDuration(Number(ms)) : '';
}

/** How long it may take, and until when while it runs. */
function timeout({ timeoutMs, timeoutTime, status }: JobDetail): string {
  const text = duration(timeoutMs);
  return status === 'RUNNING' && timeoutTime !== ''
    ? `${text} (until ${localTime(timeoutTime)})`
    : text;
}

function scheduling(job: JobDetail, nowMs: number): string[] {
  const aheadMs = Date.parse(job.scheduledTime) - nowMs;
  return [
    `Scheduled Time: ${localTime(job.scheduledTime)}`,
    aheadMs > 0
      ? `Time Until Execution: ${roughTime(aheadMs)}`
      : 'Time Until Execution: Due now (waiting for execution)',
  ];
}

function timing(job: JobDetail, nowMs: number): string[] {
  const created = job.createdTime || job.startTime;
  const startMs = Date.parse(job.startTime);
  const lines = created === '' ? [] : [`Created: ${localTime(created)}`];
  if (job.startTime !== '') lines.push(`Started: ${localTime(job.startTime)}`);
  if (job.endTime !== '') lines.push(`Ended: ${localTime(job.endTime)}`);
  if (job.startTime === '') return lines;
  lines.push(
    job.endTime === ''
      ? `Running For: ${roughTime(nowMs - startMs)}`
      : `Duration: ${roughTime(Date.parse(job.endTime) - startMs)}`,
  );
  return lines;
}

function limits(job: JobDetail): string[] {
  return [
    ...labeled({
      'Max CPU': job.maxCpu > 0 ? `${job.maxCpu}%` : '',
      'Max Memory': job.maxMemory > 0 ? `${job.maxMemory} MB` : '',
      'Max IO': job.maxIoBps > 0 ? `${job.maxIoBps} bytes/s` : '',
      'CPU Cores': job.cpuCores,
      'Max Processes': job.maxProcesses > 0 ? String(job.maxProcesses) : '',
      GPUs: gpus(job),
      Timeout: timeout(job),
      'Grace Period': duration(job.graceMs),
    }),
    ...(job.limitsInForce.length > 0
      ? ['In Force:', ...job.limitsInForce.map((line) => `  ${visible(line)}`)]
      : []),
  ];
}

function gpus({ gpuCount, gpuMemoryMb, gpuIndices }: JobDetail): string {
  if (gpuCount === 0) return '';
  const memory = gpuMemoryMb === 0 ? '' : ` of at least ${gpuMemoryMb} MB`;
  const which = gpuIndices.length === 0 ? '' : ` (${gpuIndices.join(', ')})`;
  return `${gpuCount}${memory}${which}`;
}

function environment(job: JobDetail): string[] {
  return [
    ...Object.entries(job.environment).map(([name, value]) => visible(`${name}=${value}`)),
    ...Object.keys(job.secretEnvironment).map((name) => `${visible(name)}=*** (secret)`),
  ];
}

function isolation(job: JobDetail): string[] {
  return [
    ...(job.allow.length > 0 ? [`Opened: ${visible(job.allow.join(', '))}`] : []),
    ...(job.noInit ? ['Process 1: the command itself'] : []),
  ];
}

function result(job: JobDetail): string[] {
  return [
    `Exit Code: ${job.exitCode}`,
    ...labeled({
      Signal: job.signal > 0 ? String(job.signal) : '',
      Reason: job.reason,
      Message: job.message,
      'Peak Memory': job.memoryPeakBytes > 0n ? roughSize(Number(job.memoryPeakBytes)) : '',
      'CPU Time': job.cpuUsec > 0n ? roughTime(Number(job.cpuUsec) / 1000) : '',
      Output: job.logBytes > 0n ? roughSize(Number(job.logBytes)) : '',
      'Output Lost': job.logDroppedBytes > 0n ? roughSize(Number(job.logDroppedBytes)) : '',
    }),
  ];
}

function actions({ uuid, status }: JobDetail): string[] {
  const id = visible(uuid);
  if (status === 'SCHEDULED') return [`rnx job cancel ${id}`];
  const log = `rnx job log ${id}`;
  return isFinal(status as JobStatus) ? [log, `rnx job delete ${id}`] : [log, `rnx job stop ${id}`];
}

function networking(job: JobDetail) {
  const speed = Number(job.bandwidthBytesPerSecond);
  const told = labeled({
    Network: job.network,
    Note: job.networkNote,
    Addresses: job.addresses.join(', '),
    Published: job.publish.join(', '),
    Bandwidth: speed === 0 ? '' : `${formatBandwidth(speed)} each way`,
  });
  return [...told, ...egressLines(job.egress)];
}
