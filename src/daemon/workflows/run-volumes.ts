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

export class RunVolumes {
  readonly #parts: RunVolumesParts;

  constructor(parts: RunVolumesParts) {
    this.#parts = parts;
  }

  /** Makes the workspace of a run. @throws JobletError exhausted, unavailable */
  async makeWorkspace(workflowId: string, bytes: number, who: Identity): Promise<void> {
    const size = bytes || this.#parts.workspaceBytes;
    await this.#make(workspaceOf(workflowId), 'filesystem', size, who);
  }

  workspaceMount(workflowId: string): VolumeMount {
    return { name: workspaceOf(workflowId), path: WORKSPACE_PLACE, readOnly: false };
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

  dropWorkspace(workflowId: string, who: Identity): Promise<void> {
    return this.#drop(workspaceOf(workflowId), who);
  }

  /** Removes what no run needs: workspaces of workflows that are not in `runs`, and outputs but for `keys`. */
  async sweep(workspaces: ReadonlySet<string>, keys: readonly OutputKey[]): Promise<void> {
    const needed = new Set([...[...workspaces].map(workspaceOf), ...keys.map(outputsOf)]);
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

function workspaceOf(workflowId: string): string {
  return runVolumeName('workspace', workflowId);
}

function outputsOf({ workflowId, number, attempt }: OutputKey): string {
  return runVolumeName('outputs', `${workflowId}-${number}-${attempt}`);
}
