// The tables of workflows and their steps. Everything here is called within Db.write, but for what
// only reads.

import type { StepStatus } from '../../shared/step-status.ts';
import type { Identity } from '../jobs/job.ts';
import type { Db } from '../store/db.ts';
import {
  type Ending,
  isOver,
  type Step,
  type StepPlan,
  type StepState,
  type Turn,
  type Workflow,
  type WorkflowOptions,
  type WorkflowPlan,
  type WorkflowStatus,
} from './workflow.ts';

const COLUMNS = `id, name, shown_text, owner, max_parallel, status, ending, ended_by, created_at_ms,
  started_at_ms, ended_at_ms, total, completed, failed, canceled, skipped, options, waits, turns`;

const STATE = `status, is_ready, not_before_ms, job_id, attempts, attempts_before, has_run, started_at_ms, ended_at_ms,
  exit_code, message, outputs`;

export class WorkflowStore {
  readonly #db: Db;
  readonly #insert;
  readonly #insertStep;
  readonly #update;
  readonly #updateStep;
  readonly #get;
  readonly #prefix;
  readonly #steps;
  readonly #states;
  readonly #delete;
  readonly #deleteSteps;
  readonly #text;
  readonly #plan;

  constructor(db: Db) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO workflows (text, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertStep = db.prepare(
      `INSERT INTO workflow_steps (workflow_id, number, plan, secrets, ${STATE})
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#update = db.prepare(
      `UPDATE workflows SET status = ?, ending = ?, ended_by = ?, started_at_ms = ?, ended_at_ms = ?,
         completed = ?, failed = ?, canceled = ?, skipped = ?, waits = ?,
         turns = ? WHERE id = ?`,
    );
    this.#updateStep = db.prepare(
      `UPDATE workflow_steps SET (${STATE}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       WHERE workflow_id = ? AND number = ?`,
    );
    this.#get = db.prepare(`SELECT ${COLUMNS} FROM workflows WHERE id = ?`);
    this.#prefix = db.prepare(
      'SELECT id FROM workflows WHERE id >= ? AND id < ? ORDER BY id LIMIT 2',
    );
    this.#steps = db.prepare(
      `SELECT number, plan, secrets, ${STATE} FROM workflow_steps WHERE workflow_id = ? ORDER BY number`,
    );
    this.#states = db.prepare(
      `SELECT number, plan, '{}' AS secrets, ${STATE} FROM workflow_steps WHERE workflow_id = ? ORDER BY number`,
    );
    this.#delete = db.prepare('DELETE FROM workflows WHERE id = ?');
    this.#deleteSteps = db.prepare('DELETE FROM workflow_steps WHERE workflow_id = ?');
    this.#plan = db.prepare(
      "SELECT plan FROM workflow_steps WHERE workflow_id = ? AND json_extract(plan, '$.name') = ?",
    );
    this.#text = db.prepare('SELECT text FROM workflows WHERE id = ?');
  }

  add(workflow: Workflow, { text }: Pick<WorkflowPlan, 'text'>, steps: readonly Step[]): void {
    const { id, name, shownText, owner, maxParallel, status, ending, endedBy } = workflow;
    this.#insert.run(
      text,
      id,
      name,
      shownText,
      JSON.stringify(owner),
      maxParallel,
      status,
      ending,
      endedBy,
      workflow.createdAtMs,
      workflow.startedAtMs,
      workflow.endedAtMs,
      workflow.total,
      workflow.completed,
      workflow.failed,
      workflow.canceled,
      workflow.skipped,
      JSON.stringify(workflow.options),
      Number(workflow.waits),
      JSON.stringify(workflow.turns),
    );
    for (const step of steps) {
      const { secretEnvironment, ...spec } = step.plan.spec;
      this.#insertStep.run(
        id,
        step.number,
        JSON.stringify({ ...step.plan, spec }),
        JSON.stringify(secretEnvironment),
        ...stateValues(step),
      );
    }
  }

  /** Writes what has changed of a workflow. */
  set(workflow: Workflow, steps: readonly Step[]): void {
    const { id, status, ending, endedBy, startedAtMs, endedAtMs } = workflow;
    const { completed, failed, canceled, skipped, waits, turns } = workflow;
    this.#update.run(
      status,
      ending,
      endedBy,
      startedAtMs,
      endedAtMs,
      completed,
      failed,
      canceled,
      skipped,
      Number(waits),
      JSON.stringify(turns),
      id,
    );
    for (const step of steps) this.#updateStep.run(...stateValues(step), id, step.number);
  }

  remove(id: string): void {
    this.#deleteSteps.run(id);
    this.#delete.run(id);
  }

  find(id: string): Workflow | undefined {
    const row = this.#get.get(id);
    return row === undefined ? undefined : fromRow(row);
  }

  /** Ids that start with `prefix`: none, the one, or two of several. */
  idsByPrefix(prefix: string): string[] {
    // '~' sorts behind every character of an id.
    return this.#prefix.all(prefix, `${prefix}~`).map((row) => String(row['id']));
  }

  /** The text that a workflow was made from, secrets included. */
  textOf(id: string): string {
    return String(this.#text.get(id)?.['text'] ?? '');
  }

  /** What a step of a workflow was to be, without its secrets. */
  planOf(id: string, name: string): Pick<StepPlan, 'requires'> | undefined {
    const row = this.#plan.get(id, name);
    return row === undefined ? undefined : (JSON.parse(String(row['plan'])) as StepPlan);
  }

  /** In their order. */
  stepsOf(id: string): Step[] {
    return this.#steps.all(id).map(stepFromRow);
  }

  /** The same without their secrets, to be shown. */
  shownStepsOf(id: string): Step[] {
    return this.#states.all(id).map(stepFromRow);
  }

  /** The newest first; those that are over only when they are asked for. */
  list(withEnded: boolean, limit: number): Workflow[] {
    this.#db.flush();
    const where = withEnded ? '' : 'WHERE ended_at_ms = 0';
    return this.#db
      .prepare(`SELECT ${COLUMNS} FROM workflows ${where} ORDER BY rowid DESC LIMIT ?`)
      .all(limit)
      .map(fromRow);
  }

  /** Workflows that are not over, the oldest first. */
  unfinished(): Workflow[] {
    return this.#db
      .prepare(`SELECT ${COLUMNS} FROM workflows WHERE ended_at_ms = 0 ORDER BY rowid`)
      .all()
      .map(fromRow)
      .filter(({ status }) => !isOver(status));
  }

  ids(): string[] {
    return this.#db
      .prepare('SELECT id FROM workflows')
      .all()
      .map((row) => String(row['id']));
  }
}

function stateValues(state: StepState): (string | number)[] {
  return [
    state.status,
    Number(state.isReady),
    state.notBeforeMs,
    state.jobId,
    state.attempts,
    state.attemptsBefore,
    Number(state.hasRun),
    state.startedAtMs,
    state.endedAtMs,
    state.exitCode,
    state.message,
    JSON.stringify(state.outputs),
  ];
}

function fromRow(row: Record<string, unknown>): Workflow {
  const text = (name: string) => String(row[name]);
  const number = (name: string) => Number(row[name]);
  return {
    id: text('id'),
    name: text('name'),
    shownText: text('shown_text'),
    owner: JSON.parse(text('owner')) as Identity,
    maxParallel: number('max_parallel'),
    status: text('status') as WorkflowStatus,
    ending: text('ending') as Ending,
    endedBy: text('ended_by'),
    createdAtMs: number('created_at_ms'),
    startedAtMs: number('started_at_ms'),
    endedAtMs: number('ended_at_ms'),
    total: number('total'),
    completed: number('completed'),
    failed: number('failed'),
    canceled: number('canceled'),
    skipped: number('skipped'),
    options: JSON.parse(text('options')) as WorkflowOptions,
    waits: number('waits') === 1,
    turns: JSON.parse(text('turns')) as Turn[],
  };
}

function stepFromRow(row: Record<string, unknown>): Step {
  const text = (name: string) => String(row[name]);
  const number = (name: string) => Number(row[name]);
  const plan = JSON.parse(text('plan')) as StepPlan;
  const secretEnvironment = JSON.parse(text('secrets')) as Record<string, string>;
  return {
    number: number('number'),
    plan: { ...plan, spec: { ...plan.spec, secretEnvironment } },
    status: text('status') as StepStatus,
    isReady: number('is_ready') === 1,
    notBeforeMs: number('not_before_ms'),
    jobId: text('job_id'),
    attempts: number('attempts'),
    attemptsBefore: number('attempts_before'),
    hasRun: number('has_run') === 1,
    startedAtMs: number('started_at_ms'),
    endedAtMs: number('ended_at_ms'),
    exitCode: number('exit_code'),
    message: text('message'),
    outputs: JSON.parse(text('outputs')) as Step['outputs'],
  };
}
