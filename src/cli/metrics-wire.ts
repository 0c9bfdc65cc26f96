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
import {
  MonitoringService,
  type SystemMetricsResponse,
  SystemMetricsResponseSchema,
  type SystemStatusResponse,
  SystemStatusResponseSchema,
} from '../gen/joblet/monitoring_pb.ts';

export const getSystemStatus = generated(MonitoringService.method.getSystemStatus);
export const streamSystemMetrics = generated(MonitoringService.method.streamSystemMetrics);
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

/** A look at a node in protobuf's own JSON. */
export function systemMetricsJson(metrics: SystemMetricsResponse): unknown {
  return toJson(SystemMetricsResponseSchema, metrics);
}

/**
 * The status of a node, in the groups that pages for people have always read; the use of the processor
 * is from 0 to 1 as well.
 */
export function systemStatusJson(status: SystemStatusResponse): unknown {
  const json = toJson(SystemStatusResponseSchema, status) as Readonly<Record<string, unknown>>;
  return {
    timestamp: status.timestamp,
    available: status.available,
    hostInfo: json['host'],
    cpuInfo: {
      ...(json['cpu'] as object),
      usage: (status.cpu?.usagePercent ?? 0) / 100,
    },
    memoryInfo: json['memory'],
    disksInfo: json['disks'],
    networkInfo: json['networks'],
    ioInfo: json['io'],
    processesInfo: json['processes'],
    cloudInfo: json['cloud'],
    serverVersion: json['serverVersion'],
  };
}
