// What the daemon asks of the program in the builder's sandbox, and what that answers, both as files.
// The program has nothing but our own sources: whatever this file needs, it must have too.

import type { BuildLock } from './build-lock.ts';
import type { Phase } from './build-phases.ts';
import type { BuildSpec } from './build-spec.ts';
import type { Platform } from './platform.ts';

export interface BuildTask {
  readonly spec: BuildSpec;
  readonly platform: Platform;
  /** Stop when it is known that everything is there. */
  readonly checkOnly: boolean;
  /** Take exactly this. */
  readonly lock: BuildLock | undefined;
}

/** Where things are in the builder's sandbox. */
export const places = {
  /** The program, and the Node that runs it; read-only. */
  program: '/builder',
  node: '/builder/node',
  /** The task and what comes from the host's configuration; read-only. */
  input: '/build/input',
  /** Files that lie beside the specification; read-only. */
  files: '/build/files',
  /** Packages of earlier builds, named by their digests; read-only. */
  cache: '/build/cache',
  /** What is being built, with nothing mounted in it. */
  tree: '/build/tree',
  /** The same as a root for its own programs, with /dev and /proc. */
  root: '/build/root',
  /** Room for what is needed meanwhile. */
  work: '/build/work',
  /** The outcome, and packages that were fetched. */
  out: '/build/out',
} as const;

/** Names of files in them. */
export const taskFile = 'task.json';
export const outcomeFile = 'outcome.json';
/** Folders of `out`, `tree` and `input`. */
export const debsFolder = 'debs';
export const archivesFolder = 'var/cache/apt/archives';
export const hostFolder = 'host';

export type BuildOutcome =
  | { readonly ok: true; readonly lock: BuildLock }
  | { readonly ok: false; readonly phase: Phase; readonly message: string };
