// What every trial needs: a daemon of its own, a connection to it, and the peers.

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { JobRequest } from '../src/client/messages.ts';
import {
  getJobLogs,
  getServerVersion,
  runJob,
  runWorkflow,
  stopJob,
  waitJob,
  watchWorkflow,
} from '../src/client/methods.ts';
import { startDaemon } from '../test/harness.ts';
import { openWorkshop, type Workshop } from './peers.ts';

/** Every limit is set, so that none of the work is left out. */
export const BENCH_LIMITS = {
  maxCpu: 100,
  maxMemory: 256,
  maxIoBps: 100 << 20,
  maxProcesses: 64,
} as const satisfies JobRequest;

const ROOT = path.join(import.meta.dirname, '..');
/** As people start it: bundled, and found by its script. */
const RNX = path.join(ROOT, 'dist/rnx');

export interface World {
  readonly workshop: Workshop;
  readonly daemonPid: number;
  /** A command that prints the monotonic clock; jobs see it under this path. */
  readonly stamp: string;
  /** argv of the client, with the daemon's nodes file. */
  readonly rnx: readonly string[];
  /** The tree of an installed runtime. */
  tree(runtime: string, version: string): string;
  /** A call that does nothing. */
  emptyCall(): Promise<void>;
  /** Starts a job; answers its id when the command runs. */
  run(command: string, limits: JobRequest, args?: readonly string[]): Promise<string>;
  /** Waits for a job's end and fails unless it was a good one. */
  ended(uuid: string): Promise<void>;
  /** The first number in a job's output. */
  printed(uuid: string): Promise<number>;
  kill(uuid: string): Promise<void>;
  /** Runs a workflow to its good end; answers the ids of its jobs, in the order of its text. */
  workflow(yamlContent: string): Promise<string[]>;
  close(): Promise<void>;
}

/** Starts a daemon for this trial alone. */
export async function openWorld(): Promise<World> {
  if (!existsSync(RNX)) throw new Error(`${RNX} is not there; build it with ./dev`);
  const workshop = openWorkshop();
  const daemon = await startDaemon({
    joblet: { maxConcurrentJobs: 0 },
    filesystem: { allowedMounts: [...hostPaths, workshop.commands] },
    logging: { level: 'WARN' },
  }).catch((error: unknown) => {
    workshop.remove();
    throw error;
  });
  const api = daemon.as('admin');
  return {
    workshop,
    daemonPid: daemon.pid,
    stamp: path.join(workshop.commands, 'stamp'),
    rnx: [RNX, '--config', daemon.nodesFile('admin')],
    tree: (runtime, version) =>
      path.join(daemon.directory, 'runtimes', runtime, version, 'isolated'),
    async emptyCall() {
      await api.unary(getServerVersion, {});
    },
    async run(command, limits, args = []) {
      const { jobUuid, status, message } = await api.unary(runJob, { ...limits, command, args });
      if (status === 'FAILED') throw new Error(`${command}: ${message}`);
      return jobUuid;
    },
    async ended(uuid) {
      const { status, message } = await api.unary(waitJob, { uuid });
      if (status !== 'COMPLETED') throw new Error(`job ${uuid} is ${status}: ${message}`);
    },
    async printed(uuid) {
      let text = '';
      for await (const { payload } of api.serverStream(getJobLogs, { uuid })) {
        text += Buffer.from(payload).toString();
      }
      return Number(text);
    },
    async kill(uuid) {
      await api.unary(stopJob, { uuid, force: true });
    },
    async workflow(yamlContent) {
      const { workflowUuid } = await api.unary(runWorkflow, { yamlContent, workflow: 'bench' });
      for await (const { workflow, jobs } of api.serverStream(watchWorkflow, { workflowUuid })) {
        if (workflow?.completedAt === undefined) continue;
        if (workflow.status === 'COMPLETED') return jobs.map(({ jobUuid }) => jobUuid);
      }
      throw new Error(`workflow ${workflowUuid} did not go well`);
    },
    async close() {
      await daemon.stop();
      workshop.remove();
    },
  };
}

/** What a job needs of the host to run dynamic programs. */
const hostPaths = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc/ld.so.cache'] as const;
