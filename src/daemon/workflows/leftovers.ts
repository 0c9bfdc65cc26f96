// What a run leaves behind: volumes that were made for it, which go when nobody needs them any more, and
// its jobs, which go with it.

import { JobletError } from '../../shared/errors.ts';
import { hasEnded } from '../../shared/step-status.ts';
import type { Identity } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Run } from './run.ts';
import { type OutputKey, type RunVolumes, workspacesOf } from './run-volumes.ts';
import type { WorkflowStore } from './store.ts';
import { hasOutputs, type Workflow } from './workflow.ts';

export interface LeftoversParts {
  readonly jobs: Pick<Jobs, 'wait' | 'delete'>;
  readonly volumes: RunVolumes;
  readonly store: WorkflowStore;
}

/** Jobs deleted at a time. */
const DELETES_AT_ONCE = 50;

export class Leftovers {
  readonly #parts: LeftoversParts;

  constructor(parts: LeftoversParts) {
    this.#parts = parts;
  }

  /** Removes the workspaces of a run that is over, but for one that may be taken up again. */
  async ofRun({ workflow, steps }: Run): Promise<void> {
    if (workflow.status !== 'COMPLETED' || workspacesOf(workflow).length === 0) return;
    await Promise.all(steps.map(({ jobId }) => this.#isForgotten(jobId)));
    await this.dropWorkspaces(workflow, workflow.owner);
  }

  async dropWorkspaces(workflow: Pick<Workflow, 'id' | 'options'>, who: Identity): Promise<void> {
    for (const key of workspacesOf(workflow)) await this.#parts.volumes.dropWorkspace(key, who);
  }

  /** Removes the place of outputs that have been read, or never will be. */
  async ofJob(key: OutputKey, jobId: string, owner: Identity): Promise<void> {
    await this.#isForgotten(jobId);
    await this.#parts.volumes.dropOutputs(key, owner);
  }

  /** Deletes the jobs of a workflow that is over. */
  async deleteJobs(workflowId: string, who: Identity): Promise<void> {
    const ids = this.#parts.store.shownStepsOf(workflowId).flatMap(({ jobId }) => jobId || []);
    for (let at = 0; at < ids.length; at += DELETES_AT_ONCE) {
      const some = ids.slice(at, at + DELETES_AT_ONCE);
      await Promise.all(some.map((id) => this.#deleteJob(id, who)));
    }
  }

  /** Removes what an earlier daemon would have removed. */
  async sweep(runs: readonly Run[]): Promise<void> {
    const { store, volumes } = this.#parts;
    const keys = runs.flatMap(({ workflow, steps }) =>
      steps
        .filter(({ plan, jobId, status }) => hasOutputs(plan) && jobId !== '' && !hasEnded(status))
        .map(({ number, attempts }) => ({ workflowId: workflow.id, number, attempt: attempts })),
    );
    const kept = store.ids().flatMap((id) => {
      const workflow = store.find(id);
      return workflow === undefined || workflow.status === 'COMPLETED'
        ? []
        : workspacesOf(workflow);
    });
    await volumes.sweep(kept, keys);
  }

  /** Deletes a job whose end is recorded, and may be on its way to those who wait for it. */
  async #deleteJob(id: string, who: Identity): Promise<void> {
    const { jobs } = this.#parts;
    try {
      await jobs.wait(id, new AbortController().signal);
      await jobs.delete(id, who);
    } catch (error) {
      // A job that was deleted already is as well deleted.
      if (!(error instanceof JobletError) || error.kind !== 'not-found') throw error;
    }
  }

  /** Resolves when a job holds nothing any more. */
  async #isForgotten(jobId: string): Promise<void> {
    if (jobId === '') return;
    await this.#parts.jobs.wait(jobId, new AbortController().signal).catch(() => {});
  }
}
