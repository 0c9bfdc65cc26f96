// Volumes that are made for runs of workflows and go with them: the workspace that its jobs share, and
// for a job with outputs a small one in memory that holds them until they have been read. Which of
// them are needed can be told from their names and the rows of workflows alone.

import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { isRunVolume, runVolumeName } from '../../shared/names.ts';
import type { VolumeMount } from '../../shared/volume-mount.ts';
import { type Actor, daemonItself } from '../audit/record.ts';
import type { Clock } from '../jobs/due.ts';
import type { Identity } from '../jobs/job.ts';
import type { Log } from '../log.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type OutputReading, readOutputFile } from './output-file.ts';
import type { StepPlan, Workflow } from './workflow.ts';

export interface RunVolumesParts {
  readonly volumes: Pick<Volumes, 'create' | 'remove' | 'has' | 'names' | 'filesOf'>;
  /** The size of a workspace that names none. */
  readonly workspaceBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The least that a volume can hold; a file of outputs is much smaller. */
const OUTPUT_VOLUME_BYTES = 1024 ** 2;

/** Where a job finds them. */
export const OUTPUT_PLACE = '/joblet';
export const OUTPUT_FILE = `${OUTPUT_PLACE}/outputs`;
export const WORKSPACE_PLACE = '/workspace';

/** Which job of a workflow writes outputs: each attempt has its own. */
export interface OutputKey {
  readonly workflowId: string;
  readonly number: number;
  readonly attempt: number;
}

/** Whose workspace: a run's, or that of a call within it. */
export interface WorkspaceKey {
  readonly workflowId: string;
  readonly call?: number;
}

/** The workspaces of a run; of 0 bytes they are as big as volumes usually are. */
export function workspacesOf({
  id,
  options: { workspace, calls = [] },
}: Pick<Workflow, 'id' | 'options'>): readonly (WorkspaceKey & { readonly bytes: number })[] {
  const own = workspace === undefined ? [] : [{ workflowId: id, bytes: workspace.bytes }];
  const ofCalls = calls.flatMap((call, number) =>
    call.workspace === undefined
      ? []
      : [{ workflowId: id, call: number, bytes: call.workspace.bytes }],
  );
  return [...own, ...ofCalls];
}

/** The workspace of a step: that of the innermost call which has one, or of the run. */
export function workspaceOf(
  { id, options: { workspace, calls = [] } }: Pick<Workflow, 'id' | 'options'>,
  { call: innermost }: Pick<StepPlan, 'call'>,
): WorkspaceKey | undefined {
  for (let call = innermost; call !== undefined; call = calls[call]?.around) {
    if (calls[call]?.workspace !== undefined) return { workflowId: id, call };
  }
  return workspace === undefined ? undefined : { workflowId: id };
}

export class RunVolumes {
  readonly #parts: RunVolumesParts;

  constructor(parts: RunVolumesParts) {
    this.#parts = parts;
  }

  /** Makes the workspaces of a run. @throws JobletError exhausted, unavailable */
  async makeWorkspaces(workflow: Pick<Workflow, 'id' | 'options' | 'owner'>): Promise<void> {
    for (const { bytes, ...key } of workspacesOf(workflow)) {
      const size = bytes || this.#parts.workspaceBytes;
      await this.#make(workspaceName(key), 'filesystem', size, workflow.owner);
    }
  }

  workspaceMount(key: WorkspaceKey): VolumeMount {
    return { name: workspaceName(key), path: WORKSPACE_PLACE, readOnly: false };
  }

  /** Makes the place for the outputs of a job; it may be there from a daemon that was killed. */
  async makeOutputs(key: OutputKey, who: Identity): Promise<VolumeMount> {
    const name = outputsOf(key);
    await this.#make(name, 'memory', OUTPUT_VOLUME_BYTES, who);
    return { name, path: OUTPUT_PLACE, readOnly: false };
  }

  readOutputs(key: OutputKey, declared: readonly string[]): OutputReading {
    const name = outputsOf(key);
    if (!this.#parts.volumes.has(name)) return { outputs: {} };
    const file = path.join(this.#parts.volumes.filesOf(name), path.basename(OUTPUT_FILE));
    return readOutputFile(file, declared);
  }

  dropOutputs(key: OutputKey, who: Identity): Promise<void> {
    return this.#drop(outputsOf(key), who);
  }

  dropWorkspace(key: WorkspaceKey, who: Identity): Promise<void> {
    return this.#drop(workspaceName(key), who);
  }

  /** Removes all but these. */
  async sweep(workspaces: readonly WorkspaceKey[], outputs: readonly OutputKey[]): Promise<void> {
    const needed = new Set([...workspaces.map(workspaceName), ...outputs.map(outputsOf)]);
    for (const name of this.#parts.volumes.names()) {
      if (isRunVolume(name) && !needed.has(name)) await this.#drop(name, daemonItself);
    }
  }

  async #make(
    name: string,
    type: 'filesystem' | 'memory',
    bytes: number,
    who: Identity,
  ): Promise<void> {
    const { volumes, clock } = this.#parts;
    if (volumes.has(name)) return;
    await volumes.create({ name, type, bytes }, clock.now(), who);
  }

  async #drop(name: string, who: Actor): Promise<void> {
    const { volumes, clock, log } = this.#parts;
    try {
      await volumes.remove(name, clock.now(), who);
    } catch (error) {
      if (error instanceof JobletError && error.kind === 'not-found') return;
      log.warn('a volume of a workflow stays until the daemon starts anew', {
        volume: name,
        why: messageOf(error),
      });
    }
  }
}

function workspaceName({ workflowId, call }: WorkspaceKey): string {
  return runVolumeName('workspace', call === undefined ? workflowId : `${workflowId}-${call}`);
}

function outputsOf({ workflowId, number, attempt }: OutputKey): string {
  return runVolumeName('outputs', `${workflowId}-${number}-${attempt}`);
}
