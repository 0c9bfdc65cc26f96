// The stored output and samples of jobs, by the service that clients of the first generation ask.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generated } from '../src/client/generated.ts';
import { PersistService, StreamType } from '../src/gen/joblet/persist/persist_pb.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish, shell, statusOf } from './job-calls.ts';

const skip = cannotRun();
const ping = generated(PersistService.method.ping);
const queryLogs = generated(PersistService.method.queryLogs);
const queryMetrics = generated(PersistService.method.queryMetrics);
const deleteJob = generated(PersistService.method.deleteJob);

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of stream) found.push(one);
  return found;
}

test('stored lines come one by one, by stream, with their place, time and exact bytes (S3-1, S3-5)', {
  skip,
}, async () => {
  const script = 'for i in 1 2 3; do echo out $i; done; echo err >&2; printf end';
  const { job } = await finish(daemon.as('admin'), shell(script));
  const viewer = daemon.as('viewer');
  const text = async (more: { stream?: StreamType; limit?: number; offset?: number }) => {
    const lines = await all(viewer.serverStream(queryLogs, { jobId: job.uuid, ...more }));
    return lines.map(({ content }) => Buffer.from(content).toString());
  };
  assert.deepEqual((await text({ stream: StreamType.STDERR })).join(), 'err\n');
  const out = await text({ stream: StreamType.STDOUT });
  assert.deepEqual(out, ['out 1\n', 'out 2\n', 'out 3\n', 'end']);
  assert.deepEqual(await text({ stream: StreamType.STDOUT, offset: 1, limit: 2 }), out.slice(1, 3));
  const lines = await all(viewer.serverStream(queryLogs, { jobId: job.uuid }));
  assert.deepEqual(
    lines.map(({ sequence }) => sequence),
    [0n, 1n, 2n, 3n, 4n],
  );
  const [first] = lines;
  assert.equal(first?.jobId, job.uuid);
  const later = { jobId: job.uuid, startTime: (first?.timestamp ?? 0n) + 3_600_000_000_000n };
  assert.deepEqual(await all(viewer.serverStream(queryLogs, later)), []);
});

test('stored samples are there for every job, and go with it; only an admin deletes', {
  skip,
}, async () => {
  assert.equal((await daemon.as('viewer').unary(ping, {})).healthy, true);
  const { job } = await finish(daemon.as('admin'), shell('true'));
  const jobId = job.uuid;
  const samples = await all(daemon.as('viewer').serverStream(queryMetrics, { jobId }));
  assert.equal(samples.length, 2);
  assert.ok((samples[1]?.data?.cpuUsage ?? 0) > 0);
  const neither = daemon.as('viewer').serverStream(queryLogs, { jobId, stream: 9 as never });
  await assert.rejects(all(neither), /stream: is 1 for stdout/);
  await assert.rejects(daemon.as('viewer').unary(deleteJob, { jobId }), /not allowed/);
  assert.equal((await daemon.as('admin').unary(deleteJob, { jobId })).success, true);
  await assert.rejects(statusOf(daemon.as('admin'), jobId), /not found/);
  const wrong = daemon.as('viewer').serverStream(queryLogs, { jobId, limit: -1 });
  await assert.rejects(all(wrong), /limit: is at least 0/);
});
