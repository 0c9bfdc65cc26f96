// What it costs the daemon to look at 200 jobs that run: by itself, and while somebody watches the node.

import { generated } from '../../src/client/generated.ts';
import { MonitoringService } from '../../src/gen/joblet/monitoring_pb.ts';
import { type Daemon, startDaemon } from '../../test/harness.ts';
import { start } from '../../test/job-calls.ts';
import { cpuUsec } from '../processes.ts';
import { spreadOf } from '../spread.ts';
import type { Row, Trial } from '../trial.ts';

const JOBS = 200;
/** As it is unless the operator says otherwise. */
const RATE_SECONDS = 5;
/** Four looks, so that no single one of them counts much. */
const WINDOW_MS = 4 * RATE_SECONDS * 1000;

const streamSystemMetrics = generated(MonitoringService.method.streamSystemMetrics);

export const trial: Trial = {
  title: `${JOBS} jobs are looked at every ${RATE_SECONDS} seconds`,
  async body() {
    const never = await cost('1h', passWindow);
    const sampled = await cost(`${RATE_SECONDS}s`, passWindow);
    const watched = await cost(`${RATE_SECONDS}s`, watchWindow);
    const rows: Row[] = [
      row('the daemon, jobs not looked at', never),
      row('the daemon, jobs looked at', sampled),
      row('the same, with a watcher of jobs and processes every 2 seconds', watched),
    ];
    const percent = sampled - never;
    const looks = (WINDOW_MS / 1000 / RATE_SECONDS) * JOBS;
    const lookUsec = ((percent / 100) * WINDOW_MS * 1000) / looks;
    return {
      rows,
      ratios: [
        { name: 'looking at all jobs, percent of a core', value: percent, promise: 'at most 2' },
        { name: 'looking at one job once, µs', value: lookUsec, promise: '' },
      ],
      notes: [
        'Processor time of the main thread of the daemon, over 20 seconds; jobs sleep, with two processes each.',
      ],
    };
  },
};

function row(name: string, value: number): Row {
  return { name, unit: '% of a core', spread: spreadOf([value]) };
}

/** What a daemon with so many jobs uses while `window` passes, in percent of a core. */
async function cost(rate: string, window: (daemon: Daemon) => Promise<void>): Promise<number> {
  const daemon = await startDaemon({
    job_metrics: { default_sample_rate: rate },
    logging: { level: 'WARN' },
  });
  try {
    const api = daemon.as('admin');
    for (let jobs = 0; jobs < JOBS; jobs += 1) {
      await start(api, { command: '/usr/bin/sleep', args: ['86400'] });
    }
    // What a burst leaves is tidied up, and each job has had its first look.
    await pass(2 * RATE_SECONDS * 1000);
    const began = performance.now();
    const before = cpuUsec(daemon.pid);
    await window(daemon);
    return ((cpuUsec(daemon.pid) - before) / ((performance.now() - began) * 1000)) * 100;
  } finally {
    await daemon.stop();
  }
}

function passWindow(): Promise<void> {
  return pass(WINDOW_MS);
}

async function watchWindow(daemon: Daemon): Promise<void> {
  const request = { intervalSeconds: 2, metricTypes: ['job', 'process'] };
  const stopped = new AbortController();
  const { signal } = stopped;
  const looks = daemon.as('admin').serverStream(streamSystemMetrics, request, { signal });
  const endMs = performance.now() + WINDOW_MS;
  for await (const _ of looks) if (performance.now() >= endMs) break;
  stopped.abort();
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
