// A look at a host: how it is found out, what it means for users when it is not there, and what can be
// done about it. A check judges facts; it reads nothing itself.

import type { HostFacts } from '../linux/host-facts.ts';

export type State = 'ok' | 'limited' | 'missing' | 'unknown';

export interface Finding {
  readonly state: State;
  /** What was found, in a few words. */
  readonly found: string;
}

/** What of the configuration the checks need. */
export interface Wishes {
  readonly maxConcurrentJobs: number;
  /** Processes of a job that asks for no other number. */
  readonly processes: number;
  readonly firstId: number;
  readonly idCount: number;
}

export interface Facts extends HostFacts {
  readonly wishes: Wishes;
  readonly gpus: GpuFacts;
}

/** What jobs could have of GPUs. */
export interface GpuFacts {
  readonly isEnabled: boolean;
  /** How many are given whole. */
  readonly count: number;
  /** Why there is none; else empty. */
  readonly problem: string;
}

/** What stands or falls with it: every job, how fast things are, one feature, or one of a later version. */
export type Needed = 'jobs' | 'speed' | { readonly feature: string } | { readonly later: string };

export interface Check {
  readonly group: string;
  readonly name: string;
  readonly needed: Needed;
  /** What it means when it is not there, or not whole. */
  readonly means: string;
  readonly remedy: string;
  readonly look: (facts: Facts) => Finding;
}

export const ok = (found: string): Finding => ({ state: 'ok', found });
export const limited = (found: string): Finding => ({ state: 'limited', found });
export const missing = (found: string): Finding => ({ state: 'missing', found });
export const unknown = (found: string): Finding => ({ state: 'unknown', found });

export const NEEDS_ROOT = 'only root can find out';

/** Judges what the launcher's probe said of each of the names. */
export function tried(...names: readonly string[]): Check['look'] {
  return ({ probes, isRoot, probeProblem }) => {
    const results = names.map((name) => [name, probes.get(name)] as const);
    const refused = results.filter(([, result]) => result !== 'ok');
    if (refused.length === 0) return ok('tried, works');
    if (probeProblem !== '') return unknown(`not tried: ${probeProblem}`);
    if (!isRoot && refused.every(([, result]) => /^(EPERM|EACCES)$/.test(result ?? 'EPERM'))) {
      return unknown(NEEDS_ROOT);
    }
    const said = refused.map(([name, result]) => `${name.split(' ').at(-1)}: ${result}`);
    return missing(`tried, refused (${said.join(', ')})`);
  };
}
