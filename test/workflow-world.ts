// A daemon for the tests of a file that run workflows as one developer, and words for their texts.

import { after, before } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

export class WorkflowWorld {
  readonly skip = cannotRun();
  #daemon: Daemon | undefined;
  #api: Connection | undefined;

  constructor() {
    before(async () => {
      if (this.skip === false) this.#daemon = await startDaemon();
    });
    after(async () => {
      await this.#daemon?.stop();
    });
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('there is no daemon: this test is skipped');
    return this.#daemon;
  }

  /** What the developer calls the daemon by. */
  get api(): Connection {
    this.#api ??= this.daemon.as('developer');
    return this.#api;
  }

  /** Kills the daemon and starts another one. */
  async killed(): Promise<void> {
    await this.daemon.kill();
    await this.daemon.restart();
    this.#api = undefined;
  }
}

/** The keys of a job that runs a line of shell. */
export const shell = (script: string): string =>
  `command: sh, args: ["-c", ${JSON.stringify(script)}]`;

/** A line of shell that says a value for the jobs that follow. */
export const says = (name: string, value: string): string =>
  `echo "${name}=${value}" >> "$JOBLET_OUTPUT"`;
