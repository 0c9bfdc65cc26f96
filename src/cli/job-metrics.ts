// rnx job metrics: what a job used and uses.

import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { metricsText } from './metrics-text.ts';
import { jsonText } from './print.ts';

export const jobMetrics = command({
  usage: 'rnx job metrics JOB',
  summary: 'Shows what a job uses: the samples so far, then new ones until it ends.',
  notes: ['JOB is an id or a beginning of one. Ctrl-C ends it; the job runs on.'],
  examples: ['rnx job metrics f47ac10b', 'rnx job metrics f47ac10b --json'],
  flags: {},
  words: [1, 1],
  missing: 'which job? Say its id: rnx job metrics JOB (rnx job list shows them)',
  run: async (_values, [uuid = ''], { connect, json, out }) => {
    const { getJobMetrics, sampleJson } = await import('./metrics-wire.ts');
    const connection = await connect();
    const stopped = new AbortController();
    process.once('SIGINT', () => stopped.abort());
    const samples = connection.serverStream(
      getJobMetrics,
      { jobUuid: uuid },
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
