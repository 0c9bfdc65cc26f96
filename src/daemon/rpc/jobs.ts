// JobService: translates between messages and the jobs of this node, and decides nothing else.

import { create, toBinary } from '@bufbuild/protobuf';
import {
  type ExtendJobRequest,
  type GetJobLogsRequest,
  type JobService,
  JobsSchema,
  type QueryJobsRequest,
  type SendJobInputRequest,
  type UploadFilesRequest,
} from '../../gen/joblet/jobs_pb.ts';
import { type Egress, OPEN } from '../../shared/egress.ts';
import { invalid, JobletError, type Problem } from '../../shared/errors.ts';
import { type JobStatus, jobStatuses } from '../../shared/job-state.ts';
import type { StreamName } from '../../shared/log-record.ts';
import { formatDuration } from '../../shared/units.ts';
import type { Gpus } from '../gpus/gpus.ts';
import type { Job, JobSpec } from '../jobs/job.ts';
import type { JobQuery } from '../jobs/job-lists.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { LogSearch } from '../jobs/line-finder.ts';
import { MAX_CONTEXT_LINES, parsePattern, searchLines } from '../jobs/log-search.ts';
import type { LogQuery, Logs } from '../jobs/logs.ts';
import type { Held, Postures } from '../jobs/postures.ts';
import type { UploadPart, Uploads } from '../jobs/uploads.ts';
import { HOST_NETWORK } from '../networks/network.ts';
import type { Networks } from '../networks/networks.ts';
import { changed, readRules, toEgress } from './egress.ts';
import { readFlows } from './flows.ts';
import type { Call, Handlers } from './handlers.ts';
import { encodeJobs, takePage } from './job-pages.ts';
import { inRuntime, type JobRuntimeParts } from './job-runtime.ts';
import { type Host, type JobPolicy, type JobRequest, toJobSpec } from './job-spec.ts';
import { indicesOf, toJob, toRunResponse, toStatus, toStopResponse } from './job-view.ts';
import { type Chunk, eachEntry, encodeChunks, joinEntries } from './log-chunks.ts';
import { followMetrics, type MetricsParts, readMetrics, summarize } from './metrics.ts';
import { toPosture } from './posture-view.ts';
import { digestsOf } from './request-digests.ts';
import { demand, type Rule } from './roles.ts';

export interface JobParts {
  readonly jobs: Pick<
    Jobs,
    | 'run'
    | 'runOnce'
    | 'get'
    | 'query'
    | 'stop'
    | 'cancel'
    | 'extend'
    | 'delete'
    | 'deleteAll'
    | 'wait'
    | 'input'
    | 'limitsInForce'
    | 'turnOf'
    | 'gpusOf'
  >;
  readonly logs: Pick<Logs, 'read'>;
  readonly uploads: Pick<Uploads, 'receive'>;
  readonly postures: Pick<Postures, 'of'> & MetricsParts['postures'];
  readonly samples: MetricsParts['samples'];
  readonly layoutKind: MetricsParts['layoutKind'];
  readonly sampleIntervalMs: number;
  readonly runtimes: JobRuntimeParts['runtimes'];
  readonly volumes: JobRuntimeParts['volumes'];
  readonly gpus: Pick<Gpus, 'check'>;
  /** The jobs of its workflow that a job waited for, by their names. */
  readonly dependenciesOf: (job: Job) => readonly string[];
  readonly networks: Pick<
    Networks,
    'addressesOf' | 'findEgress' | 'changeEgress' | 'flows' | 'returned'
  >;
  readonly host: Host;
  readonly policy: JobPolicy;
  readonly nodeId: string;
}

/** Jobs in the answer to ListJobs, which has no pages, at most: the newest. */
export const LIST_LIMIT = 10_000;
const PAGE_LIMIT = 1000;
const PAGE_DEFAULT = 100;
const TAIL_LIMIT = 1_000_000;
const MAX_GRACE_MS = 3_600_000;
const MAX_TIMEOUT_MS = 365 * 24 * 3_600_000;

/** Streams that a reader may ask for. */
const readable: readonly StreamName[] = ['stdout', 'stderr'];

export function jobHandlers(parts: JobParts): Handlers<typeof JobService> {
  const { jobs, uploads, postures, networks, nodeId } = parts;
  const status = (job: Job, held?: Held) => {
    const posture = held && toPosture(job, held);
    const answer = toStatus(job, nodeId, jobs.limitsInForce(job), jobs.turnOf(job), posture);
    return {
      ...answer,
      gpuIndices: indicesOf(jobs.gpusOf(job)),
      dependencies: [...parts.dependenciesOf(job)],
      addresses: [...networks.addressesOf(job.id)],
      egress: toEgress(networks.findEgress(job.id) ?? job.spec.egress ?? OPEN),
    };
  };
  return {
    runJob: async (request, call) => {
      const { job, isNew } = await startJob(parts, request, call);
      const response = toRunResponse(job, nodeId, jobs.turnOf(job));
      return { ...response, repeatedRequest: !isNew };
    },

    getJobStatus: async ({ uuid, posture }) => {
      const job = jobs.get(uuid);
      const held = posture ? await postures.of(job) : undefined;
      return status(job, held);
    },

    waitJob: async ({ uuid }, { signal }) => status(await jobs.wait(uuid, signal)),

    listJobs: () =>
      encodeJobs(jobs, LIST_LIMIT, (piece) => {
        const views = piece.map((job) => toJob(job, nodeId, jobs.turnOf(job), jobs.gpusOf(job)));
        return toBinary(JobsSchema, create(JobsSchema, { jobs: views }));
      }),

    queryJobs: async (request) => {
      const page = takePage(jobs, toJobQuery(request));
      const last = page.more ? page.jobs.at(-1) : undefined;
      return {
        jobs: page.jobs.map((job) => toJob(job, nodeId, jobs.turnOf(job), jobs.gpusOf(job))),
        nextPageToken: last === undefined ? '' : formatPageToken(last),
      };
    },

    stopJob: async ({ uuid, graceMs, force }, { identity }) => {
      const grace = Number(graceMs);
      if (grace < 0 || grace > MAX_GRACE_MS) {
        throw invalid([{ field: 'grace_ms', message: `is from 0 to ${MAX_GRACE_MS}` }]);
      }
      // Zero is "as the job was started": that is what clients who do not know the field send.
      const options = grace === 0 ? { force } : { force, graceMs: grace };
      return toStopResponse(await jobs.stop(uuid, options, identity));
    },

    cancelJob: async ({ uuid }, { identity }) => {
      const job = await jobs.cancel(uuid, identity);
      return { uuid: job.id, status: job.status };
    },

    extendJob: async (request, call) => status(await extendJob(parts, request, call)),

    changeJobEgress: async (request, { identity }) => {
      const problems: Problem[] = [];
      const report = (field: string, message: string) => problems.push({ field, message });
      readRules('allow', request.allow, report);
      readRules('deny', request.deny, report);
      if (problems.length > 0) throw invalid(problems);
      const { id } = jobs.get(request.uuid);
      const change = (now: Egress) => {
        const egress = changed(now, request);
        for (const field of ['allow', 'deny'] as const) readRules(field, egress[field], report);
        if (problems.length > 0) throw invalid(problems);
        return egress;
      };
      return toEgress(await networks.changeEgress(id, change, identity));
    },

    getJobFlows: (request, { signal }) => readFlows(parts, request, signal),

    deleteJob: async ({ uuid }, { identity }) => {
      const { id } = await jobs.delete(uuid, identity);
      return { uuid: id, success: true, message: `Job ${id} deleted` };
    },

    deleteAllJobs: async (_request, { identity }) => {
      const { deleted, skipped } = await jobs.deleteAll(identity);
      return {
        success: true,
        message: `Successfully deleted ${deleted} jobs, skipped ${skipped} running/scheduled jobs`,
        deletedCount: deleted,
        skippedCount: skipped,
      };
    },

    getJobLogs: (request, call) => encodeChunks(readLog(parts, request, call)),

    getJobMetrics: (request, call) => readMetrics(parts, request, call),
    streamJobMetrics: (request, call) => followMetrics(parts, request, call),
    getJobMetricsSummary: (request, call) => summarize(parts, request, call),

    sendJobInput: async (requests, call) => ({
      acceptedBytes: BigInt(await feed(jobs, requests, call)),
    }),

    uploadFiles: async (requests, { identity }) => {
      const { id, files, bytes } = await uploads.receive(toUploadParts(requests), identity);
      return { uploadId: id, files, bytes: BigInt(bytes) };
    },
  };
}

/** Going before the jobs of others is not for everybody. */
const raisePriority: Rule = { role: 'operator', operation: 'raise_priority' };

/** Neither is opening a port of the host. */
const publishPorts: Rule = { role: 'operator', operation: 'publish_ports' };

/** Least of all is a job on the host's own network. */
const useHostNetwork: Rule = { role: 'admin', operation: 'use_host_network' };

/** What a request is read by. */
export type SpecParts = Pick<JobParts, 'runtimes' | 'volumes' | 'gpus' | 'host' | 'policy'>;

/** What a request asks for, with all that is wrong with it named at once. */
export function toSpec(
  { runtimes, volumes, gpus, host, policy }: SpecParts,
  request: JobRequest,
  { identity }: Pick<Call, 'identity'>,
): JobSpec {
  if (request.priority > 0) demand(identity, raisePriority);
  if (request.publish.length > 0) demand(identity, publishPorts);
  const spec = toJobSpec(request, host, policy, Date.now());
  if (spec.network === HOST_NETWORK) demand(identity, useHostNetwork);
  gpus.check(spec.gpus);
  return inRuntime(spec, { runtimes, volumes });
}

/** Starts a job as a request wants it. */
export async function startJob(
  parts: SpecParts & Pick<JobParts, 'jobs'>,
  request: JobRequest,
  call: Pick<Call, 'identity'>,
): Promise<{ readonly job: Job; readonly isNew: boolean }> {
  const { jobs } = parts;
  const { identity } = call;
  const read = () => toSpec(parts, request, call);
  const { idempotencyKey: text, uploadId } = request;
  if (text === '') return { job: await jobs.run(read(), identity), isNew: true };
  return jobs.runOnce({ text, digests: digestsOf(request) }, uploadId, identity, read);
}

/** More time than the operator allows is for operators. */
const passTimeout: Rule = { role: 'operator', operation: 'extend_job_beyond_limit' };

async function extendJob(
  { jobs, policy }: Pick<JobParts, 'jobs' | 'policy'>,
  { uuid, timeoutMs }: ExtendJobRequest,
  { identity }: Pick<Call, 'identity'>,
): Promise<Job> {
  const ms = Number(timeoutMs);
  if (ms < 0 || ms > MAX_TIMEOUT_MS) {
    const message = `is from 0 (no timeout) to ${formatDuration(MAX_TIMEOUT_MS)}`;
    throw invalid([{ field: 'timeout_ms', message }]);
  }
  const { startedAtMs } = jobs.get(uuid);
  const wholeMs = Date.now() - startedAtMs + ms;
  const most = policy.jobTimeoutMs;
  const isBeyond = startedAtMs > 0 && most > 0 && (ms === 0 || wholeMs > most);
  if (isBeyond) demand(identity, passTimeout);
  return jobs.extend(uuid, ms, identity);
}

/** A piece of a job's output, on its way to a client. */
export type LogPiece = Chunk;

/**
 * The output of a job as a request wants it. When it is followed, its end is the job's end. Throws at
 * once where the request is wrong, or speaks of no job.
 */
export function readLog(
  { jobs, logs }: Pick<JobParts, 'jobs' | 'logs'>,
  request: GetJobLogsRequest,
  { signal }: Pick<Call, 'signal'>,
): AsyncGenerator<LogPiece> {
  const search = toLogSearch(request);
  const query = { ...toLogQuery(request, signal), isPassing: true };
  const job = jobs.get(request.uuid);
  return pieces();

  async function* pieces() {
    const all = logs.read(job, query);
    const entries = search === undefined ? all : searchLines(all, search);
    yield* asksForEntries(request) ? eachEntry(entries) : joinEntries(entries);
    // The log is whole a moment before the end is recorded; who asks for the status next is to see it.
    if (query.follow && !query.signal.aborted) await jobs.wait(job.id, signal).catch(unlessDeleted);
  }
}

/** A job that was deleted in the meantime has ended too. */
function unlessDeleted(error: unknown): void {
  if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
}

function toJobQuery(request: QueryJobsRequest): JobQuery {
  const problems: Problem[] = [];
  const { statuses, limit, name, pageToken } = request;
  for (const word of statuses) {
    if (isStatus(word)) continue;
    const shown = JSON.stringify(word.slice(0, 64));
    problems.push({
      field: 'statuses',
      message: `${shown} is no status; there is ${jobStatuses.join(', ')}`,
    });
  }
  if (limit < 0 || limit > PAGE_LIMIT) {
    problems.push({
      field: 'limit',
      message: `is from 1 to ${PAGE_LIMIT}; 0 takes ${PAGE_DEFAULT}`,
    });
  }
  const after = pageToken === '' ? undefined : parsePageToken(pageToken);
  if (pageToken !== '' && after === undefined) {
    problems.push({ field: 'page_token', message: 'is not what an earlier answer said' });
  }
  if (problems.length > 0) throw invalid(problems);
  return { statuses: statuses.filter(isStatus), limit: limit || PAGE_DEFAULT, name, ...after };
}

function isStatus(word: string): word is JobStatus {
  return jobStatuses.some((status) => status === word);
}

/** Where a page ended: the creation time and the id of its last job. */
export function formatPageToken(last: Pick<Job, 'createdAtMs' | 'id'>): string {
  return `${last.createdAtMs}.${last.id}`;
}

/** The inverse of formatPageToken; undefined for anything else. */
export function parsePageToken(
  token: string,
): { readonly beforeMs: number; readonly beforeId: string } | undefined {
  const [, ms, id] = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(token) ?? [];
  if (ms === undefined || id === undefined) return undefined;
  return { beforeMs: Number(ms), beforeId: id };
}

function toLogQuery(request: GetJobLogsRequest, signal: AbortSignal): LogQuery {
  const problems: Problem[] = [];
  const streams = new Set<StreamName>();
  for (const word of request.streams) {
    const stream = readable.find((name) => name === word);
    if (stream !== undefined) streams.add(stream);
    else problems.push({ field: 'streams', message: `there is ${readable.join(' and ')}` });
  }
  const position = Number(request.position);
  if (!Number.isSafeInteger(position)) {
    problems.push({ field: 'position', message: 'is further than any log goes' });
  }
  if (request.tailLines > TAIL_LIMIT) {
    problems.push({ field: 'tail_lines', message: `is at most ${TAIL_LIMIT}` });
  }
  if (request.tailLines > 0 && position > 0) {
    problems.push({
      field: 'tail_lines',
      message: 'and position are two places to start; give one',
    });
  }
  const { sinceNs, untilNs, tailLines } = request;
  for (const [field, value] of [
    ['since_ns', sinceNs],
    ['until_ns', untilNs],
  ] as const) {
    if (value < 0n) problems.push({ field, message: 'is no time in nanoseconds since 1970' });
  }
  if (untilNs > 0n && untilNs <= sinceNs) {
    problems.push({ field: 'until_ns', message: 'lies before since_ns' });
  }
  if (problems.length > 0) throw invalid(problems);
  const leftMs =
    untilNs === 0n ? Number.POSITIVE_INFINITY : Number(untilNs / 1_000_000n) - Date.now();
  const follow = !request.noFollow && leftMs > 0;
  return {
    position,
    follow,
    streams,
    tailLines,
    sinceNs,
    untilNs,
    signal:
      follow && leftMs < LONGEST_TIMER_MS
        ? AbortSignal.any([signal, AbortSignal.timeout(leftMs)])
        : signal,
  };
}

/** What a timer can hold; nobody follows a log for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function toLogSearch({
  filter,
  linesBefore,
  linesAfter,
}: GetJobLogsRequest): LogSearch | undefined {
  const problems: Problem[] = [];
  for (const [field, lines] of [
    ['lines_before', linesBefore],
    ['lines_after', linesAfter],
  ] as const) {
    if (lines > MAX_CONTEXT_LINES) {
      problems.push({ field, message: `is at most ${MAX_CONTEXT_LINES}` });
    } else if (lines > 0 && filter === '') {
      problems.push({ field, message: 'goes with filter: lines around those that it finds' });
    }
  }
  if (problems.length > 0) throw invalid(problems);
  if (filter === '') return undefined;
  return { pattern: parsePattern(filter), before: linesBefore, after: linesAfter };
}

/** Whether the client knows of the fields that tell entries apart. */
function asksForEntries(request: GetJobLogsRequest): boolean {
  const { position, noFollow, streams, tailLines, sinceNs, untilNs, filter } = request;
  const isExtended = sinceNs > 0n || untilNs > 0n || filter !== '';
  return position > 0n || noFollow || streams.length > 0 || tailLines > 0 || isExtended;
}

/** Feeds a job's standard input; answers how many bytes it took. */
async function feed(
  jobs: JobParts['jobs'],
  requests: AsyncIterable<SendJobInputRequest>,
  { signal, identity }: Pick<Call, 'signal' | 'identity'>,
): Promise<number> {
  let target:
    | { readonly uuid: string; readonly input: Awaited<ReturnType<Jobs['input']>> }
    | undefined;
  let acceptedBytes = 0;
  for await (const { uuid, data, end } of requests) {
    target ??= { uuid, input: await jobs.input(uuid, signal, identity) };
    if (uuid !== '' && uuid !== target.uuid) {
      throw invalid([{ field: 'uuid', message: 'cannot change within one stream' }]);
    }
    if (data.length > 0) await target.input.write(data);
    acceptedBytes += data.length;
    if (end) {
      await target.input.end();
      break;
    }
  }
  if (target === undefined) {
    throw new JobletError('invalid', 'the stream said nothing: name the job in its first message');
  }
  return acceptedBytes;
}

async function* toUploadParts(
  requests: AsyncIterable<UploadFilesRequest>,
): AsyncGenerator<UploadPart> {
  for await (const { part } of requests) {
    switch (part.case) {
      case 'header': {
        const { path, mode, isDirectory, size } = part.value;
        yield { header: { path, mode, isDirectory, size: Number(size) } };
        break;
      }
      case 'data':
        yield { data: part.value };
        break;
      case undefined:
        throw invalid([{ field: 'part', message: 'is missing: send a header or data' }]);
    }
  }
}
