// The other requests about jobs, over a service that only notes what it is asked: each is refused as
// invalid, or becomes a question within its bounds.

import assert from 'node:assert/strict';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { AuditFilter } from '../../../src/daemon/audit/table.ts';
import type { Job } from '../../../src/daemon/jobs/job.ts';
import type { JobQuery } from '../../../src/daemon/jobs/job-lists.ts';
import type { LogQuery } from '../../../src/daemon/jobs/logs.ts';
import type { UploadPart } from '../../../src/daemon/jobs/uploads.ts';
import { auditHandlers } from '../../../src/daemon/rpc/audit.ts';
import type { Call } from '../../../src/daemon/rpc/handlers.ts';
import {
  formatPageToken,
  type JobParts,
  jobHandlers,
  parsePageToken,
} from '../../../src/daemon/rpc/jobs.ts';
import {
  FollowAuditRequestSchema,
  QueryAuditRequestSchema,
  VerifyAuditRequestSchema,
} from '../../../src/gen/joblet/audit_pb.ts';
import {
  GetJobLogsRequestSchema,
  QueryJobsRequestSchema,
  SendJobInputRequestSchema,
  StopJobRequestSchema,
  UploadFilesRequestSchema,
} from '../../../src/gen/joblet/jobs_pb.ts';
import { JobletError } from '../../../src/shared/errors.ts';
import { collect, orRefusedLater, streamOf, target } from '../target.ts';

const id = '0f8fad5b-d9cb-469f-a165-70867728950e';
const call: Call = {
  identity: { name: 'ann', role: 'developer', certificate: '0A', peer: '127.0.0.1:1' },
  peer: '127.0.0.1:1',
  header: () => '',
  signal: new AbortController().signal,
};

const jobs = {
  get: () => ({ id }) as Job,
  wait: async () => ({ id }) as Job,
  query({ limit, statuses, beforeMs, beforeId }: JobQuery) {
    assert.ok(Number.isInteger(limit) && limit >= 1 && limit <= 1001);
    assert.ok((beforeMs === undefined) === (beforeId === undefined));
    assert.ok(statuses === undefined || statuses.every((word) => /^[A-Z]+$/.test(word)));
    return [];
  },
  async stop(_uuid: string, { graceMs = 0 }: { graceMs?: number }) {
    assert.ok(Number.isInteger(graceMs) && graceMs >= 0 && graceMs <= 3_600_000);
    throw new JobletError('not-found', 'none');
  },
  async input() {
    return { write: async () => {}, end: async () => {} };
  },
};

const parts = {
  jobs,
  nodeId: 'n',
  logs: {
    async *read(_job: unknown, { position, tailLines }: LogQuery) {
      assert.ok(Number.isSafeInteger(position) && position >= 0);
      assert.ok(Number.isInteger(tailLines) && tailLines >= 0 && tailLines <= 1_000_000);
      yield* [];
    },
  },
  uploads: {
    async receive(stream: AsyncIterable<UploadPart>) {
      for await (const part of stream) assert.ok((part.header ?? part.data) !== undefined);
      return { id, files: 0, bytes: 0 };
    },
  },
} as unknown as JobParts;

const handlers = jobHandlers(parts);

const audit = auditHandlers({
  async query({ actions }: AuditFilter, after: number, limit: number) {
    assert.ok(Number.isSafeInteger(after) && limit >= 1 && limit <= 1001);
    assert.ok(actions === undefined || actions.every((word) => /^[a-z.]+$/.test(word)));
    return { records: [], head: 0 };
  },
  async *read(_filter: AuditFilter, after: number) {
    assert.ok(Number.isSafeInteger(after) && after >= 0);
    yield* [];
  },
  async verify() {
    throw new JobletError('not-found', 'none');
  },
} as unknown as Parameters<typeof auditHandlers>[0]);

/** A reader of one kind of request: what it is made of, and who answers it. */
interface Reader {
  readonly schema: DescMessage;
  readonly ask: (message: never) => Promise<unknown>;
}

const readers: readonly Reader[] = [
  { schema: QueryJobsRequestSchema, ask: async (message) => handlers.queryJobs?.(message, call) },
  {
    schema: GetJobLogsRequestSchema,
    ask: (message) => collect(handlers.getJobLogs?.(message, call) ?? streamOf([])),
  },
  { schema: StopJobRequestSchema, ask: async (message) => handlers.stopJob?.(message, call) },
  {
    schema: UploadFilesRequestSchema,
    ask: async (message) => handlers.uploadFiles?.(streamOf([message, message]), call),
  },
  {
    schema: SendJobInputRequestSchema,
    ask: async (message) => handlers.sendJobInput?.(streamOf([message, message]), call),
  },
  { schema: QueryAuditRequestSchema, ask: async (message) => audit.queryAudit?.(message, call) },
  {
    schema: FollowAuditRequestSchema,
    ask: (message) => collect(audit.followAudit?.(message, call) ?? streamOf([])),
  },
  { schema: VerifyAuditRequestSchema, ask: async (message) => audit.verifyAudit?.(message, call) },
];

function seed<S extends DescMessage>(at: number, schema: S, wish: MessageInitShape<S>): Buffer {
  return Buffer.concat([Buffer.from([at]), toBinary(schema, create(schema, wish))]);
}

const token = formatPageToken({ createdAtMs: 1_900_000_000_000, id });

export default target({
  seeds: [
    seed(0, QueryJobsRequestSchema, { statuses: ['RUNNING', 'x'], limit: 5, pageToken: token }),
    seed(0, QueryJobsRequestSchema, { limit: -1, name: 'n', pageToken: 'x' }),
    seed(1, GetJobLogsRequestSchema, {
      uuid: id,
      position: 5n,
      noFollow: true,
      streams: ['stderr'],
    }),
    seed(1, GetJobLogsRequestSchema, { uuid: id, tailLines: 3 }),
    seed(2, StopJobRequestSchema, { uuid: id, graceMs: 5n, force: true }),
    seed(3, UploadFilesRequestSchema, {
      part: { case: 'header', value: { path: 'a', size: 5n, mode: 0o644 } },
    }),
    seed(3, UploadFilesRequestSchema, { part: { case: 'data', value: Buffer.from('x') } }),
    seed(5, QueryAuditRequestSchema, {
      filter: { since: '2030-01-31T12:00:00Z', actions: ['job.created'], who: 'ann' },
      pageToken: '12',
      limit: 5,
    }),
    seed(6, FollowAuditRequestSchema, {
      filter: { jobUuid: id },
      after: 2n ** 60n,
      noFollow: true,
    }),
    seed(7, VerifyAuditRequestSchema, { expect: `1:${'0'.repeat(64)}` }),
    seed(4, SendJobInputRequestSchema, { uuid: id, data: Buffer.from('x'), end: true }),
  ],
  words: [token, id, 'COMPLETED', 'stdout', 'stderr', 'gap', '.'],
  async run(input) {
    const { schema, ask } = readers[(input[0] ?? 0) % readers.length] as Reader;
    let message: unknown;
    try {
      message = fromBinary(schema, input.subarray(1), { readUnknownFields: false });
    } catch {
      return;
    }
    await orRefusedLater(() => ask(message as never), 'invalid', 'not-found');
    const text = input.subarray(1).toString();
    const page = parsePageToken(text);
    if (page === undefined) return;
    const { beforeMs: createdAtMs, beforeId } = page;
    assert.deepEqual(parsePageToken(formatPageToken({ createdAtMs, id: beforeId })), page);
  },
});
