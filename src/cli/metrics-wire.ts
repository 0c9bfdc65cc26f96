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
import { MonitoringService, type NodeGpus, NodeGpusSchema } from '../gen/joblet/monitoring_pb.ts';

export const getSystemStatus = generated(MonitoringService.method.getSystemStatus);
export const streamSystemMetrics = generated(MonitoringService.method.streamSystemMetrics);
export const listGpus = generated(MonitoringService.method.listGpus);
export const watchGpus = generated(MonitoringService.method.watchGpus);
export const getJobMetrics = generated(JobService.method.getJobMetrics);
export const getJobMetricsSummary = generated(JobService.method.getJobMetricsSummary);

/** What is 0 is told too: a script that asks for it finds it. */
const options = { alwaysEmitImplicit: true } as const;

/** A sample in protobuf's own JSON. */
export function sampleJson(sample: JobMetricsSample): unknown {
  return toJson(JobMetricsSampleSchema, sample, options);
}

/** GPUs of a node in protobuf's own JSON. */
export function nodeGpusJson(gpus: NodeGpus): unknown {
  return toJson(NodeGpusSchema, gpus, options);
}

/** A summary in protobuf's own JSON. */
export function summaryJson(summary: JobMetricsSummaryResponse): unknown {
  return toJson(JobMetricsSummaryResponseSchema, summary, options);
}
