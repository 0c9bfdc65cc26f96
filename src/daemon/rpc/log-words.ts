// The words of a URL that ask for a job's log, as the request that they stand for.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type GetJobLogsRequest, GetJobLogsRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';

type Fields = Omit<MessageInitShape<typeof GetJobLogsRequestSchema>, '$typeName' | '$unknown'>;

/** What each word sets, or what is wrong with it. */
const words: Readonly<Record<string, (values: readonly string[]) => Partial<Fields> | string>> = {
  follow: (values) =>
    oneOf(values, /^(true|false)$/, 'is true or false', (text) => ({ noFollow: text === 'false' })),
  stream: (values) => ({ streams: [...values] }),
  tail: (values) =>
    oneOf(values, /^\d{1,7}$/, 'is a number of lines', (text) => ({ tailLines: Number(text) })),
  position: (values) =>
    oneOf(values, /^\d{1,15}$/, 'is a number of bytes', (text) => ({ position: BigInt(text) })),
  since: (values) => timeOf(values, (sinceNs) => ({ sinceNs })),
  until: (values) => timeOf(values, (untilNs) => ({ untilNs })),
  filter: (values) => oneOf(values, /^/, '', (filter) => ({ filter })),
  before: (values) =>
    oneOf(values, /^\d{1,3}$/, 'is a number of lines', (text) => ({ linesBefore: Number(text) })),
  after: (values) =>
    oneOf(values, /^\d{1,3}$/, 'is a number of lines', (text) => ({ linesAfter: Number(text) })),
};

/**
 * The request that a query asks for.
 * @throws JobletError invalid, with everything that is wrong
 */
export function toLogRequest(uuid: string, query: URLSearchParams): GetJobLogsRequest {
  const problems: Problem[] = [];
  const fields: Partial<Fields> = {};
  for (const field of new Set(query.keys())) {
    const read = Object.hasOwn(words, field) ? words[field] : undefined;
    const known = `is not known; there is ${Object.keys(words).join(', ')}`;
    const found = read?.(query.getAll(field)) ?? known;
    if (typeof found === 'string') problems.push({ field: field.slice(0, 64), message: found });
    else Object.assign(fields, found);
  }
  if (problems.length > 0) throw invalid(problems);
  return create(GetJobLogsRequestSchema, { ...fields, uuid });
}

function oneOf(
  [text = '', ...more]: readonly string[],
  pattern: RegExp,
  problem: string,
  toFields: (text: string) => Partial<Fields>,
): Partial<Fields> | string {
  if (more.length > 0) return 'stands twice';
  return pattern.test(text) ? toFields(text) : problem;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
const NS_PER_MS = 1_000_000n;

function timeOf(
  values: readonly string[],
  toFields: (ns: bigint) => Partial<Fields>,
): Partial<Fields> | string {
  const problem = 'is a time such as 2026-01-31T12:00:00Z';
  const ms = Date.parse(values[0] ?? '');
  if (Number.isNaN(ms)) return problem;
  return oneOf(values, TIME, problem, () => toFields(BigInt(ms) * NS_PER_MS));
}
