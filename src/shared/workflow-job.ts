// A workflow as its file means it: every default filled in, every name put in its place.

import type { Expression } from './workflow-expression.ts';
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
}

export interface Workflow {
  readonly name: string;
  readonly description: string;
  /** In the order of the file. */
  readonly jobs: readonly WorkflowJob[];
  /** Names of the jobs, each behind those it waits for. */
  readonly order: readonly string[];
  /** Jobs under way at the same time; 0 is any number. */
  readonly maxParallel: number;
  /** What is allowed and may not be meant, with its place. */
  readonly warnings: readonly { readonly field: string; readonly message: string }[];
  /** `file:line:column` of a part of it. */
  readonly placeOf: (at: Path, part: 'key' | 'value') => string;
}
