// Gives ready steps of workflows their jobs. A step has one when the job's row says so, and what could
// not be started yet is tried again, so whenever this dies, another one finds what is left to do.

import { JobletError, messageOf } from '../../shared/errors.ts';
import { isFinal } from '../../shared/job-state.ts';
import { hasEnded } from '../../shared/step-status.ts';
import { type Clock, Due } from '../jobs/due.ts';
import type { Identity } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import { specWithOutputs } from './late.ts';
import type { Run } from './run.ts';
import { OUTPUT_FILE, type RunVolumes, workspaceOf } from './run-volumes.ts';
import type { UnderWay } from './under-way.ts';
import { hasOutputs, type Step, type Workflow } from './workflow.ts';

export interface StartsParts {
  readonly db: Db;
  readonly jobs: Pick<Jobs, 'run' | 'stop'>;
  readonly files: WorkflowFiles;
  readonly volumes: RunVolumes;
  readonly runs: UnderWay;
  readonly clock: Clock;
  readonly log: Log;
  /** What was decided about a workflow is committed. */
  readonly committed: (id: string) => void;
}

export class Starts {
  readonly #parts: StartsParts;
  /** Steps that are being given a job, by workflow and name. */
  readonly #starting = new Map<string, Set<string>>();
  /** Workflows with steps that could not be given a job yet. */
  readonly #held = new Set<string>();
  /** Steps that wait for their next attempt, as `workflow number`. */
  readonly #due: Due;
  /** Jobs may be started: those of an earlier daemon have been found, and this one does not stop. */
  #isGoing = false;

  constructor(parts: StartsParts) {
    this.#parts = parts;
    this.#due = new Due(parts.clock, (id) => this.startReady(id.split(' ', 1)[0] ?? ''));
  }

  start(): void {
    this.#isGoing = true;
  }

  /** Starts nothing more; jobs run on. */
  stop(): void {
    this.#isGoing = false;
    this.#due.stop();
  }

  /** Steps of a workflow that are being given their jobs this moment. */
  of(id: string): ReadonlySet<string> {
    return this.#starting.get(id) ?? new Set();
  }

  get hasHeld(): boolean {
    return this.#held.size > 0;
  }

  /** Tries again to start what could not be started. */
  startHeld(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const id of held) this.startReady(id);
  }

  /** Nothing of a workflow is left to start. */
  forget(id: string): void {
    this.#held.delete(id);
  }

  /** Starts what is ready, when what made it so is committed. */
  startReady(id: string): void {
    const run = this.#isGoing ? this.#parts.runs.find(id) : undefined;
    const now = this.#parts.clock.now();
    for (const step of run?.ready ?? []) {
      if (step.notBeforeMs > now) this.#due.add(`${id} ${step.number}`, step.notBeforeMs);
      else if (run !== undefined) this.#begin(run.workflow, step);
    }
  }

  /**
   * The same within the transaction that makes it so, for steps whose job is nothing but a row until that
   * is committed: both are, or neither. The others follow with startReady.
   */
  startWithin(id: string): void {
    const run = this.#isGoing ? this.#parts.runs.find(id) : undefined;
    if (run === undefined) return;
    for (const step of run.ready)
      if (isRowAlone(run.workflow, step)) this.#begin(run.workflow, step);
  }

  /** Ends jobs that are under way. Resolves when they have ended. */
  async stopJobs(steps: readonly Step[], force: boolean, who: Identity): Promise<void> {
    const running = steps.filter(({ jobId, status }) => jobId !== '' && !hasEnded(status));
    await Promise.allSettled(
      running.map(({ jobId }) => this.#parts.jobs.stop(jobId, { force }, who)),
    );
  }

  #begin(workflow: Workflow, step: Step): void {
    const { id } = workflow;
    const starting = this.#starting.get(id) ?? new Set<string>();
    if (starting.has(step.plan.name)) return;
    this.#start(workflow, step, starting).catch((error: unknown) => {
      this.#held.add(id);
      const why = messageOf(error);
      this.#parts.log.error('a workflow could not go on; it is tried again', { workflow: id, why });
    });
  }

  /** Gives a step its job. */
  async #start(workflow: Workflow, step: Step, starting: Set<string>): Promise<void> {
    const { jobs, files, runs } = this.#parts;
    const { id, owner } = workflow;
    const { plan } = step;
    this.#starting.set(id, starting.add(plan.name));
    let uploadId = '';
    let hasJob = false;
    try {
      uploadId = await files.offer(id, plan.files, plan.directories, owner);
      const wish = await this.#wishOf(workflow, step, uploadId);
      // What made it ready may have been taken back, with the transaction that it was in.
      if (runs.find(id)?.isReady(plan.name) !== true) {
        await files.takeBack(uploadId, owner);
        return;
      }
      const job = await jobs.run(wish, owner);
      hasJob = true;
      // Its end was asked for while it was being started.
      const run = runs.find(id);
      if (run?.isStopping(step) === true && !isFinal(job.status)) {
        await jobs.stop(job.id, {}, owner);
      }
    } catch (error) {
      await files.takeBack(uploadId, owner);
      this.#failed(runs.find(id), workflow, step, error);
    } finally {
      starting.delete(plan.name);
      if (starting.size === 0) this.#starting.delete(id);
      // The job may have ended before it was known to have started, and be due for another attempt.
      if (hasJob) this.startReady(id);
    }
  }

  /** What a step asks of its job. */
  async #wishOf(workflow: Workflow, step: Step, uploadId: string) {
    const { volumes, clock, runs } = this.#parts;
    const { plan, number, attempts } = step;
    const { id, owner } = workflow;
    const startAtMs =
      plan.delayMs > 0 && attempts === 0 ? clock.now() + plan.delayMs : plan.spec.startAtMs;
    const spec = specWithOutputs(plan, (name, output) => runs.find(id)?.outputOf(name, output));
    const wish = { ...spec, uploads: [], uploadId, startAtMs, workflowUuid: id };
    const workspace = workspaceOf(workflow, plan);
    if (workspace) wish.volumes = [...wish.volumes, volumes.workspaceMount(workspace)];
    if (hasOutputs(plan)) {
      const key = { workflowId: id, number, attempt: attempts + 1 };
      wish.volumes = [...wish.volumes, await volumes.makeOutputs(key, owner)];
      wish.environment = { ...wish.environment, JOBLET_OUTPUT: OUTPUT_FILE };
    }
    return wish;
  }

  /** A step could not be given a job: it waits where that may change, and has failed otherwise. */
  #failed(now: Run | undefined, { id }: Workflow, step: Step, error: unknown): void {
    const { db, runs, clock, log, committed } = this.#parts;
    const { name } = step.plan;
    const why = messageOf(error);
    log.warn('a job of a workflow could not be started', { workflow: id, job: name, why });
    const isPassing =
      error instanceof JobletError && (error.kind === 'exhausted' || error.kind === 'unavailable');
    const isEnding = now === undefined || now.workflow.ending !== '' || now.isStopping(step);
    if (isPassing && !isEnding) {
      this.#held.add(id);
      return;
    }
    const written = db.write(() => {
      const run = runs.find(id);
      if (run !== undefined) runs.write(run, run.fail(name, why, clock.now()));
    });
    written.then(
      () => committed(id),
      () => this.#held.add(id),
    );
  }
}

/** Nothing is done for such a step but to write a row, before its job is started. */
function isRowAlone(workflow: Workflow, { plan, notBeforeMs }: Step): boolean {
  const { files, directories, spec } = plan;
  const isPlain = files.length === 0 && directories.length === 0 && spec.publish.length === 0;
  return isPlain && notBeforeMs === 0 && !hasOutputs(plan) && !workspaceOf(workflow, plan);
}
