// `requires` of a job: a list of `job: STATUS`, of `expression: "..."` and of expressions alone. All
// of its items have to hold.

import { JobletError } from './errors.ts';
import type { JobStatus } from './job-state.ts';
import { type Expression, parseExpression, parseStatus, waitedFor } from './workflow-expression.ts';
import type { Placed, WorkflowReader } from './workflow-reader.ts';
import type { Path } from './yaml-text.ts';

/** What a job waits for. One that starts `always` waits for the ends of those jobs, whatever they are. */
export function readRequires(
  reader: WorkflowReader,
  owner: string,
  placed: Placed | undefined,
  always: boolean,
): Expression {
  const expression = { kind: 'all', of: itemsOf(reader, owner, placed) } as const;
  return always ? finished(expression) : expression;
}

function itemsOf(reader: WorkflowReader, owner: string, placed: Placed | undefined): Expression[] {
  if (placed === undefined || placed.value === '') return [];
  const { at, value } = placed;
  // One alone needs no list.
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item, index) =>
    itemOf(reader, owner, Array.isArray(value) ? [...at, index] : at, item),
  );
}

function itemOf(reader: WorkflowReader, owner: string, at: Path, item: unknown): Expression[] {
  if (typeof item === 'string') return tried(reader, owner, at, () => parseExpression(item));
  return [...reader.entries(at, item)].flatMap(([job, status]) => {
    const place = [...at, job];
    if (typeof status !== 'string') {
      reader.report(place, 'value', `${owner}: requires - ${job.slice(0, 64)} must be a status`);
      return [];
    }
    return tried(reader, owner, place, () =>
      job === 'expression'
        ? parseExpression(status)
        : { kind: 'is', job, statuses: status === '' ? waitedFor.COMPLETED : parseStatus(status) },
    );
  });
}

/** What `read` gives; what it refuses is noted. */
function tried(
  reader: WorkflowReader,
  owner: string,
  at: Path,
  read: () => Expression,
): Expression[] {
  try {
    return [read()];
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    reader.report(at, 'value', `${owner}: requires - ${error.message}`);
    return [];
  }
}

function finished(expression: Expression): Expression {
  return replaced(expression, ({ job }) => ({ kind: 'is', job, statuses: waitedFor.FINISHED }));
}

const failures: ReadonlySet<JobStatus> = new Set(['FAILED', 'STOPPED', 'CANCELED']);

/**
 * The expression with each job of a matrix as the jobs that it becomes: all of them are to have gone
 * well, and one of them is enough where a failure is waited for.
 */
export function renamed(
  expression: Expression,
  groups: ReadonlyMap<string, readonly string[]>,
): Expression {
  return replaced(expression, (one) => {
    const names = groups.get(one.job) ?? [];
    if (names.length === 1 && names[0] === one.job) return one;
    const kind = one.statuses.every((status) => failures.has(status)) ? 'any' : 'all';
    return { kind, of: names.map((job) => ({ ...one, job })) };
  });
}

function replaced(
  expression: Expression,
  replace: (one: Expression & { readonly kind: 'is' }) => Expression,
): Expression {
  switch (expression.kind) {
    case 'is':
      return replace(expression);
    case 'not':
      return { kind: 'not', of: replaced(expression.of, replace) };
    default:
      return { kind: expression.kind, of: expression.of.map((one) => replaced(one, replace)) };
  }
}
