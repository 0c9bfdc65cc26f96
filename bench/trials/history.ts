// What a long history costs: lists, the start of the daemon, its memory, while 20,000 jobs that have
// ended stand in its state with their logs.

import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Connection } from '../../src/client/connection.ts';
import { getServerVersion, type Method, queryJobs } from '../../src/client/methods.ts';
import { Db } from '../../src/daemon/store/db.ts';
import { quietBytes, residentBytes } from '../../test/daemon-memory.ts';
import { type Daemon, startDaemon } from '../../test/harness.ts';
import { finish, shell } from '../../test/job-calls.ts';
import { spreadOf } from '../spread.ts';
import type { Row, Trial } from '../trial.ts';

const JOBS = 20_000;
const STARTS = 5;
const MB = 1024 * 1024;

/** All that one answer holds, unread: what is measured is the daemon. */
const listJobs: Method<object, number> = {
  path: '/joblet.JobService/ListJobs',
  encode: () => new Uint8Array(0),
  decode: (bytes) => bytes.length,
};

export const trial: Trial = {
  title: `${JOBS} jobs that have ended, in the store`,
  async body({ rounds }) {
    const daemon = await startDaemon();
    try {
      const emptyMs = await starts(daemon);
      const { job } = await finish(daemon.as('admin'), shell('echo a job like any other'));
      await daemon.end();
      fill(daemon.directory, job.uuid);
      const startMs = await starts(daemon);

      const api = daemon.as('admin');
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        'a page of 100 jobs': () => api.unary(queryJobs, { limit: 100 }),
        'a page of 1000 jobs': () => api.unary(queryJobs, { limit: 1000 }),
        'ListJobs, the newest 10,000': () => api.unary(listJobs, {}),
        'a small call while such a list is made': () => besideList(api),
      };
      const before = await quietBytes(daemon);
      const samples = new Map(Object.keys(calls).map((name) => [name, [] as number[]]));
      for (let round = 0; round < rounds; round += 1) {
        for (const [name, call] of Object.entries(calls)) {
          samples.get(name)?.push(await timed(call));
        }
      }
      const atOnce = residentBytes(daemon) - before;
      const later = (await quietBytes(daemon)) - before;
      const rows: Row[] = [
        row('start of the daemon, empty', 'ms', emptyMs),
        row('start of the daemon, full', 'ms', startMs),
        ...[...samples].map(([name, values]) => row(name, 'ms', values)),
        row('growth of the daemon by these calls', 'MB', [atOnce / MB]),
        row('the same when it is quiet again', 'MB', [later / MB]),
      ];
      const worst = Math.max(...rows.slice(2, -2).map(({ spread }) => spread.p99));
      return {
        rows,
        ratios: [
          { name: 'the slowest list, p99 ms', value: worst, promise: 'at most 200' },
          { name: 'start, longest ms', value: Math.max(...startMs), promise: 'at most 3000' },
          { name: 'growth when quiet again, MB', value: later / MB, promise: 'at most 32' },
        ],
        notes: ['The jobs are copies of one that did run, each with its own row and its own log.'],
      };
    } finally {
      await daemon.stop();
    }
  },
};

function row(name: string, unit: string, values: readonly number[]): Row {
  return { name, unit, spread: spreadOf(values) };
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await call();
  return performance.now() - began;
}

/** Times from the start of the process to its first answer. */
async function starts(daemon: Daemon): Promise<number[]> {
  const samples: number[] = [];
  while (samples.length < STARTS) {
    await daemon.end();
    samples.push(await timed(() => daemon.restart()));
  }
  return samples;
}

/** How long a call takes that arrives while the longest of lists is being made. */
async function besideList(api: Connection): Promise<void> {
  const list = api.unary(listJobs, {});
  await api.unary(getServerVersion, {});
  void list.catch(() => {});
}

/** Copies a job that has ended, with its log, until there are enough. */
function fill(directory: string, uuid: string): void {
  const db = new Db(path.join(directory, 'state'));
  const columns = db
    .prepare("SELECT name FROM pragma_table_info('jobs') WHERE name <> 'id'")
    .all()
    .map(({ name }) => String(name))
    .join(', ');
  const copy = db.prepare(
    `INSERT INTO jobs (id, ${columns}) SELECT ?, ${columns} FROM jobs WHERE id = ?`,
  );
  const logs = path.join(directory, 'logs');
  mkdirSync(logs, { recursive: true });
  void db.write(() => {
    for (let number = 1; number < JOBS; number += 1) {
      const id = randomUUID();
      copy.run(id, uuid);
      cpSync(path.join(logs, uuid), path.join(logs, id), { recursive: true });
    }
  });
  db.close();
}
