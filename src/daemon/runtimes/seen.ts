// What was looked at on the disk and in which state, so that it can be told whether looking again
// would find anything else.

import { type BigIntStats, statSync } from 'node:fs';

/** A change that came so shortly before we looked may not show in the times of a file. */
const UNSETTLED_MS = 20;

export class Seen {
  /** State by path; empty is not there. */
  readonly #states = new Map<string, string>();
  #settledAtMs = 0;

  get size(): number {
    return this.#states.size;
  }

  /** The states of all, in the order in which they were noted. */
  states(): Iterable<string> {
    return this.#states.values();
  }

  /** Remembers a path; answers what is there. A link stands for what it leads to. */
  note(file: string): BigIntStats | undefined {
    const found = statOf(file);
    this.#states.set(file, stateOf(found));
    const changedMs = Number((found?.ctimeNs ?? 0n) / 1_000_000n);
    this.#settledAtMs = Math.max(this.#settledAtMs, changedMs + UNSETTLED_MS);
    return found;
  }

  /** Whether everything is as it was. A moment after a change nobody can say so. */
  isUnchanged(): boolean {
    if (Date.now() < this.#settledAtMs) return false;
    for (const [file, state] of this.#states) if (stateOf(statOf(file)) !== state) return false;
    return true;
  }
}

function statOf(file: string): BigIntStats | undefined {
  try {
    return statSync(file, { bigint: true, throwIfNoEntry: false });
  } catch {
    // A file where a folder was, or a circle of links.
    return undefined;
  }
}

/** Changes whenever what is there does: nobody can set the time of the last change of a file. */
export function stateOf(found: BigIntStats | undefined): string {
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.ctimeNs}`;
}
