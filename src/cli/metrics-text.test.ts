import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import {
  JobMetricsSampleSchema,
  JobMetricsSummaryResponseSchema,
} from '../gen/joblet/metrics_pb.ts';
import { metricsText, summaryText } from './metrics-text.ts';

before(() => {
  process.env['TZ'] = 'UTC';
});

test('a sample is a block of what is known, section by section', () => {
  const sample = create(JobMetricsSampleSchema, {
    jobId: 'f47ac10b',
    timestamp: 1_768_473_000n,
    sampleIntervalSeconds: 5,
    cpu: { usagePercent: 12.34, userUsec: 1_500_000n },
    memory: { current: 1_048_576n, usagePercent: 0.2, oomEvents: 1n, peak: 2_097_152n },
    process: { current: 3n },
    limits: { cpu: 50, memory: 536_870_912n },
  });
  const text = metricsText(sample);
  assert.match(
    text,
    /^═══ Metrics Sample at 10:30:00 ═══\nJob ID: f47ac10b\nSample Interval: 5s\n\nCPU:\n {2}Usage: 12\.3%\n/,
  );
  assert.match(text, /\n {2}User Time: 1\.5s\n/);
  assert.match(text, /\nMemory:\n {2}Current: 1 MB \(0\.2%\)\n {2}Peak: 2 MB\n/);
  assert.match(text, /\n {2}OOM Events: 1\n/);
  assert.match(text, /\nProcesses:\n {2}Count: 3\n/);
  assert.match(text, /\nResource Limits:\n {2}CPU: 50%\n {2}Memory: 512 MB\n\n$/);
  assert.doesNotMatch(text, /I\/O:|Network:|GPU|undefined/);
});

test('a summary is a table of what was used', () => {
  const spread = { min: 1, max: 99.5, avg: 30, p50: 28, p95: 90, p99: 99 };
  const text = summaryText(
    create(JobMetricsSummaryResponseSchema, { cpu: spread, memory: spread }),
  );
  assert.equal(
    text,
    [
      '          MIN   MEAN   P50    P95    P99    MAX',
      'CPU       1.0%  30.0%  28.0%  90.0%  99.0%  99.5%',
      'Memory    1 B   30 B   28 B   90 B   99 B   100 B',
      'Disk I/O',
      'Network',
      '',
    ].join('\n'),
  );
});
