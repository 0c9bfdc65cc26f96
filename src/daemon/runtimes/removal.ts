// Takes runtimes away that no job uses.

import { JobletError } from '../../shared/errors.ts';
import { splitRuntimeName } from '../../shared/runtime-names.ts';
import type { Actor } from '../audit/record.ts';
import { type Catalogue, type Runtime, refOf } from './catalogue.ts';
import { type RuntimeAudit, recordRemoval } from './record.ts';
import type { Runtimes } from './runtimes.ts';
import type { Trees } from './trees.ts';
import type { Uses } from './uses.ts';

export interface RemovalParts {
  readonly catalogue: Pick<Catalogue, 'list' | 'get'>;
  readonly runtimes: Pick<Runtimes, 'forgetGone'>;
  readonly trees: Pick<Trees, 'remove'>;
  readonly uses: Pick<Uses, 'usersOf'>;
  readonly audit: RuntimeAudit;
}

export interface Removed {
  /** Each as `name@version`. */
  readonly refs: readonly string[];
  readonly freedBytes: number;
}

/** Jobs that are named when a runtime is in use. */
const NAMED_JOBS = 3;

/**
 * Removes the runtime that a name means: without a version, all its versions.
 * @throws JobletError not-found, invalid; wrong-state while a job uses one of them, a waiting one too
 */
export async function removeRuntime(
  { catalogue, runtimes, trees, uses, audit }: RemovalParts,
  name: string,
  who: Actor,
): Promise<Removed> {
  const meant = catalogue.get(name);
  const all = catalogue.list();
  const isOne = splitRuntimeName(name).version !== '';
  const going = isOne ? [meant] : all.filter((one) => one.name === meant.name);
  for (const runtime of going) {
    requireOwn(runtime);
    requireUnused(runtime, uses.usersOf(runtime));
  }
  requireAlone(going, all);
  let freedBytes = 0;
  // What lies in the folder of another one goes first.
  for (const runtime of going.toSorted((a, b) => b.directory.length - a.directory.length)) {
    freedBytes += await recordRemoval(audit, refOf(runtime), who, () =>
      trees.remove(runtime.directory, runtime.name, runtime.version),
    );
    runtimes.forgetGone();
  }
  return { refs: going.map(refOf), freedBytes };
}

/** Whoever removes a name does not mean what stands there under another one. */
function requireOwn(runtime: Runtime): void {
  if (runtime.link === '') return;
  throw new JobletError(
    'wrong-state',
    `${refOf(runtime)} is a link to ${runtime.directory}; remove the link (${runtime.link}), or the runtime by its own name`,
    { about: 'runtime' },
  );
}

function requireUnused(runtime: Runtime, jobs: readonly string[]): void {
  if (jobs.length === 0) return;
  const more = jobs.length > NAMED_JOBS ? ` and ${jobs.length - NAMED_JOBS} more` : '';
  throw new JobletError(
    'wrong-state',
    `runtime ${refOf(runtime)} is in use by job ${jobs.slice(0, NAMED_JOBS).join(', ')}${more}; stop or cancel what uses it first`,
    { about: 'runtime' },
  );
}

/** A folder is not taken away together with runtimes in it that nobody spoke of. */
function requireAlone(going: readonly Runtime[], all: readonly Runtime[]): void {
  for (const runtime of going) {
    const inside = all.find(
      (one) => one.directory.startsWith(`${runtime.directory}/`) && !going.includes(one),
    );
    if (inside === undefined) continue;
    throw new JobletError(
      'wrong-state',
      `the folder of runtime ${refOf(runtime)} holds ${refOf(inside)} as well; remove that one first`,
      { about: 'runtime' },
    );
  }
}
