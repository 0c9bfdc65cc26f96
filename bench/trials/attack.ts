// How fast the daemon answers while a job or a client does its worst: the time of one call, of those
// that people wait for, quiet and during each attack.

import { readFileSync } from 'node:fs';
import { type Connection, connect } from '../../src/client/connection.ts';
import {
  getJobLogs,
  getJobStatus,
  getServerVersion,
  queryJobs,
  runJob,
  stopJob,
} from '../../src/client/methods.ts';
import { attacks } from '../../test/attacks.ts';
import { startDaemon } from '../../test/harness.ts';
import { shell, start } from '../../test/job-calls.ts';
import { spreadOf } from '../spread.ts';
import type { Row, Trial } from '../trial.ts';

const QUIET = 'an answer, quiet';
const STALLED_READERS = 50;

export const trial: Trial = {
  title: 'answers of the daemon while it is attacked',
  async body({ rounds }) {
    const daemon = await startDaemon({ logging: { level: 'WARN' } });
    const api = daemon.as('admin');
    const rows: Row[] = [];
    const measure = async (name: string, uuid: string) => {
      rows.push({ name, unit: 'ms', spread: spreadOf(await answers(api, uuid, rounds)) });
    };
    try {
      const idle = await start(api, { command: '/usr/bin/sleep', args: ['600'] });
      // Code that has run for a while is compiled.
      await answers(api, idle, rounds);
      const beforeMb = residentMb(daemon.pid);
      await measure(QUIET, idle);
      for (const { name, request } of attacks) {
        const uuid = await start(api, request);
        await untilHeld(api, uuid);
        await measure(`during: ${name}`, uuid);
        // One that was killed has ended already.
        await api.unary(stopJob, { uuid, force: true }).catch(() => {});
      }
      const endless = await start(api, shell('exec tr "\\0" x < /dev/zero'));
      const hostile = Array.from({ length: STALLED_READERS }, () => connect(daemon.node('viewer')));
      const readers = hostile.map((one) =>
        one.serverStream(getJobLogs, { uuid: endless })[Symbol.asyncIterator](),
      );
      await Promise.all(readers.map((reader) => reader.next()));
      await measure(`during: ${STALLED_READERS} readers that read no more`, endless);
      for (const one of hostile) one.close();
      await api.unary(stopJob, { uuid: endless, force: true });
      const afterMb = residentMb(daemon.pid);
      return {
        rows,
        ratios: [],
        notes: [
          'Promised: the p99 of every row at most 200 ms.',
          `The daemon held ${beforeMb} MB before, and ${afterMb} MB after all of it.`,
        ],
      };
    } finally {
      await daemon.stop();
    }
  },
};

/** How long so many calls took, each in milliseconds. */
async function answers(api: Connection, uuid: string, rounds: number): Promise<number[]> {
  const calls = [
    () => api.unary(getServerVersion, {}),
    () => api.unary(getJobStatus, { uuid }),
    () => api.unary(queryJobs, { limit: 10 }),
    () => api.unary(runJob, { command: '/bin/true' }),
  ];
  const samples: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const call of calls) {
      const askedAt = performance.now();
      await call();
      samples.push(performance.now() - askedAt);
    }
  }
  return samples;
}

/** Resolves when the attack is at its height, or over. */
async function untilHeld(api: Connection, uuid: string): Promise<void> {
  for await (const { payload } of api.serverStream(getJobLogs, { uuid })) {
    if (Buffer.from(payload).includes('held')) return;
  }
}

function residentMb(pid: number): number {
  const [, kB] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kB) / 1024);
}
