// A workflow as its file means it: every default filled in, every name put in its place.

import type { Condition, Expression } from './workflow-expression.ts';
import type { LateTexts } from './workflow-outputs.ts';
import type { Path } from './yaml-text.ts';

/** When a job is started anew. */
export interface Retry {
  /** Starts at most, the first included. */
  readonly attempts: number;
  /** Before the second start; it doubles from then on. */
  readonly backoffMs: number;
  /** Exit codes after which it is; empty is any failure. */
  readonly exitCodes: readonly number[];
}

export interface Concurrency {
  readonly group: string;
  /** Runs before it are stopped; otherwise it waits for them. */
  readonly cancelsOthers: boolean;
}

/** What a workflow says about its run as a whole. */
export interface WorkflowOptions {
  /** Jobs under way at the same time; 0 is any number. */
  readonly maxParallel: number;
  /** Of the runs of one group one goes on at a time. */
  readonly concurrency?: Concurrency;
  /** A volume for the run, shared by its jobs; of 0 bytes is as big as volumes usually are. */
  readonly workspace?: { readonly bytes: number; readonly at: Path };
}

/** A workflow that is run as a job of another one, and says something of its own about that. */
export interface WorkflowCall extends WorkflowOptions {
  /** The name of the job that calls it. */
  readonly name: string;
  /** The call that it is part of, by its place among them; none where the run itself is. */
  readonly around?: number;
}

export interface WorkflowJob {
  /** Its key in the file; of a matrix with the values of its combination. */
  readonly name: string;
  /** Where it stands. */
  readonly at: Path;
  readonly description: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly runtime: string;
  readonly network: string;
  readonly volumes: readonly string[];
  readonly workDir: string;
  /** Files and folders that it brings along, relative to the folder of the file. */
  readonly files: readonly string[];
  readonly directories: readonly string[];
  readonly requires: Expression;
  /** What has to hold besides when it could start; otherwise it is left out. */
  readonly condition?: Condition;
  /** Names of the values that it says. */
  readonly outputs: readonly string[];
  /** Texts that outputs of others are put into before it starts. */
  readonly late?: LateTexts;
  readonly environment: Readonly<Record<string, string>>;
  readonly secretEnvironment: Readonly<Record<string, string>>;
  /** 0 is the default, everywhere. */
  readonly maxCpu: number;
  readonly maxMemoryMb: number;
  readonly maxIoBps: number;
  readonly maxProcesses: number;
  readonly cpuCores: string;
  readonly gpuCount: number;
  readonly gpuMemoryMb: number;
  readonly timeoutMs: number;
  /** As it is written; empty is at once. */
  readonly schedule: string;
  readonly retry: Retry;
  /** The innermost call that it is part of, by its place in `calls`. */
  readonly call?: number;
}

export interface Workflow extends WorkflowOptions {
  readonly name: string;
  readonly description: string;
  /** In the order of the file. */
  readonly jobs: readonly WorkflowJob[];
  /** Names of the jobs, each behind those it waits for. */
  readonly order: readonly string[];
  /** Each behind the one that it is part of. */
  readonly calls: readonly WorkflowCall[];
  /** What is allowed and may not be meant, with its place. */
  readonly warnings: readonly { readonly field: string; readonly message: string }[];
  /** `file:line:column` of a part of it. */
  readonly placeOf: (at: Path, part: 'key' | 'value') => string;
}
