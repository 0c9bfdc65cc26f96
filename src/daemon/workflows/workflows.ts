// The owner of workflows. A workflow is rows; what becomes of a job is noted in its step, and what
// follows from it decided, within the transaction that records the job's change. Only when that is
// committed are jobs started, so a daemon that dies at any moment is followed by one that finds each
// decision written, and each step either with its job or without one.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import { isFinal, viewOutcome } from '../../shared/job-state.ts';
import { hasEnded } from '../../shared/step-status.ts';
import { jobsOf } from '../../shared/workflow-expression.ts';
import type { Audit } from '../audit/audit.ts';
import type { Action } from '../audit/record.ts';
import { type Clock, Due } from '../jobs/due.ts';
import type { Identity, Job, Upload } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import { specWithOutputs } from './late.ts';
import { charsOf, type JobNews, Run, untouched } from './run.ts';
import { OUTPUT_FILE, type OutputKey, type RunVolumes } from './run-volumes.ts';
import { WorkflowStore } from './store.ts';
import {
  isOver,
  type Step,
  type StepPlan,
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
/** What all jobs of a workflow may say together: it is kept in memory. */
const MAX_OUTPUT_CHARS = 1024 * 1024;
/** Jobs deleted at a time with their workflow. */
const DELETES_AT_ONCE = 50;

export class Workflows {
  readonly #parts: WorkflowsParts;
  readonly #store: WorkflowStore;
  /** Those that are not over. */
  readonly #runs = new Map<string, Run>();
  /** Transactions that had been taken back when #runs was right. */
  #rollbacks: number;
  /** Steps that are being given a job, by workflow and name. */
  readonly #starting = new Map<string, Set<string>>();
  /** Workflows with steps that could not be given a job yet. */
  readonly #held = new Set<string>();
  /** Steps that wait for their next attempt, as `workflow number`. */
  readonly #due: Due;
  readonly #watchers = new Map<string, Set<() => void>>();
  /** Jobs may be started: those of an earlier daemon have been found, and this one does not stop. */
  #isGoing = false;

  constructor(parts: WorkflowsParts) {
    this.#parts = parts;
    this.#store = new WorkflowStore(parts.db);
    this.#rollbacks = parts.db.rollbacks;
    this.#due = new Due(parts.clock, (id) => this.#startReady(id.split(' ', 1)[0] ?? ''));
  }

  /** Reads what an earlier daemon left. Before jobs are recovered, so that none of their news is missed. */
  load(): void {
    for (const workflow of this.#store.unfinished()) this.#read(workflow);
  }

  /** Goes on with what an earlier daemon left. Files that others keep are named by their ids. */
  async recover(withFiles: readonly string[]): Promise<void> {
    const { clock, db, files } = this.#parts;
    await files.sweep(new Set([...this.#store.ids(), ...withFiles]));
    await db.write(() => {
      const runs = [...this.#runs.values()];
      for (const run of runs) this.#write(run, run.begin(clock.now()));
      for (const { workflow } of runs) this.#releaseNext(workflow);
    });
    this.#isGoing = true;
    // An end that was asked for of the daemon before this one.
    for (const run of this.#runs.values()) {
      if (run.workflow.ending === 'stop') void this.#stopJobs(run, false, run.workflow.owner);
    }
    for (const id of [...this.#runs.keys()]) this.#committed(id);
    void this.#sweepVolumes();
  }

  /** Tries again to start what could not be started: something was written at last. */
  goOn(): void {
    this.#startHeld();
  }

  /** Starts nothing more; jobs run on. */
  stopWatching(): void {
    this.#isGoing = false;
    this.#due.stop();
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
    const byStatus = new Map<WorkflowStatus, number>();
    for (const { workflow } of this.#runs.values()) {
      byStatus.set(workflow.status, (byStatus.get(workflow.status) ?? 0) + 1);
    }
    return byStatus;
  }

  /** Resolves when something of a workflow has changed, or when the signal is aborted. */
  changed(id: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watchers = this.#watchers.get(id) ?? new Set();
    const wake = () => {
      signal.removeEventListener('abort', wake);
      watchers.delete(wake);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
      resolve();
    };
    this.#watchers.set(id, watchers.add(wake));
    signal.addEventListener('abort', wake);
    return promise;
  }

  /** Starts nothing more of a workflow and ends what runs, or lets it end. Resolves when it is over. */
  async stop(
    idOrPrefix: string,
    { ending, force }: { readonly ending: 'stop' | 'cancel'; readonly force: boolean },
    who: Identity,
  ): Promise<Workflow> {
    const { db, clock } = this.#parts;
    const { id } = this.get(idOrPrefix);
    const run = this.#find(id);
    if (run === undefined) {
      const { status } = this.get(id);
      throw new JobletError(
        'wrong-state',
        `workflow is not running: ${id} (current status: ${status})`,
        { about: 'workflow_uuid' },
      );
    }
    await db.write(() => {
      this.#record(id, ending === 'stop' ? 'workflow.stop' : 'workflow.cancel', 'ok', '', who);
      const keep = this.#starting.get(id) ?? new Set();
      this.#write(run, run.end(ending, who.name, keep, clock.now()));
    });
    await db.durable();
    this.#committed(id);
    if (ending === 'stop') await this.#stopJobs(run, force, who);
    if (ending === 'cancel') return this.get(id);
    const never = new AbortController().signal;
    while (!isOver(this.get(id).status)) await this.changed(id, never);
    return this.get(id);
  }

  /** Deletes a workflow that is over, with its jobs and their logs. */
  async delete(idOrPrefix: string, who: Identity): Promise<Workflow> {
    const { db, jobs, files, volumes } = this.#parts;
    const workflow = this.get(idOrPrefix);
    if (!isOver(workflow.status)) {
      throw new JobletError(
        'wrong-state',
        `cannot delete workflow ${workflow.id}: it is ${workflow.status} - stop it first`,
        { about: 'workflow_uuid' },
      );
    }
    const ids = this.#store.shownStepsOf(workflow.id).flatMap(({ jobId }) => jobId || []);
    for (let at = 0; at < ids.length; at += DELETES_AT_ONCE) {
      const some = ids.slice(at, at + DELETES_AT_ONCE);
      await Promise.all(some.map((id) => deleteJob(jobs, id, who).catch(unlessGone)));
    }
    await db.write(() => {
      this.#record(workflow.id, 'workflow.deleted', 'ok', '', who);
      this.#store.remove(workflow.id);
    });
    await db.durable();
    await files.drop(workflow.id);
    if (workflow.options.workspace) await volumes.dropWorkspace(workflow.id, who);
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
    const run = this.#read(workflow);
    try {
      await db.write(() => {
        this.#record(id, 'workflow.retry', 'ok', '', who);
        this.#write(run, run.retry(this.#othersOf(workflow).length > 0, clock.now()));
      });
    } catch (error) {
      this.#runs.delete(id);
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
    if (isFinal(job.status) && this.#held.size > 0) this.#afterCommit(() => this.#startHeld());
  }

  async #begin(id: string, plan: WorkflowPlan, who: Identity, nowMs: number): Promise<Workflow> {
    const { db, files, volumes } = this.#parts;
    const steps = plan.steps.map((step, number) => ({ ...untouched, number, plan: step }));
    const { concurrency, workspace } = plan;
    const workflow: Workflow = {
      id,
      name: plan.name,
      shownText: plan.shownText,
      maxParallel: plan.maxParallel,
      options: { ...(concurrency && { concurrency }), ...(workspace && { workspace }) },
      waits: false,
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
    let ended: Run[] = [];
    try {
      if (workspace) await volumes.makeWorkspace(id, workspace.bytes, who);
    } catch (error) {
      await files.drop(id);
      throw error;
    }
    try {
      await db.write(() => {
        const others = this.#othersOf(workflow);
        run = new Run({ ...workflow, waits: others.length > 0 }, steps);
        run.begin(nowMs);
        this.#record(id, 'workflow.created', run.workflow.status, plan.name, who);
        this.#store.add(run.workflow, plan, run.steps);
        this.#runs.set(id, run);
        ended = concurrency?.cancelsOthers === true ? this.#endAll(others, who) : [];
      });
      await db.durable();
    } catch (cause) {
      this.#runs.delete(id);
      await files.drop(id);
      if (workspace) await volumes.dropWorkspace(id, who);
      throw new JobletError(
        'unavailable',
        `the workflow could not be recorded, so nothing of it was started: ${messageOf(cause)}`,
        { cause },
      );
    }
    for (const other of ended) {
      this.#committed(other.workflow.id);
      void this.#stopJobs(other, false, who);
    }
    this.#committed(id);
    return run.workflow;
  }

  /** Runs of its group that are not over, the oldest first. */
  #othersOf({ id, owner, options: { concurrency } }: Workflow): Run[] {
    if (concurrency === undefined) return [];
    return [...this.#runs.values()].filter(
      ({ workflow: other }) =>
        other.id !== id &&
        other.options.concurrency?.group === concurrency.group &&
        other.owner.name === owner.name &&
        !isOver(other.status),
    );
  }

  /** Ends runs within the transaction that is open; answers those of which that had not been asked. */
  #endAll(runs: readonly Run[], who: Identity): Run[] {
    const ended = runs.filter(({ workflow }) => workflow.ending === '');
    for (const run of ended) {
      const { id } = run.workflow;
      this.#record(id, 'workflow.stop', 'ok', 'another one of its group came', who);
      const keep = this.#starting.get(id) ?? new Set();
      this.#write(run, run.end('stop', who.name, keep, this.#parts.clock.now()));
    }
    return ended;
  }

  /** Lets the next of a group start, when none goes on. Called within the transaction that is open. */
  #releaseNext(workflow: Workflow): void {
    const own = this.#runs.get(workflow.id);
    const others = this.#othersOf(workflow);
    const all = own === undefined || isOver(own.workflow.status) ? others : [own, ...others];
    if (all.some((run) => !run.workflow.waits)) return;
    const [next] = all.toSorted((a, b) => a.workflow.createdAtMs - b.workflow.createdAtMs);
    if (next === undefined) return;
    this.#write(next, next.release(this.#parts.clock.now()));
    this.#afterCommit(() => this.#committed(next.workflow.id));
  }

  /** Ends the jobs of a run that are under way. Resolves when they have ended. */
  async #stopJobs({ steps }: Run, force: boolean, who: Identity): Promise<void> {
    const running = steps.filter(({ jobId, status }) => jobId !== '' && !hasEnded(status));
    await Promise.allSettled(
      running.map(({ jobId }) => this.#parts.jobs.stop(jobId, { force }, who)),
    );
  }

  /** Removes the volumes of a run that it needs no more. */
  async #dropVolumes({ workflow, steps }: Run): Promise<void> {
    const { id, owner, options, status } = workflow;
    // What did not go well may be taken up again.
    if (options.workspace === undefined || status !== 'COMPLETED') return;
    await Promise.all(steps.map(({ jobId }) => this.#isForgotten(jobId)));
    await this.#parts.volumes.dropWorkspace(id, owner);
  }

  /** Removes the place of outputs that have been read, or never will be. */
  async #dropOutputs(key: OutputKey, jobId: string, owner: Identity): Promise<void> {
    await this.#isForgotten(jobId);
    await this.#parts.volumes.dropOutputs(key, owner);
  }

  /** Resolves when a job holds nothing any more. */
  async #isForgotten(jobId: string): Promise<void> {
    if (jobId === '') return;
    await this.#parts.jobs.wait(jobId, new AbortController().signal).catch(() => {});
  }

  /** Removes volumes that an earlier daemon would have removed. */
  async #sweepVolumes(): Promise<void> {
    const keys = [...this.#runs.values()].flatMap(({ workflow, steps }) =>
      steps
        .filter(({ plan, jobId, status }) => hasOutputs(plan) && jobId !== '' && !hasEnded(status))
        .map(({ number, attempts }) => ({ workflowId: workflow.id, number, attempt: attempts })),
    );
    const kept = this.#store.ids().filter((id) => this.#store.find(id)?.status !== 'COMPLETED');
    await this.#parts.volumes.sweep(new Set(kept), keys);
  }

  #note(job: Job, isNew: boolean): void {
    const { workflowUuid, name } = job.spec;
    if (workflowUuid === '') return;
    const run = this.#find(workflowUuid);
    const step = run?.find(name);
    if (run === undefined || step === undefined) return;
    const wasPending = run.workflow.status === 'PENDING';
    const news = this.#newsOf(run, step, job, isNew);
    const changed = run.note(name, news, isNew, this.#parts.clock.now());
    if (changed.length === 0) return;
    if (wasPending && run.workflow.status === 'RUNNING') {
      this.#record(workflowUuid, 'workflow.running', 'RUNNING', '');
    }
    this.#write(run, changed);
    this.#afterCommit(() => this.#committed(workflowUuid));
  }

  /** What a job has come to, and has said. */
  #newsOf(run: Run, step: Step, job: Job, isNew: boolean): JobNews {
    const { workflow } = run;
    const { plan, number, attempts, jobId } = step;
    const news = newsOf(job);
    if (!hasOutputs(plan) || !isFinal(job.status) || (!isNew && jobId !== job.id)) return news;
    const key = { workflowId: workflow.id, number, attempt: isNew ? attempts + 1 : attempts };
    this.#afterCommit(() => void this.#dropOutputs(key, job.id, workflow.owner));
    if (job.status !== 'COMPLETED') return news;
    const reading = this.#parts.volumes.readOutputs(key, plan.outputs ?? []);
    const refused = (message: string): JobNews => ({
      ...news,
      status: 'FAILED',
      exitCode: -1,
      message,
    });
    if ('problem' in reading) return refused(reading.problem);
    const { outputs } = reading;
    if (run.outputChars + charsOf(outputs) <= MAX_OUTPUT_CHARS) return { ...news, outputs };
    return refused(`the outputs of a workflow are at most ${MAX_OUTPUT_CHARS} characters together`);
  }

  /** Runs `then` when the transaction that is open has been committed; never, when it is taken back. */
  #afterCommit(then: () => void): void {
    this.#parts.db.write(() => {}).then(then, () => {});
  }

  /** Writes what has changed of a workflow into the transaction that is open. */
  #write(run: Run, changed: readonly Step[]): void {
    const { workflow } = run;
    this.#store.set(workflow, changed);
    if (!isOver(workflow.status)) return;
    const { completed, failed, canceled, total } = workflow;
    const detail = `${completed} of ${total} jobs completed, ${failed} failed, ${canceled} canceled`;
    this.#record(workflow.id, 'workflow.ended', workflow.status, detail);
    if (workflow.options.concurrency) this.#releaseNext(workflow);
  }

  #record(id: string, action: Action, result: string, detail: string, who?: Identity): void {
    const atMs = this.#parts.clock.now();
    this.#parts.audit.append({ atMs, action, jobId: id, who, result, detail });
  }

  /** What was decided about a workflow is safe from a crash: it is done now. */
  #committed(id: string): void {
    const run = this.#find(id);
    if (run !== undefined && isOver(run.workflow.status)) {
      this.#runs.delete(id);
      this.#held.delete(id);
      void this.#dropVolumes(run);
      const { status, completed, total } = run.workflow;
      this.#parts.log.info(`workflow ${status}`, { workflow: id, completed, total });
    } else this.#startReady(id);
    // What is told is safe from a power cut too.
    void this.#parts.db
      .durable()
      .catch(() => {})
      .then(() => this.#wake(id));
  }

  #wake(id: string): void {
    const watchers = [...(this.#watchers.get(id) ?? [])];
    this.#watchers.delete(id);
    for (const wake of watchers) wake();
  }

  #startReady(id: string): void {
    if (!this.#isGoing) return;
    const run = this.#find(id);
    if (run === undefined) return;
    const now = this.#parts.clock.now();
    const starting = this.#starting.get(id) ?? new Set<string>();
    for (const step of run.ready) {
      if (starting.has(step.plan.name)) continue;
      if (step.notBeforeMs > now) this.#due.add(`${id} ${step.number}`, step.notBeforeMs);
      else {
        this.#start(run.workflow, step, starting).catch((error: unknown) => {
          this.#held.add(id);
          const why = messageOf(error);
          this.#parts.log.error('a workflow could not go on; it is tried again', {
            workflow: id,
            why,
          });
        });
      }
    }
  }

  #startHeld(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const id of held) this.#startReady(id);
  }

  /** Gives a step its job. */
  async #start(
    { id, owner, options }: Workflow,
    { plan, number, attempts }: Step,
    starting: Set<string>,
  ): Promise<void> {
    const { jobs, files, volumes, db, clock, log } = this.#parts;
    this.#starting.set(id, starting.add(plan.name));
    let uploadId = '';
    let hasJob = false;
    try {
      uploadId = await files.offer(id, plan.files, plan.directories, owner);
      const startAtMs =
        plan.delayMs > 0 && attempts === 0 ? clock.now() + plan.delayMs : plan.spec.startAtMs;
      const spec = specWithOutputs(plan, (name, output) => this.#find(id)?.outputOf(name, output));
      const wish = { ...spec, uploads: [], uploadId, startAtMs, workflowUuid: id };
      if (options.workspace) wish.volumes = [...wish.volumes, volumes.workspaceMount(id)];
      if (hasOutputs(plan)) {
        const key = { workflowId: id, number, attempt: attempts + 1 };
        wish.volumes = [...wish.volumes, await volumes.makeOutputs(key, owner)];
        wish.environment = { ...wish.environment, JOBLET_OUTPUT: OUTPUT_FILE };
      }
      const job = await jobs.run(wish, owner);
      hasJob = true;
      // Its end was asked for while it was being started.
      if (this.#find(id)?.workflow.ending === 'stop' && !isFinal(job.status)) {
        await jobs.stop(job.id, {}, owner);
      }
    } catch (error) {
      await files.takeBack(uploadId, owner);
      const isPassing =
        error instanceof JobletError &&
        (error.kind === 'exhausted' || error.kind === 'unavailable');
      log.warn('a job of a workflow could not be started', {
        workflow: id,
        job: plan.name,
        why: messageOf(error),
      });
      const isEnding = this.#find(id)?.workflow.ending !== '';
      if (isPassing && !isEnding) this.#held.add(id);
      else {
        await db
          .write(() => {
            const run = this.#find(id);
            if (run !== undefined) {
              this.#write(run, run.fail(plan.name, messageOf(error), clock.now()));
            }
          })
          .then(
            () => this.#committed(id),
            () => this.#held.add(id),
          );
      }
    } finally {
      starting.delete(plan.name);
      if (starting.size === 0) this.#starting.delete(id);
      // The job may have ended before it was known to have started, and be due for another attempt.
      if (hasJob) this.#startReady(id);
    }
  }

  /** A workflow under way, as its rows have it. */
  #find(id: string): Run | undefined {
    const { rollbacks } = this.#parts.db;
    if (rollbacks !== this.#rollbacks) {
      // What was noted in a transaction that was taken back has not happened.
      this.#rollbacks = rollbacks;
      this.#runs.clear();
      this.load();
    }
    return this.#runs.get(id);
  }

  #read(workflow: Workflow): Run {
    const run = new Run(workflow, this.#store.stepsOf(workflow.id));
    this.#runs.set(workflow.id, run);
    return run;
  }

  #checkRoom(): void {
    if (this.#runs.size < MAX_RUNNING) return;
    throw new JobletError(
      'exhausted',
      `${MAX_RUNNING} workflows are under way already; try again when some of them are over`,
    );
  }
}

function hasOutputs({ outputs = [] }: StepPlan): boolean {
  return outputs.length > 0;
}

function newsOf(job: Job): JobNews {
  const view = job.outcome === undefined ? undefined : viewOutcome(job.outcome);
  return {
    id: job.id,
    status: job.status,
    startedAtMs: job.startedAtMs,
    endedAtMs: job.endedAtMs,
    exitCode: view?.exitCode ?? 0,
    message: view?.message ?? '',
    outputs: {},
  };
}

/** Deletes a job whose end is recorded, and may be on its way to those who wait for it. */
async function deleteJob(
  jobs: Pick<Jobs, 'wait' | 'delete'>,
  id: string,
  who: Identity,
): Promise<void> {
  await jobs.wait(id, new AbortController().signal);
  await jobs.delete(id, who);
}

/** A job that was deleted already is as well deleted. */
function unlessGone(error: unknown): void {
  if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
}
