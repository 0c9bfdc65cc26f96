// JobletService, the first API: the same jobs under other field numbers.

import { create, toBinary } from '@bufbuild/protobuf';
import { GetJobLogsRequestSchema, RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import { type JobletService, JobsLegacySchema } from '../../gen/joblet/legacy_pb.ts';
import type { Handlers } from './handlers.ts';
import { encodeJobs } from './job-pages.ts';
import { toLegacyJob, toLegacyStatus } from './job-view.ts';
import { type JobParts, LIST_LIMIT, readLog, startJob } from './jobs.ts';
import { passing } from './log-chunks.ts';
import { rfc3339 } from './rfc3339.ts';

export function legacyHandlers(parts: JobParts): Handlers<typeof JobletService> {
  const { jobs, nodeId } = parts;
  return {
    runJob: async ({ command, args, maxCpu, maxMemory, maxIoBps }, call) => {
      const wish = { command, args, maxCpu, maxMemory, maxIoBps };
      const { job } = await startJob(parts, create(RunJobRequestSchema, wish), call);
      // Clients of this API read a start time in every answer.
      const startTime = rfc3339(job.startedAtMs || job.createdAtMs);
      return { ...toLegacyJob(job, nodeId), startTime };
    },

    getJobStatus: async ({ id }) => {
      const job = jobs.get(id);
      return toLegacyStatus(job, nodeId, jobs.gpusOf(job));
    },

    stopJob: async ({ id }, { identity }) => {
      const {
        id: stopped,
        status,
        endTime,
        exitCode,
      } = toLegacyJob(await jobs.stop(id, {}, identity), nodeId);
      return { id: stopped, status, endTime, exitCode };
    },

    listJobs: () =>
      encodeJobs(jobs, LIST_LIMIT, (piece) => {
        const views = piece.map((job) => toLegacyJob(job, nodeId));
        return toBinary(JobsLegacySchema, create(JobsLegacySchema, { jobs: views }));
      }),

    getJobLogs: ({ id }, call) =>
      passing(readLog(parts, create(GetJobLogsRequestSchema, { uuid: id }), call)),
  };
}
