// The messages of metrics, through the generated code. Bundled on its own and loaded by one command.

import { toJson } from '@bufbuild/protobuf';
import { generated } from '../client/generated.ts';
import { JobService } from '../gen/joblet/jobs_pb.ts';
import {
  type JobMetricsSample,
  JobMetricsSampleSchema,
  type JobMetricsSummaryResponse,
  JobMetricsSummaryResponseSchema,
} from '../gen/joblet/metrics_pb.ts';

export const getJobMetrics = generated(JobService.method.getJobMetrics);
export const getJobMetricsSummary = generated(JobService.method.getJobMetricsSummary);

/** A sample in protobuf's own JSON. */
export function sampleJson(sample: JobMetricsSample): unknown {
  return toJson(JobMetricsSampleSchema, sample);
}

/** A summary in protobuf's own JSON. */
export function summaryJson(summary: JobMetricsSummaryResponse): unknown {
  return toJson(JobMetricsSummaryResponseSchema, summary);
}
