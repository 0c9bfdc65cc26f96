import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { JobsSchema } from '../../gen/joblet/jobs_pb.ts';
import type { JobQuery, ListedJob } from '../jobs/job-lists.ts';

import { encodeJobs, takePage } from './job-pages.ts';
import { toJob } from './job-view.ts';

/** What a gRPC client takes unless it was told otherwise. */
const CLIENT_BYTES = 4 * 1024 * 1024;

function jobWith(number: number, args: readonly string[]): ListedJob {
  return {
    id: `f47ac10b-58cc-4372-a567-${String(number).padStart(12, '0')}`,
    spec: {
      name: 'a-name-of-the-longest-kind'.padEnd(63, 'x'),
      command: 'python3',
      args,
      limits: { cpuPercent: 100, memoryBytes: 2 ** 29, ioBps: 2 ** 30, cpuCores: '0-1' },
      environment: { STAGE: 'größe' },
      secretEnvironment: { TOKEN: 'hush' },
      runtime: '',
      startAtMs: 0,
      priority: -1,
    },
    status: 'FAILED',
    createdAtMs: number,
    queuedAtMs: number,
    startedAtMs: 1,
    endedAtMs: 2,
    outcome: { how: 'not-started', step: 'exec', object: args[0] ?? '', errno: 'ENOENT' },
    usage: undefined,
    logBytes: 0,
    logDroppedBytes: 0,
  } as unknown as ListedJob;
}

/** A table of jobs, newest first, that tells how many were read at once. */
function tableOf(table: readonly ListedJob[]) {
  const reads: number[] = [];
  const query = ({ limit, beforeMs = Number.POSITIVE_INFINITY }: JobQuery) => {
    const found = table.filter((job) => job.createdAtMs < beforeMs).slice(0, limit);
    reads.push(found.length);
    return found;
  };
  return { query, reads };
}

function answerBytes(jobs: readonly ListedJob[]): number {
  const answer = create(JobsSchema, { jobs: jobs.map((job) => toJob(job, 'n'.repeat(36))) });
  return toBinary(JobsSchema, answer).length;
}

test('S4-60 an answer fits into the message that every client takes, and says that there is more', () => {
  for (const args of [['x'.repeat(300_000)], Array.from({ length: 3000 }, () => 'ü'), []]) {
    const table = tableOf(Array.from({ length: 20_000 }, (_, at) => jobWith(20_000 - at, args)));
    const page = takePage(table, { limit: 20_000 });
    assert.equal(page.more, true);
    const bytes = answerBytes(page.jobs);
    assert.ok(bytes < CLIENT_BYTES && bytes > CLIENT_BYTES / 3, `${bytes} bytes`);
    assert.ok(Math.max(...table.reads) <= 100);
  }
});

test('pages follow each other without a gap or a repetition', () => {
  const all = Array.from({ length: 250 }, (_, at) => jobWith(250 - at, ['x'.repeat(40_000)]));
  const table = tableOf(all);
  const seen: ListedJob[] = [];
  for (let last: ListedJob | undefined; ; ) {
    const after = last === undefined ? {} : { beforeMs: last.createdAtMs, beforeId: last.id };
    const page = takePage(table, { limit: 120, ...after });
    assert.ok(page.jobs.length <= 120);
    seen.push(...page.jobs);
    last = page.jobs.at(-1);
    if (!page.more) break;
  }
  assert.deepEqual(seen, all);
});

const encode = (jobs: readonly ListedJob[]) =>
  toBinary(JobsSchema, create(JobsSchema, { jobs: jobs.map((job) => toJob(job, '')) }));

test('a long list is one message that holds the newest in their order, made piece by piece', async () => {
  const all = Array.from({ length: 1200 }, (_, at) => jobWith(1200 - at, ['x']));
  for (const limit of [1, 250, 251, 1000, 5000]) {
    const pieces: number[] = [];
    const { bytes } = await encodeJobs(tableOf(all), limit, (piece) => {
      pieces.push(piece.length);
      return encode(piece);
    });
    const listed = fromBinary(JobsSchema, bytes).jobs.map(({ uuid }) => uuid);
    assert.deepEqual(
      listed,
      all.slice(0, limit).map(({ id }) => id),
    );
    assert.ok(Math.max(...pieces) <= 250, `${pieces}`);
  }
});

test('S4-60 a long list fits into the message that every client takes', async () => {
  for (const args of [['x'.repeat(300_000)], ['x'.repeat(900)]]) {
    const all = Array.from({ length: 8000 }, (_, at) => jobWith(8000 - at, args));
    const { bytes } = await encodeJobs(tableOf(all), 10_000, encode);
    assert.ok(bytes.length < CLIENT_BYTES && bytes.length > CLIENT_BYTES / 3, `${bytes.length}`);
  }
});

test('other calls are served while a long list is made', async () => {
  const all = Array.from({ length: 1000 }, (_, at) => jobWith(1000 - at, ['x']));
  let turns = 0;
  const list = encodeJobs(tableOf(all), 1000, (piece) => {
    setImmediate(() => {
      turns += 1;
    });
    return encode(piece);
  });
  await list;
  assert.equal(turns, 3);
});

test('a job that is larger than an answer is shown all the same', () => {
  const page = takePage(tableOf([jobWith(1, ['x'.repeat(5_000_000)])]), { limit: 10 });
  assert.deepEqual([page.jobs.length, page.more], [1, false]);
});
