// A launcher for the tests of a file, and what most of them ask of it.

import { after, before } from 'node:test';
import {
  type JobLog,
  type LauncherProcess,
  type StartedJob,
  type Wishes,
  World,
  whyNot,
} from './launching.ts';

/** A job that has ended. */
export interface EndedJob extends StartedJob {
  readonly end: ReadonlyMap<string, string>;
  readonly log: JobLog;
}

export class LauncherWorld {
  readonly skip = whyNot() ?? false;
  #world: World | undefined;
  #launcher: LauncherProcess | undefined;

  constructor() {
    before(async () => {
      if (this.skip !== false) return;
      this.#world = new World();
      this.#launcher = await this.#world.start();
    });
    after(async () => {
      await this.#world?.close();
    });
  }

  get world(): World {
    if (this.#world === undefined) throw new Error('there is no launcher: this test is skipped');
    return this.#world;
  }

  get launcher(): LauncherProcess {
    if (this.#launcher === undefined) throw new Error('the launcher has not been started');
    return this.#launcher;
  }

  readonly start = (args: readonly string[], wishes?: Wishes): Promise<StartedJob> =>
    this.launcher.launch(this.world.plan(args, wishes));

  /** Runs a shell script to its end. */
  readonly run = async (script: string, wishes?: Wishes): Promise<EndedJob> => {
    const job = await this.start(['sh', '-c', script], wishes);
    const end = await job.ended;
    return { ...job, end, log: this.world.readLog(job.id) };
  };
}
