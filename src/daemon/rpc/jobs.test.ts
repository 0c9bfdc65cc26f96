// What handlers make of requests and jobs, over jobs that a test makes up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  GetJobLogsRequestSchema,
  GetJobStatusResponseSchema,
  QueryJobsRequestSchema,
  SendJobInputRequestSchema,
  StopJobRequestSchema,
  UploadFilesRequestSchema,
} from '../../gen/joblet/jobs_pb.ts';
import { JobletError } from '../../shared/errors.ts';
import type { Outcome } from '../../shared/job-state.ts';
import { type Job, plainSpec } from '../jobs/job.ts';
import type { LogQuery } from '../jobs/logs.ts';
import type { UploadPart } from '../jobs/uploads.ts';
import { type Call, Encoded } from './handlers.ts';
import { toJob, toLegacyJob, toLegacyStatus, toRunResponse, toStatus } from './job-view.ts';
import { formatPageToken, type JobParts, jobHandlers, parsePageToken } from './jobs.ts';

const id = '0f8fad5b-d9cb-469f-a165-70867728950e';
const MB = 1024 * 1024;

const job: Job = {
  id,
  spec: {
    ...plainSpec,
    name: 'nightly',
    command: 'make',
    args: ['-j', ''],
    limits: {
      cpuPercent: 150,
      memoryBytes: 512 * MB,
      ioBps: 2 ** 40,
      cpuCores: '0-1',
      processes: 64,
      workBytes: 0,
    },
    uploads: ['a/b'],
    uploadCount: 1,
    network: 'isolated',
    environment: { COLOUR: 'red' },
    secretEnvironment: { TOKEN: 'hush', EMPTY: '' },
    timeoutMs: 60_000,
    graceMs: 100,
    allow: ['ptrace'],
  },
  status: 'RUNNING',
  createdAtMs: Date.parse('2030-01-31T12:00:00.123Z'),
  queuedAtMs: Date.parse('2030-01-31T12:00:00.123Z'),
  startedAtMs: Date.parse('2030-01-31T12:00:00.125Z'),
  endedAtMs: 0,
  timeout: { ms: 60_000, atMs: Date.parse('2030-01-31T12:01:00.123Z') },
  stoppedBy: '',
  outcome: undefined,
  usage: undefined,
  logBytes: 0,
  logDroppedBytes: 0,
};

function ended(outcome: Outcome): Job {
  const endedAtMs = job.startedAtMs + 1000;
  return { ...job, status: 'FAILED', outcome, endedAtMs };
}

const call: Call = {
  identity: { name: 'ann', role: 'developer', certificate: '0A', peer: '127.0.0.1:1' },
  peer: '127.0.0.1:1',
  header: () => '',
  signal: new AbortController().signal,
};

function handlers(jobs: Partial<JobParts['jobs']>, more: Partial<JobParts> = {}) {
  const parts = {
    jobs: {
      get: () => job,
      limitsInForce: () => [],
      turnOf: () => undefined,
      gpusOf: () => [],
      ...jobs,
    },
    nodeId: 'n1',
    ...more,
  };
  return jobHandlers(parts as unknown as JobParts);
}

/** The handler of a method, called. */
async function* stream<S extends DescMessage>(schema: S, messages: MessageInitShape<S>[]) {
  for (const message of messages) yield create(schema, message);
}

test('S4-11, S4-58: a running job shows its limits, its times and its node', () => {
  const view = toStatus(job, 'n1', ['memory 512 MB (cgroup v1)']);
  assert.deepEqual(
    [view.status, view.startTime, view.endTime, view.createdTime, view.exitCode, view.nodeId],
    ['RUNNING', '2030-01-31T12:00:00.125Z', '', '2030-01-31T12:00:00.123Z', 0, 'n1'],
  );
  assert.deepEqual([view.maxCpu, view.maxMemory, view.cpuCores], [150, 512, '0-1']);
  assert.deepEqual(view.limitsInForce, ['memory 512 MB (cgroup v1)']);
  assert.match(view.networkNote ?? '', /out by NAT; reaches no other job/);
  // The field is 32 bits wide; a bigger limit is shown as the biggest number there is.
  assert.equal(view.maxIoBps, 2 ** 31 - 1);
  assert.equal(toLegacyStatus(job, 'n1', []).maxIoBps, 2n ** 40n);
});

test('an end is shown with reason, signal, numbers and a sentence', () => {
  const signaled = toJob(ended({ how: 'signaled', signal: 11 }), '');
  assert.deepEqual(
    [signaled.reason, signaled.signal, signaled.exitCode, signaled.endTime],
    ['SIGNALED', 11, -1, '2030-01-31T12:00:01.125Z'],
  );
  const killed = toStatus(ended({ how: 'out-of-memory', limitBytes: 512 * MB, kills: 3 }), '', []);
  assert.deepEqual([killed.reason, killed.oomKills], ['OOM_KILLED', 3]);
  assert.match(killed.message ?? '', /512 MB.*--max-memory/);
  const late = toRunResponse(ended({ how: 'timed-out', timeoutMs: 60_000 }), '');
  assert.deepEqual([late.reason, late.exitCode], ['TIMEOUT', 124]);
});

test('secrets are masked in every shape of a job', () => {
  const views = [
    toJob(job, ''),
    toStatus(job, '', []),
    toRunResponse(job, ''),
    toLegacyJob(job, ''),
    toLegacyStatus(job, '', []),
  ];
  for (const view of views) {
    const text = JSON.stringify(view, (_, value) => (typeof value === 'bigint' ? '' : value));
    assert.doesNotMatch(text, /hush/);
  }
  const { secretEnvironment, environment } = toStatus(job, '', []);
  assert.deepEqual(secretEnvironment, { TOKEN: '***', EMPTY: '***' });
  assert.deepEqual(environment, { COLOUR: 'red' });
});

test('a view is a message: every field of it exists', () => {
  const whole = create(GetJobStatusResponseSchema, toStatus(job, 'n1', []));
  assert.equal(whole.uuid, id);
});

test('a query is checked whole, and its pages follow each other', async () => {
  const all = [3, 2, 1].map((n) => ({ ...job, id: id.replace('0f', `0${n}`), createdAtMs: n }));
  const { queryJobs } = handlers({
    query: ({ limit, beforeMs = Number.POSITIVE_INFINITY }) =>
      all.filter(({ createdAtMs }) => createdAtMs < beforeMs).slice(0, limit),
  });
  const ask = async (pageToken: string) => {
    const page = await queryJobs?.(create(QueryJobsRequestSchema, { limit: 2, pageToken }), call);
    assert.ok(page !== undefined && !(page instanceof Encoded));
    return page;
  };
  const first = await ask('');
  assert.equal(first.jobs?.length, 2);
  const second = await ask(first.nextPageToken ?? '');
  assert.deepEqual([second.jobs?.length, second.nextPageToken], [1, '']);
  const wrong = { statuses: ['DONE'], limit: 5000, pageToken: 'x' };
  await assert.rejects(
    async () => queryJobs?.(create(QueryJobsRequestSchema, wrong), call),
    /statuses: "DONE".*limit: .*page_token: /,
  );
});

test('a page token is read back as it was written, and nothing else is one', () => {
  fc.assert(
    fc.property(fc.nat({ max: 10 ** 14 }), fc.uuid(), (createdAtMs, uuid) => {
      const token = formatPageToken({ createdAtMs, id: uuid });
      assert.deepEqual(parsePageToken(token), { beforeMs: createdAtMs, beforeId: uuid });
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => assert.equal(parsePageToken(text), undefined)));
});

test('a stop without a grace takes that of the job, and force needs none', async () => {
  const asked: unknown[] = [];
  const { stopJob } = handlers({
    stop: async (_id, options) => {
      asked.push(options);
      return job;
    },
  });
  for (const wish of [{}, { graceMs: 250n }, { force: true }]) {
    await stopJob?.(create(StopJobRequestSchema, { uuid: id, ...wish }), call);
  }
  assert.deepEqual(asked, [{ force: false }, { force: false, graceMs: 250 }, { force: true }]);
  const negative = create(StopJobRequestSchema, { uuid: id, graceMs: -1n });
  await assert.rejects(async () => stopJob?.(negative, call), /grace_ms/);
});

test('what part of a log is wanted is checked before anything is read', async () => {
  const asked: LogQuery[] = [];
  const logs = {
    read: async function* (_job: unknown, query: LogQuery) {
      asked.push(query);
      yield* [];
    },
  };
  const { getJobLogs } = handlers({ wait: async () => job }, { logs });
  const ask = async (wish: MessageInitShape<typeof GetJobLogsRequestSchema>) => {
    const request = create(GetJobLogsRequestSchema, { uuid: id, ...wish });
    for await (const _ of getJobLogs?.(request, call) ?? []) assert.fail('there is nothing');
  };
  await ask({});
  await ask({ position: 5n, noFollow: true, streams: ['stderr'] });
  assert.deepEqual(
    asked.map(({ position, follow, streams }) => [position, follow, [...streams]]),
    [
      [0, true, []],
      [5, false, ['stderr']],
    ],
  );
  await assert.rejects(ask({ streams: ['stdin'] }), /streams: there is stdout and stderr/);
  await assert.rejects(ask({ position: 2n ** 60n }), /position/);
  await assert.rejects(ask({ tailLines: 2_000_000 }), /tail_lines/);
  await assert.rejects(ask({ tailLines: 1, position: 1n }), /tail_lines/);
});

test('a followed log ends when the end of the job has been recorded, or the job is deleted', async () => {
  const logs = {
    read: async function* () {
      yield* [];
    },
  };
  const recorded = Promise.withResolvers<Job>();
  const follow = (wait: () => Promise<Job>) => {
    const { getJobLogs } = handlers({ wait }, { logs });
    const request = create(GetJobLogsRequestSchema, { uuid: id });
    return getJobLogs?.(request, call)[Symbol.asyncIterator]().next();
  };
  const following = follow(() => recorded.promise);
  recorded.resolve(ended({ how: 'exited', code: 1 }));
  assert.equal((await following)?.done, true);
  const deleted = follow(async () => {
    throw new JobletError('not-found', 'job not found');
  });
  assert.equal((await deleted)?.done, true);
  const stopping = new JobletError('unavailable', 'the daemon is stopping');
  await assert.rejects(async () => follow(() => Promise.reject(stopping)), /stopping/);
});

test('input goes to the job that the first message names, piece by piece', async () => {
  const written: string[] = [];
  const { sendJobInput } = handlers({
    input: async (uuid) => ({
      write: async (data) => void written.push(`${uuid} ${Buffer.from(data)}`),
      end: async () => void written.push('end'),
    }),
  });
  const send = (messages: MessageInitShape<typeof SendJobInputRequestSchema>[]) =>
    sendJobInput?.(stream(SendJobInputRequestSchema, messages), call);
  const data = (text: string) => Buffer.from(text);
  const answer = await send([
    { uuid: 'a', data: data('one') },
    { data: data('two') },
    { end: true },
  ]);
  assert.equal(answer?.acceptedBytes, 6n);
  assert.deepEqual(written, ['a one', 'a two', 'end']);
  await assert.rejects(async () => send([{ uuid: 'a' }, { uuid: 'b' }]), /cannot change/);
  await assert.rejects(async () => send([]), /name the job/);
});

test('an upload is passed on part by part', async () => {
  const got: UploadPart[] = [];
  const uploads = {
    receive: async (parts: AsyncIterable<UploadPart>) => {
      for await (const part of parts) got.push(part);
      return { id: 'u', files: 1, bytes: 3 };
    },
  };
  const { uploadFiles } = handlers({}, { uploads });
  const data = Buffer.from('abc');
  const answer = await uploadFiles?.(
    stream(UploadFilesRequestSchema, [
      { part: { case: 'header', value: { path: 'f', mode: 0o755, size: 3n } } },
      { part: { case: 'data', value: data } },
    ]),
    call,
  );
  assert.deepEqual([answer?.uploadId, answer?.files, answer?.bytes], ['u', 1, 3n]);
  const header = { path: 'f', mode: 0o755, isDirectory: false, size: 3 };
  assert.deepEqual(got, [{ header }, { data }]);
  await assert.rejects(
    async () => uploadFiles?.(stream(UploadFilesRequestSchema, [{}]), call),
    /part: is missing/,
  );
});
