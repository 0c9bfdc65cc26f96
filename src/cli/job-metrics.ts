// rnx job metrics: what a job used and uses.

import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { metricsText, summaryText } from './metrics-text.ts';
import { jsonText } from './print.ts';
import { parsePast } from './schedule.ts';

const DEADLINE_MS = 30_000;

export const jobMetrics = command({
  usage: 'rnx job metrics [flags] JOB',
  summary: 'Shows what a job uses: the samples so far, then new ones until it ends.',
  notes: ['JOB is an id or a beginning of one. Ctrl-C ends it; the job runs on.'],
  examples: [
    'rnx job metrics f47ac10b',
    'rnx job metrics --last 1 f47ac10b',
    'rnx job metrics --summary --since 10m f47ac10b',
  ],
  flags: {
    last: { kind: 'integer', value: 'N', help: 'only the last N samples that there are' },
    since: { kind: 'text', value: 'TIME', help: 'from then on: 10m ago, or 2026-12-24T18:00:00Z' },
    summary: { kind: 'switch', help: 'least, most, mean and percentiles of all of them' },
    // As the guides of earlier versions call it.
    aggregate: { kind: 'switch' },
  },
  words: [1, 1],
  missing: 'which job? Say its id: rnx job metrics JOB (rnx job list shows them)',
  run: async (values, [uuid = ''], session) => {
    const { connect, json, out } = session;
    const { getJobMetrics, getJobMetricsSummary, sampleJson, summaryJson } = await import(
      './metrics-wire.ts'
    );
    if (values.last === 0) {
      throw new JobletError(
        'invalid',
        '--last: at least one; without --last all of them are shown',
      );
    }
    const nowMs = Date.now();
    const sinceMs =
      values.since === undefined ? 0 : Date.parse(parsePast('--since', values.since, nowMs));
    const connection = await connect();
    if (values.summary || values.aggregate) {
      const deadlineMs = session.deadlineMs(DEADLINE_MS);
      const periodSeconds = sinceMs === 0 ? 0 : Math.max(1, seconds(nowMs - sinceMs));
      const summary = await connection.unary(
        getJobMetricsSummary,
        { uuid, periodSeconds },
        { deadlineMs },
      );
      await out.write(json ? jsonText(summaryJson(summary)) : summaryText(summary));
      return 0;
    }
    const stopped = new AbortController();
    process.once('SIGINT', () => stopped.abort());
    const samples = connection.serverStream(
      getJobMetrics,
      { jobUuid: uuid, limit: values.last ?? 0, startTime: BigInt(seconds(sinceMs)) },
      { signal: stopped.signal },
    );
    let count = 0;
    try {
      for await (const sample of samples) {
        count++;
        await out.write(json ? jsonText(sampleJson(sample)) : metricsText(sample));
      }
    } catch (error) {
      if (!stopped.signal.aborted) throw error;
      return INTERRUPTED_EXIT_CODE;
    }
    if (count > 0) return 0;
    throw new JobletError('not-found', `no metrics available for job ${uuid}`);
  },
});

const seconds = (ms: number) => Math.floor(ms / 1000);
