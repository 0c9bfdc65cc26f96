// The messages of metrics, through the generated code. Bundled on its own and loaded by one command.

import { toJson } from '@bufbuild/protobuf';
import { generated } from '../client/generated.ts';
import { JobService } from '../gen/joblet/jobs_pb.ts';
import { type JobMetricsSample, JobMetricsSampleSchema } from '../gen/joblet/metrics_pb.ts';

export const getJobMetrics = generated(JobService.method.getJobMetrics);

/** A sample in protobuf's own JSON. */
export function sampleJson(sample: JobMetricsSample): unknown {
  return toJson(JobMetricsSampleSchema, sample);
}
