// S4-6, S4-19 to S4-22: the first API, as its clients call it, on a real daemon.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import type { DataChunk } from '../src/gen/joblet/common_pb.ts';
import { JobletService } from '../src/gen/joblet/legacy_pb.ts';
import { callUnary, outcomeOf, wire } from './grpc-fixture.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const skip = cannotRun();

let daemon: Daemon;
let client: Client;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  const { host, port, ca, key, cert } = daemon.node('admin');
  const secure = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert));
  client = new Client(`${host}:${port}`, secure);
});

after(async () => {
  client?.close();
  await daemon?.stop();
});

/** The whole output of a job: the stream ends with it. */
async function logOf(id: string): Promise<string> {
  const { path, write, read } = wire(JobletService, 'getJobLogs');
  const pieces: Uint8Array[] = [];
  for await (const chunk of client.makeServerStreamRequest(path, write, read, { id })) {
    pieces.push((chunk as DataChunk).payload);
  }
  return Buffer.concat(pieces).toString();
}

test('a job is run, watched and listed by the first API', { skip }, async () => {
  const request = {
    command: 'sh',
    args: ['-c', 'echo out; echo err >&2'],
    maxCpu: 50,
    maxMemory: 64,
  };
  const run = await callUnary(client, JobletService, 'runJob', request);
  assert.deepEqual([run.command, run.args], [request.command, request.args]);
  assert.deepEqual([run.maxCpu, run.maxMemory], [50, 64]);
  assert.notEqual(run.startTime, '');
  assert.equal(await logOf(run.id), 'out\nerr\n');
  const status = await callUnary(client, JobletService, 'getJobStatus', { id: run.id });
  assert.deepEqual(
    [status.uuid, status.status, status.exitCode, status.nodeId],
    [run.id, 'COMPLETED', 0, 'test-node'],
  );
  const { jobs } = await callUnary(client, JobletService, 'listJobs', {});
  assert.ok(jobs.some((job) => job.id === run.id && job.status === 'COMPLETED'));
});

test('a running job is stopped by the first API', { skip }, async () => {
  const run = await callUnary(client, JobletService, 'runJob', { command: 'sleep', args: ['600'] });
  assert.equal(run.status, 'RUNNING');
  const stopped = await callUnary(client, JobletService, 'stopJob', { id: run.id.slice(0, 8) });
  assert.deepEqual([stopped.id, stopped.status, stopped.exitCode], [run.id, 'STOPPED', -1]);
  assert.notEqual(stopped.endTime, '');
});

test('S4-25, S4-30, S4-31: failures have the codes and the words that its clients know', {
  skip,
}, async () => {
  const unknown = '00000000-0000-4000-8000-000000000000';
  assert.equal(
    await outcomeOf(callUnary(client, JobletService, 'getJobStatus', { id: unknown })),
    `NOT_FOUND job not found: ${unknown}`,
  );
  assert.match(
    await outcomeOf(callUnary(client, JobletService, 'runJob', { command: '' })),
    /^INVALID_ARGUMENT command: /,
  );
  const { id } = await callUnary(client, JobletService, 'runJob', { command: 'true' });
  await logOf(id);
  assert.equal(
    await outcomeOf(callUnary(client, JobletService, 'stopJob', { id })),
    `FAILED_PRECONDITION job is not running: ${id} (current status: COMPLETED)`,
  );
});
