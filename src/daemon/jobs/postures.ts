// Answers how jobs are held: from what was recorded at their start, and for a running one from the
// kernel as well.

import path from 'node:path';
import { type CgroupLayout, cgroupPlan } from '../linux/cgroup.ts';
import { readBackLimits } from '../linux/cgroup-readback.ts';
import { readJobProcess } from '../linux/job-process.ts';
import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import type { Job } from './job.ts';
import { type Comparison, comparePosture, type Posture, postureOf } from './posture.ts';
import type { JobStore } from './store.ts';

export interface Held {
  readonly posture: Posture;
  /** What the kernel says now; undefined when the job does not run. */
  readonly kernel: KernelView | undefined;
}

export interface KernelView extends Comparison {
  /** Process 1, as the host numbers it. */
  readonly pid: number;
  /** Files of its cgroups that hold what was set. */
  readonly limits: readonly string[];
}

export class Postures {
  readonly #store: Pick<JobStore, 'sandboxOf'>;
  readonly #cgroups: CgroupLayout;
  readonly #disks: readonly string[];
  readonly #addressOf: (id: string) => KeeperAddress;

  constructor(
    store: Pick<JobStore, 'sandboxOf'>,
    cgroups: CgroupLayout,
    disks: readonly string[],
    addressOf: (id: string) => KeeperAddress,
  ) {
    this.#store = store;
    this.#cgroups = cgroups;
    this.#disks = disks;
    this.#addressOf = addressOf;
  }

  /** How a job is held, or was; undefined for one that was never started. */
  async of(job: Job): Promise<Held | undefined> {
    const sandbox = this.#store.sandboxOf(job.id);
    if (sandbox === undefined) return undefined;
    const posture = postureOf(job, sandbox);
    const runs = job.status === 'RUNNING';
    return {
      posture,
      kernel: runs ? await this.#look(job, posture, sandbox.cgroups.name) : undefined,
    };
  }

  /** The directory of a job's cgroup; empty for one that was never started. */
  cgroupPathOf(id: string): string {
    const name = this.#store.sandboxOf(id)?.cgroups.name;
    if (name === undefined) return '';
    const layout = this.#cgroups;
    return path.join(layout.kind === 'v2' ? layout.base : layout.unified, name);
  }

  async #look(job: Job, posture: Posture, cgroupName: string): Promise<KernelView | undefined> {
    // The keeper knows which process is the job's, also when an earlier daemon started it.
    const link = await KeeperLink.connect(this.#addressOf(job.id));
    if (link === undefined) return undefined;
    try {
      const { keeperPid, initPid } = link.state;
      const limits = cgroupPlan(
        this.#cgroups,
        cgroupName,
        job.spec.limits,
        this.#disks,
        job.spec.init,
      );
      return lookAtKernel(posture, limits, initPid, keeperPid);
    } finally {
      link.close();
    }
  }
}

/** Holds a running job against its posture and what its launch plan said of cgroups. Undefined when it has just ended. */
export function lookAtKernel(
  posture: Posture,
  cgroups: readonly string[],
  initPid: number,
  keeperPid: number,
): KernelView | undefined {
  const process = readJobProcess(initPid, keeperPid);
  if (process === undefined) return undefined;
  const compared = comparePosture(posture, process);
  try {
    const limits = readBackLimits(cgroups, initPid);
    return {
      pid: initPid,
      confirmed: compared.confirmed,
      limits: limits.confirmed,
      deviations: [...compared.deviations, ...limits.deviations],
    };
  } catch (error) {
    // The directories go with the job.
    if (
      (error as NodeJS.ErrnoException).code === 'ENOENT' ||
      (error as NodeJS.ErrnoException).code === 'ENODEV'
    )
      return undefined;
    throw error;
  }
}
