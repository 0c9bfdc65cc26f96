// Cgroup directories that go from job to job (docs/decisions/0022-cgroups-used-again.md). On v1 a job
// needs one in each of five trees, and making and removing them costs more than all of its mounts.
// So the first few id ranges keep theirs: which job is in them is told by the range that it holds.

import { chmodSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import {
  type CgroupLayout,
  type CgroupLimits,
  cgroupDirectories,
  cgroupNameOf,
  cgroupPlan,
  clearCgroups,
} from './cgroup.ts';
import type { End } from './end-record.ts';
import { readUsedUp, type UsedUp } from './job-usage.ts';

export class CgroupSlots {
  readonly layout: CgroupLayout;
  /** First ids of the ranges that keep their directories, and the limits that these were left with. */
  readonly #kept: Map<number, string>;
  /** What the directories of a range had counted up when its job came, or by now when it has none. */
  readonly #usedUp = new Map<number, UsedUp>();
  /** Ranges whose directories are new: nothing was ever in them. */
  readonly #fresh = new Set<number>();
  /** Ranges whose last job has counted up more since that was read. */
  readonly #unread = new Set<number>();

  /** `ranges` are the first ids of the ranges that are to keep their directories; v1 hosts only. */
  constructor(layout: CgroupLayout, ranges: readonly number[]) {
    this.layout = layout;
    this.#kept = new Map(layout.kind === 'v1' ? ranges.map((first) => [first, '']) : []);
  }

  /** Makes them all at once, so that what is on the host does not depend on how many jobs there were. */
  open(): void {
    for (const first of this.#kept.keys()) if (this.#make(first)) this.#fresh.add(first);
  }

  /** The name of a job's directories. */
  nameOf(id: string, idRange: number | undefined): string {
    const isKept = idRange !== undefined && this.#kept.has(idRange);
    return isKept ? slotNameOf(idRange) : cgroupNameOf(id);
  }

  /** The part of a launch plan that puts a job into its cgroups, with its limits. */
  take(
    id: string,
    idRange: number,
    limits: CgroupLimits,
    disks: readonly string[],
    hasInit: boolean,
  ): string[] {
    const plan = cgroupPlan(this.layout, this.nameOf(id, idRange), limits, disks, hasInit);
    const left = this.#kept.get(idRange);
    if (left === undefined) return plan;
    const wanted = plan.join('\n');
    this.#kept.set(idRange, wanted);
    this.#fresh.delete(idRange);
    const isAsIs = left === wanted;
    if (isAsIs) this.#readUsedUp(idRange);
    else this.#usedUp.delete(idRange);
    this.#unread.delete(idRange);
    return ['cgroups-kept', isAsIs ? 'as-is' : 'anew', ...plan];
  }

  /**
   * Sets the limits of a job that may come to a range where none is; the part of a launch plan that says
   * so, or undefined where that cannot be known to be right: it is made with the job then.
   */
  prepare(
    idRange: number,
    limits: CgroupLimits,
    disks: readonly string[],
    hasInit: boolean,
  ): string[] | undefined {
    if (!this.#fresh.delete(idRange)) return undefined;
    const plan = cgroupPlan(this.layout, slotNameOf(idRange), limits, disks, hasInit);
    try {
      setLimits(plan);
    } catch {
      // The first job that wants them hears why.
      return undefined;
    }
    this.#kept.set(idRange, plan.join('\n'));
    return ['cgroups-kept', 'as-is', ...plan];
  }

  /**
   * What the job in the cgroups of a range is not to be charged with. Not known of a job that an
   * earlier daemon started.
   */
  before(idRange: number | undefined, isStartedHere: boolean): UsedUp | 'nothing' | 'unknown' {
    if (idRange === undefined || !this.#kept.has(idRange)) return 'nothing';
    return isStartedHere ? (this.#usedUp.get(idRange) ?? 'nothing') : 'unknown';
  }

  /**
   * After a job. Without an `end` it was not started, or it is not known what became of it; what is
   * `orphaned` has to be cleared up here.
   */
  async release(
    id: string,
    idRange: number | undefined,
    end: End | undefined,
    orphaned: boolean,
  ): Promise<void> {
    if (orphaned) {
      await clearCgroups(this.layout, cgroupNameOf(id));
      if (idRange !== undefined) await clearCgroups(this.layout, slotNameOf(idRange));
    }
    if (idRange === undefined || !this.#kept.has(idRange)) return;
    if (orphaned) this.#make(idRange);
    if (orphaned || end?.cgroupsAsNew !== true) {
      this.#kept.set(idRange, '');
      return;
    }
    this.#unread.add(idRange);
    // Between two jobs is the time for it: the next turn records the end, and starts what waited for it.
    setImmediate(() => setImmediate(() => this.#readUsedUp(idRange)));
  }

  /** Removes what no job is in. */
  close(): void {
    for (const first of this.#kept.keys()) {
      for (const directory of cgroupDirectories(this.layout, slotNameOf(first))) {
        try {
          rmdirSync(directory);
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code !== 'EBUSY' && code !== 'ENOENT') throw error;
        }
      }
    }
  }

  #readUsedUp(first: number): void {
    if (this.layout.kind !== 'v1' || !this.#unread.delete(first)) return;
    this.#usedUp.set(first, readUsedUp(this.layout, slotNameOf(first)));
  }

  /** Whether none of them was there. */
  #make(first: number): boolean {
    let isNew = true;
    for (const directory of cgroupDirectories(this.layout, slotNameOf(first))) {
      if (mkdirSync(directory, { recursive: true }) === undefined) isNew = false;
      // A job reads its limits there.
      chmodSync(directory, 0o755);
    }
    return isNew;
  }
}

/** Writes what a plan sets, as a keeper does it. */
function setLimits(plan: readonly string[]): void {
  for (const [at, option] of plan.entries()) {
    const [file = '', value = ''] = plan.slice(at + 1, at + 3);
    if (option === 'cgroup-set') writeFileSync(file, value);
  }
}

function slotNameOf(firstId: number): string {
  return `ids-${firstId}`;
}
