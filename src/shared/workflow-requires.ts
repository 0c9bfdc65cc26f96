// `requires` of a job: a list of `job: STATUS`, of `expression: "..."` and of expressions alone. All
// of its items have to hold.

import { JobletError } from './errors.ts';
import type { StepStatus } from './step-status.ts';
import {
  type Condition,
  type Expression,
  jobsOf,
  type Note,
  parseExpression,
  parseStatus,
  type StatusLeaf,
  waitedFor,
} from './workflow-expression.ts';
import type { Placed, WorkflowReader } from './workflow-reader.ts';
import type { Path } from './yaml-text.ts';

/**
 * What a job waits for; `check` is told each of those jobs where it is named. One that starts `always`
 * waits for their ends, whatever they are.
 */
export function readRequires(
  reader: WorkflowReader,
  owner: string,
  placed: Placed | undefined,
  always: boolean,
  check: (job: string, at: Path) => void,
): Expression {
  const expression = { kind: 'all', of: itemsOf(reader, owner, placed, check) } as const;
  return always ? finished(expression) : expression;
}

function itemsOf(
  reader: WorkflowReader,
  owner: string,
  placed: Placed | undefined,
  check: (job: string, at: Path) => void,
): Expression[] {
  if (placed === undefined || placed.value === '') return [];
  const { at, value } = placed;
  // One alone needs no list.
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item, index) => {
    const place = Array.isArray(value) ? [...at, index] : at;
    const expressions = itemOf(reader, owner, place, item);
    for (const job of expressions.flatMap(jobsOf)) check(job, place);
    return expressions;
  });
}

function itemOf(reader: WorkflowReader, owner: string, at: Path, item: unknown): Expression[] {
  if (typeof item === 'string') {
    return tried(reader, owner, at, (note) => parseExpression(item, note));
  }
  return [...reader.entries(at, item)].flatMap(([job, status]) => {
    const place = [...at, job];
    if (typeof status !== 'string') {
      reader.report(place, 'value', `${owner}: requires - ${job.slice(0, 64)} must be a status`);
      return [];
    }
    return tried(reader, owner, place, (note) => {
      if (job === 'expression') return parseExpression(status, note);
      const statuses = status === '' ? waitedFor.COMPLETED : parseStatus(status, note);
      return { kind: 'is', job, statuses };
    });
  });
}

/** What `read` gives; what it notes or refuses is noted with the words of its owner. */
export function noted<T>(
  reader: WorkflowReader,
  owner: string,
  at: Path,
  read: (note: Note) => T,
): T | undefined {
  const note: Note = (message) => reader.report(at, 'value', `${owner} - ${message}`);
  try {
    return read(note);
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    note(error.message);
    return undefined;
  }
}

function tried(
  reader: WorkflowReader,
  owner: string,
  at: Path,
  read: (note: Note) => Expression,
): Expression[] {
  const expression = noted(reader, `${owner}: requires`, at, read);
  return expression === undefined ? [] : [expression];
}

function finished(expression: Expression): Expression {
  const of = jobsOf(expression).map(
    (job): Expression => ({ kind: 'is', job, statuses: waitedFor.FINISHED }),
  );
  return { kind: 'all', of };
}

const failures: ReadonlySet<StepStatus> = new Set(['FAILED', 'STOPPED', 'CANCELED']);

/** The jobs that a job of a file becomes. */
export interface Group {
  readonly names: readonly string[];
  /** They are those of a workflow that it calls. */
  readonly isCall: boolean;
}

/** By the names of the file. */
export type Groups = Map<string, Group>;

/**
 * The expression with each job as those that it becomes. All jobs of a matrix are to have gone well,
 * and one of them is enough where a failure is waited for.
 */
export function renamed(expression: Expression, groups: Groups): Expression;
export function renamed(expression: Condition, groups: Groups): Condition;
export function renamed(expression: Condition, groups: Groups): Condition {
  return replaced(expression, (one) => {
    const { names, isCall } = groups.get(one.job) ?? { names: [], isCall: false };
    if (isCall) return ofCall(names, one.statuses);
    if (names.length === 1 && names[0] === one.job) return one;
    const kind = one.statuses.every((status) => failures.has(status)) ? 'any' : 'all';
    return { kind, of: names.map((job) => ({ ...one, job })) };
  });
}

/** That the jobs of a workflow that is called have come to one of some statuses together. */
function ofCall(names: readonly string[], statuses: readonly StepStatus[]): Expression {
  const all = (of: readonly StepStatus[]): Expression => ({
    kind: 'all',
    of: names.map((job) => ({ kind: 'is', job, statuses: of })),
  });
  const any = (of: readonly StepStatus[]): Expression => ({
    kind: 'any',
    of: names.map((job) => ({ kind: 'is', job, statuses: of })),
  });
  if (waitedFor.FINISHED.every((status) => statuses.includes(status))) {
    return all(waitedFor.FINISHED);
  }
  const ways = statuses.map((status): Expression => {
    switch (status) {
      case 'COMPLETED':
        return { kind: 'all', of: [all(['COMPLETED', 'SKIPPED', 'CANCELED']), any([status])] };
      case 'CANCELED':
        return { kind: 'all', of: [all(['CANCELED', 'SKIPPED']), any([status])] };
      case 'FAILED':
      case 'STOPPED':
      case 'RUNNING':
        return any([status]);
      default:
        return all([status]);
    }
  });
  return { kind: 'any', of: ways };
}

function replaced(expression: Condition, replace: (one: StatusLeaf) => Expression): Condition {
  switch (expression.kind) {
    case 'is':
      return replace(expression);
    case 'text':
      return expression;
    case 'not':
      return { kind: 'not', of: replaced(expression.of, replace) };
    default:
      return { kind: expression.kind, of: expression.of.map((one) => replaced(one, replace)) };
  }
}
