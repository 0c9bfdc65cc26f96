// Jobs for one answer: no more of them than every client takes in one message, and never more in
// memory than a few, however much each has of arguments and variables.

import type { JobQuery, ListedJob } from '../jobs/job-lists.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { Encoded } from './handlers.ts';
import { MASK } from './job-view.ts';

/** What a gRPC client takes unless it was told otherwise is 4 MiB. */
const ANSWER_BYTES = 4_000_000;

/** Jobs read at once. */
const BATCH_JOBS = 100;

/** Jobs of a long answer that are made into bytes before the event loop gets its turn. */
const PIECE_JOBS = 250;

/** Ids, times, numbers and words of a job in an answer. */
const FIXED_BYTES = 320;
/** Why a job waits, as a sentence. */
const WAITING_BYTES = 192;
/** What stands around each text. */
const FRAME_BYTES = 8;

export interface JobPage {
  readonly jobs: readonly ListedJob[];
  /** There are others behind these. */
  readonly more: boolean;
  /** What they take in an answer, at most. */
  readonly bytes: number;
}

/**
 * The newest jobs, as many as fit, as one message. It is made piece by piece, so that other calls are
 * served in between and no more than a piece is in memory as anything but its bytes: messages that
 * hold one list are joined by joining their bytes.
 */
export async function encodeJobs(
  jobs: Pick<Jobs, 'query'>,
  limit: number,
  encode: (piece: readonly ListedJob[]) => Uint8Array,
): Promise<Encoded> {
  const pieces: Uint8Array[] = [];
  let left = limit;
  let roomBytes = ANSWER_BYTES;
  let behind: Pick<JobQuery, 'beforeMs' | 'beforeId'> = {};
  for (;;) {
    const wanted = Math.min(PIECE_JOBS, left);
    const piece = takePage(jobs, { ...behind, limit: wanted }, roomBytes);
    pieces.push(encode(piece.jobs));
    left -= piece.jobs.length;
    roomBytes -= piece.bytes;
    const last = piece.jobs.at(-1);
    const isLast = !piece.more || left === 0 || piece.jobs.length < wanted;
    if (isLast || last === undefined) return new Encoded(Buffer.concat(pieces));
    behind = { beforeMs: last.createdAtMs, beforeId: last.id };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The newest jobs of a query: at most its limit, and as many as fit into an answer. */
export function takePage(
  jobs: Pick<Jobs, 'query'>,
  query: JobQuery,
  roomBytes = ANSWER_BYTES,
): JobPage {
  const page: ListedJob[] = [];
  let bytes = 0;
  let behind: Pick<JobQuery, 'beforeMs' | 'beforeId'> = query;
  for (;;) {
    // One more than wanted tells whether there are others.
    const limit = Math.min(BATCH_JOBS, query.limit + 1 - page.length);
    const batch = jobs.query({ ...query, ...behind, limit });
    for (const job of batch) {
      const jobBytes = listedBytes(job);
      if (page.length === query.limit || (bytes + jobBytes > roomBytes && page.length > 0)) {
        return { jobs: page, more: true, bytes };
      }
      bytes += jobBytes;
      page.push(job);
    }
    const last = page.at(-1);
    if (batch.length < limit || last === undefined) return { jobs: page, more: false, bytes };
    behind = { beforeMs: last.createdAtMs, beforeId: last.id };
  }
}

/** What a job takes in an answer, at most. */
function listedBytes({ spec, outcome, status }: ListedJob): number {
  const texts = [
    spec.name,
    spec.command,
    ...spec.args,
    spec.limits.cpuCores,
    ...Object.entries(spec.environment).flat(),
    ...Object.keys(spec.secretEnvironment).flatMap((name) => [name, MASK]),
    outcome?.how === 'not-started' ? outcome.object : '',
    outcome?.how === 'stopped' ? (outcome.by ?? '') : '',
    outcome?.how === 'canceled' ? outcome.why : '',
  ];
  const fixed = FIXED_BYTES + (status === 'PENDING' ? WAITING_BYTES : 0);
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + FRAME_BYTES, fixed);
}
