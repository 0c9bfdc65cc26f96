// What it costs the daemon to look at 200 jobs that run: by itself, and while somebody watches the node.

import { generated } from '../../src/client/generated.ts';
import { JobService } from '../../src/gen/joblet/jobs_pb.ts';
import { MonitoringService } from '../../src/gen/joblet/monitoring_pb.ts';
import { type Daemon, startDaemon } from '../../test/harness.ts';
import { finish, start } from '../../test/job-calls.ts';
import { cpuUsec } from '../processes.ts';
import { spreadOf } from '../spread.ts';
import type { Row, Trial } from '../trial.ts';

const JOBS = 200;
/** As it is unless the operator says otherwise. */
const RATE_SECONDS = 5;
/** What a burst leaves is tidied up by then, and each job has had its first look. */
const LOOKS_BEFORE = 2;
/** So many that no single one of them counts much. */
const LOOKS = 4;
const WATCH_SECONDS = 2;

const streamJobMetrics = generated(JobService.method.streamJobMetrics);
const streamSystemMetrics = generated(MonitoringService.method.streamSystemMetrics);

/** What a cost is measured over. */
interface Window {
  readonly rateSeconds: number;
  /** Resolves when the daemon has gone through so many intervals between looks. */
  readonly pass: (daemon: Daemon, job: string, looks: number) => Promise<void>;
}

export const trial: Trial = {
  title: `${JOBS} jobs are looked at every ${RATE_SECONDS} seconds`,
  async body() {
    const never = await cost({ rateSeconds: 3600, pass: passJob });
    const sampled = await cost({ rateSeconds: RATE_SECONDS, pass: passSamples });
    const watched = await cost({ rateSeconds: RATE_SECONDS, pass: passWatched });
    const rows: Row[] = [
      row('the daemon, jobs not looked at', never),
      row('the daemon, jobs looked at', sampled),
      row('the same, with a watcher of jobs and processes every 2 seconds', watched),
    ];
    const percent = sampled - never;
    const lookUsec = ((percent / 100) * RATE_SECONDS * 1_000_000) / JOBS;
    return {
      rows,
      ratios: [
        { name: 'looking at all jobs, percent of a core', value: percent, promise: 'at most 2' },
        { name: 'looking at one job once, µs', value: lookUsec, promise: '' },
      ],
      notes: [
        `Processor time of the daemon, over ${LOOKS * RATE_SECONDS} seconds; jobs sleep, with two processes each.`,
      ],
    };
  },
};

function row(name: string, value: number): Row {
  return { name, unit: '% of a core', spread: spreadOf([value]) };
}

/** What a daemon with so many jobs uses meanwhile, in percent of a core. */
async function cost({ rateSeconds, pass }: Window): Promise<number> {
  const daemon = await startDaemon({
    // All of them at once, and one that measures the time.
    joblet: { maxConcurrentJobs: JOBS + 1 },
    job_metrics: { default_sample_rate: `${rateSeconds}s` },
    logging: { level: 'WARN' },
  });
  try {
    const api = daemon.as('admin');
    let last = '';
    for (let jobs = 0; jobs < JOBS; jobs += 1) {
      last = await start(api, { command: '/usr/bin/sleep', args: ['86400'] });
    }
    await pass(daemon, last, LOOKS_BEFORE);
    const began = performance.now();
    const before = cpuUsec(daemon.pid);
    await pass(daemon, last, LOOKS);
    return ((cpuUsec(daemon.pid) - before) / ((performance.now() - began) * 1000)) * 100;
  } finally {
    await daemon.stop();
  }
}

/** Where nothing happens by itself, a job that ends says how much time has passed. */
async function passJob(daemon: Daemon, _: string, looks: number): Promise<void> {
  const args = [String(looks * RATE_SECONDS)];
  await finish(daemon.as('admin'), { command: '/usr/bin/sleep', args });
}

async function passSamples(daemon: Daemon, uuid: string, looks: number): Promise<void> {
  // The first one is where the job stands now.
  let left = looks + 1;
  for await (const _ of daemon.as('admin').serverStream(streamJobMetrics, { jobUuid: uuid })) {
    left -= 1;
    if (left === 0) return;
  }
}

async function passWatched(daemon: Daemon, _: string, looks: number): Promise<void> {
  const request = { intervalSeconds: WATCH_SECONDS, metricTypes: ['job', 'process'] };
  let left = Math.ceil((looks * RATE_SECONDS) / WATCH_SECONDS);
  for await (const _ of daemon.as('admin').serverStream(streamSystemMetrics, request)) {
    left -= 1;
    if (left === 0) return;
  }
}
