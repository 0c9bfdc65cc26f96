// The owner of workflows. A workflow is rows; what becomes of a job is noted in its step, and what
// follows from it decided, within the transaction that records the job's change. Only when that is
// committed are jobs started, so a daemon that dies at any moment is followed by one that finds each
// decision written, and each step either with its job or without one.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import { isFinal } from '../../shared/job-state.ts';
import { jobsOf } from '../../shared/workflow-expression.ts';
import type { Audit } from '../audit/audit.ts';
import type { Clock } from '../jobs/due.ts';
import type { Identity, Job, Upload } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import { Leftovers } from './leftovers.ts';
import { newsOf, outputKeyOf } from './news.ts';
import { Run } from './run.ts';
import type { RunVolumes } from './run-volumes.ts';
import { Starts } from './starts.ts';
import { WorkflowStore } from './store.ts';
import { untouched } from './tries.ts';
import { UnderWay } from './under-way.ts';
import { Watchers } from './watchers.ts';
import {
  isOver,
  type Step,
  type Workflow,
  type WorkflowPlan,
  type WorkflowStatus,
} from './workflow.ts';

export interface WorkflowsParts {
  readonly db: Db;
  readonly audit: Pick<Audit, 'append'>;
  readonly jobs: Pick<Jobs, 'run' | 'stop' | 'wait' | 'delete'>;
  readonly files: WorkflowFiles;
  readonly volumes: RunVolumes;
  readonly clock: Clock;
  readonly log: Log;
}

/** Workflows under way at the same time. */
const MAX_RUNNING = 1000;
export class Workflows {
  readonly #parts: WorkflowsParts;
  readonly #store: WorkflowStore;
  readonly #runs: UnderWay;
  readonly #starts: Starts;
  readonly #leftovers: Leftovers;
  readonly #watchers = new Watchers();

  constructor(parts: WorkflowsParts) {
    const store = new WorkflowStore(parts.db);
    this.#parts = parts;
    this.#store = store;
    const committed = (id: string) => this.#committed(id);
    this.#runs = new UnderWay({
      ...parts,
      store,
      committed,
      stopJobs: (steps, who) => void this.#starts.stopJobs(steps, false, who),
      starting: (id) => this.#starts.of(id),
    });
    this.#starts = new Starts({ ...parts, runs: this.#runs, committed });
    this.#leftovers = new Leftovers({ ...parts, store });
  }

  /** Reads what an earlier daemon left. Before jobs are recovered, so that none of their news is missed. */
  load(): void {
    this.#runs.load();
  }

  /** Goes on with what an earlier daemon left. Files that others keep are named by their ids. */
  async recover(withFiles: readonly string[]): Promise<void> {
    const { clock, db, files } = this.#parts;
    await files.sweep(new Set([...this.#store.ids(), ...withFiles]));
    await db.write(() => {
      for (const run of this.#runs.all()) this.#runs.write(run, run.begin(clock.now()));
      this.#runs.settleAll();
    });
    this.#starts.start();
    for (const run of this.#runs.all()) {
      // An end that was asked for of the daemon before this one.
      const stopping = run.steps.filter((step) => run.isStopping(step));
      void this.#starts.stopJobs(stopping, false, run.workflow.owner);
      this.#committed(run.workflow.id);
    }
    void this.#leftovers.sweep(this.#runs.all());
  }

  /** Tries again to start what could not be started: something was written at last. */
  goOn(): void {
    this.#starts.startHeld();
  }

  /** Starts nothing more; jobs run on. */
  stopWatching(): void {
    this.#starts.stop();
  }

  /** Accepts a workflow. Resolves when it is safe; its first jobs are being started then. */
  async run(
    plan: WorkflowPlan,
    files: { readonly uploads: readonly Upload[]; readonly uploadId: string },
    who: Identity,
  ): Promise<Workflow> {
    const { clock } = this.#parts;
    const id = randomUUID();
    this.#checkRoom();
    await this.#parts.files.keep(id, files.uploads, files.uploadId, who);
    return this.#begin(id, plan, who, clock.now());
  }

  /** The same under an id of the caller's choice, with files that are kept under it already. */
  runAs(id: string, plan: WorkflowPlan, who: Identity): Promise<Workflow> {
    this.#checkRoom();
    return this.#begin(id, plan, who, this.#parts.clock.now());
  }

  /** The workflow of an id, if it is known. */
  find(id: string): Workflow | undefined {
    this.#parts.db.flush();
    return this.#store.find(id);
  }

  /** The workflow of an id or of a unique beginning of one. */
  get(idOrPrefix: string): Workflow {
    this.#parts.db.flush();
    const found = this.#store.find(idOrPrefix);
    if (found !== undefined) return found;
    const isPrefix = /^[0-9a-f-]+$/i.test(idOrPrefix);
    const [id, second] = isPrefix ? this.#store.idsByPrefix(idOrPrefix.toLowerCase()) : [];
    if (second !== undefined) {
      throw new JobletError(
        'invalid',
        `workflow id ${idOrPrefix} is ambiguous: it begins ${id} and ${second}; give more of it`,
        { about: 'workflow_uuid' },
      );
    }
    const workflow = id === undefined ? undefined : this.#store.find(id);
    if (workflow !== undefined) return workflow;
    if (idOrPrefix === '') {
      throw unnamed('workflow_uuid', 'the id of a workflow, or a beginning of one');
    }
    throw new JobletError('not-found', `workflow not found: ${idOrPrefix}`, {
      about: 'workflow_uuid',
    });
  }

  stepsOf(id: string): readonly Step[] {
    return this.#store.shownStepsOf(id);
  }

  /** The jobs of its workflow that a job waited for, by their names. */
  dependenciesOf({ spec }: Job): readonly string[] {
    if (spec.workflowUuid === '') return [];
    const plan = this.#store.planOf(spec.workflowUuid, spec.name);
    return plan === undefined ? [] : jobsOf(plan.requires);
  }

  /** The newest first. */
  list(withEnded: boolean, limit: number): Workflow[] {
    return this.#store.list(withEnded, limit);
  }

  /** How many of those that are not over are in each state. */
  census(): ReadonlyMap<WorkflowStatus, number> {
    return this.#runs.census();
  }

  /** See Watchers.changed. */
  changed(id: string, signal: AbortSignal, fromMs?: number): Promise<void> {
    return this.#watchers.changed(id, signal, fromMs);
  }

  /** Starts nothing more of a workflow and ends what runs, or lets it end. Resolves when it is over. */
  async stop(
    idOrPrefix: string,
    { ending, force }: { readonly ending: 'stop' | 'cancel'; readonly force: boolean },
    who: Identity,
  ): Promise<Workflow> {
    const { db, clock } = this.#parts;
    const { id } = this.get(idOrPrefix);
    const run = this.#runs.find(id);
    if (run === undefined) {
      const { status } = this.get(id);
      throw new JobletError(
        'wrong-state',
        `workflow is not running: ${id} (current status: ${status})`,
        { about: 'workflow_uuid' },
      );
    }
    await db.write(() => {
      const action = ending === 'stop' ? 'workflow.stop' : 'workflow.cancel';
      this.#runs.record(id, action, 'ok', '', who);
      this.#runs.write(run, run.end(ending, who.name, this.#starts.of(id), clock.now()));
    });
    await db.durable();
    this.#committed(id);
    if (ending === 'stop') await this.#starts.stopJobs(run.steps, force, who);
    if (ending === 'cancel') return this.get(id);
    const never = new AbortController().signal;
    while (!isOver(this.get(id).status)) await this.changed(id, never);
    return this.get(id);
  }

  /** Deletes a workflow that is over, with its jobs and their logs. */
  async delete(idOrPrefix: string, who: Identity): Promise<Workflow> {
    const { db, files } = this.#parts;
    const workflow = this.get(idOrPrefix);
    if (!isOver(workflow.status)) {
      throw new JobletError(
        'wrong-state',
        `cannot delete workflow ${workflow.id}: it is ${workflow.status} - stop it first`,
        { about: 'workflow_uuid' },
      );
    }
    await this.#leftovers.deleteJobs(workflow.id, who);
    await db.write(() => {
      this.#runs.record(workflow.id, 'workflow.deleted', 'ok', '', who);
      this.#store.remove(workflow.id);
    });
    await db.durable();
    await files.drop(workflow.id);
    await this.#leftovers.dropWorkspaces(workflow, who);
    return workflow;
  }

  /** Takes up again what has not gone well in a workflow that is over. */
  async retry(idOrPrefix: string, who: Identity): Promise<Workflow> {
    const { db, clock } = this.#parts;
    const workflow = this.get(idOrPrefix);
    const { id, status } = workflow;
    if (!isOver(status) || status === 'COMPLETED') {
      throw new JobletError(
        'wrong-state',
        `workflow ${id} is ${status}: only one that has ended without success can be retried`,
        { about: 'workflow_uuid' },
      );
    }
    this.#checkRoom();
    const run = this.#runs.read(workflow);
    try {
      await db.write(() => {
        this.#runs.record(id, 'workflow.retry', 'ok', '', who);
        const others = this.#runs.rivalsOf(run);
        this.#runs.write(run, run.retry(others.length > 0, clock.now()));
      });
    } catch (error) {
      this.#runs.drop(id);
      throw error;
    }
    await db.durable();
    this.#committed(id);
    return this.get(id);
  }

  /** Runs all of a workflow once more, as another one. */
  async again(idOrPrefix: string, who: Identity): Promise<Workflow> {
    const { db, files, clock } = this.#parts;
    const old = this.get(idOrPrefix);
    this.#checkRoom();
    db.flush();
    const steps = this.#store.stepsOf(old.id).map(({ plan }) => plan);
    const id = randomUUID();
    await files.copy(old.id, id);
    const plan = { ...old, ...old.options, text: this.#store.textOf(old.id), steps };
    return this.#begin(id, plan, who, clock.now());
  }

  /** A job has a row now. Called within the transaction that writes it. */
  added(job: Job): void {
    this.#note(job, true);
  }

  /** A job's row has changed. Called within the transaction that changes it. */
  changedJob(job: Job): void {
    this.#note(job, false);
    // An end makes room among the jobs that wait.
    if (isFinal(job.status) && this.#starts.hasHeld) {
      this.#runs.afterCommit(() => this.#starts.startHeld());
    }
  }

  async #begin(id: string, plan: WorkflowPlan, who: Identity, nowMs: number): Promise<Workflow> {
    const { db, files, volumes } = this.#parts;
    const steps = plan.steps.map((step, number) => ({ ...untouched, number, plan: step }));
    const { concurrency, workspace, calls } = plan;
    const workflow: Workflow = {
      id,
      name: plan.name,
      shownText: plan.shownText,
      maxParallel: plan.maxParallel,
      options: {
        ...(concurrency && { concurrency }),
        ...(workspace && { workspace }),
        ...(calls && { calls }),
      },
      waits: false,
      turns: [],
      owner: who,
      status: 'PENDING',
      ending: '',
      endedBy: '',
      createdAtMs: nowMs,
      startedAtMs: 0,
      endedAtMs: 0,
      total: steps.length,
      completed: 0,
      failed: 0,
      canceled: 0,
      skipped: 0,
    };
    let run = new Run(workflow, steps);
    try {
      await volumes.makeWorkspaces(workflow);
    } catch (error) {
      await this.#leftovers.dropWorkspaces(workflow, who);
      await files.drop(id);
      throw error;
    }
    try {
      await db.write(() => {
        const others = this.#runs.rivalsOf(run);
        run = new Run({ ...workflow, waits: others.length > 0 }, steps);
        run.begin(nowMs);
        this.#runs.record(id, 'workflow.created', run.workflow.status, plan.name, who);
        this.#store.add(run.workflow, plan, run.steps);
        this.#runs.put(run);
        if (concurrency?.cancelsOthers === true) this.#runs.endAll(others, who);
        this.#runs.settle(run);
      });
      await db.durable();
    } catch (cause) {
      this.#runs.drop(id);
      await files.drop(id);
      await this.#leftovers.dropWorkspaces(workflow, who);
      throw new JobletError(
        'unavailable',
        `the workflow could not be recorded, so nothing of it was started: ${messageOf(cause)}`,
        { cause },
      );
    }
    this.#committed(id);
    return run.workflow;
  }

  #note(job: Job, isNew: boolean): void {
    const { workflowUuid, name } = job.spec;
    if (workflowUuid === '') return;
    const run = this.#runs.find(workflowUuid);
    // What made it ready may have been taken back since it was looked at: then it has no row either.
    if (isNew && run?.isReady(name) !== true) {
      throw new JobletError('unavailable', `what the job ${name} waits for is not recorded`);
    }
    const step = run?.find(name);
    if (run === undefined || step === undefined) return;
    const wasPending = run.workflow.status === 'PENDING';
    const key = outputKeyOf(run, step, job, isNew);
    if (key !== undefined) {
      const { owner } = run.workflow;
      this.#runs.afterCommit(() => void this.#leftovers.ofJob(key, job.id, owner));
    }
    const news = newsOf(run, step, job, key, this.#parts.volumes);
    const changed = run.note(name, news, isNew, this.#parts.clock.now());
    if (changed.length === 0) return;
    if (wasPending && run.workflow.status === 'RUNNING') {
      this.#runs.record(workflowUuid, 'workflow.running', 'RUNNING', '');
    }
    this.#runs.write(run, changed);
    this.#starts.startWithin(workflowUuid);
    this.#runs.afterCommit(() => this.#committed(workflowUuid));
  }

  /** What was decided about a workflow is safe from a crash: it is done now. */
  #committed(id: string): void {
    const run = this.#runs.find(id);
    const hasEnded = run === undefined || isOver(run.workflow.status);
    if (run !== undefined && hasEnded) {
      this.#runs.drop(id);
      this.#starts.forget(id);
      void this.#leftovers.ofRun(run);
      const { status, completed, total } = run.workflow;
      this.#parts.log.info(`workflow ${status}`, { workflow: id, completed, total });
    } else this.#starts.startReady(id);
    // What is told is safe from a power cut too.
    void this.#parts.db
      .durable()
      .catch(() => {})
      .then(() => this.#watchers.wake(id, hasEnded));
  }

  #checkRoom(): void {
    if (this.#runs.size < MAX_RUNNING) return;
    throw new JobletError(
      'exhausted',
      `${MAX_RUNNING} workflows are under way already; try again when some of them are over`,
    );
  }
}
