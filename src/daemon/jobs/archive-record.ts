// What the archive is told of jobs, and what it keeps of one beside its files.

import { isFinal, viewOutcome } from '../../shared/job-state.ts';
import type { Archive } from '../archive/archive.ts';
import type { Job } from './job.ts';
import type { JobFollower } from './store.ts';

/** Of ended jobs only, and without the environment: what secrets stand for is nobody's business there. */
export function archiveRecord(job: Job | undefined, nodeId: string): object | undefined {
  if (job === undefined || !isFinal(job.status) || job.outcome === undefined) return undefined;
  const { spec, outcome } = job;
  const { exitCode, reason, message } = viewOutcome(outcome);
  return {
    version: 1,
    id: job.id,
    node: nodeId,
    name: spec.name,
    command: spec.command,
    args: spec.args,
    runtime: spec.runtime,
    network: spec.network,
    limits: spec.limits,
    workflow: spec.workflowUuid,
    status: job.status,
    exitCode,
    reason,
    message,
    createdAt: timeOf(job.createdAtMs),
    startedAt: timeOf(job.startedAtMs),
    endedAt: timeOf(job.endedAtMs),
    stoppedBy: job.stoppedBy,
    usage: job.usage,
    logBytes: job.logBytes,
    logDroppedBytes: job.logDroppedBytes,
  };
}

export function followerFor(archive: Pick<Archive, 'ended' | 'deleted'>): JobFollower {
  return {
    added() {},
    changedJob(job) {
      if (isFinal(job.status)) archive.ended(job.id);
    },
    removed: (id) => archive.deleted(id),
  };
}

function timeOf(ms: number): string {
  return ms === 0 ? '' : new Date(ms).toISOString();
}
