// The start of a job whose turn it is: its sandbox is made, and the command runs or could not be.

import { randomUUID } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import { describeWish } from '../gpus/gpu.ts';
import type { Gpus } from '../gpus/gpus.ts';
import type { CgroupLayout } from '../linux/cgroup.ts';
import type { Launched, LaunchPlan, LaunchPort } from '../linux/launcher.ts';
import { NO_NETWORK } from '../networks/network.ts';
import { Unattached } from '../networks/slots.ts';
import type { HeldRoot } from '../runtimes/runtimes.ts';
import type { Active, ActiveJobs } from './active.ts';
import type { Ends, EndsParts } from './ends.ts';
import { type Job, type Limits, plainSpec, type StoredSpec, type Timeout } from './job.ts';
import type { Keepers, KeepersParts } from './keepers.ts';
import { outcomeOf } from './outcome.ts';
import { makePlan, type PlanFacts, type VolumeSource, type WorkSource } from './plan.ts';
import type { Sandbox } from './posture.ts';
import type { Uploads } from './uploads.ts';

export interface StartsConfig {
  readonly logSegmentBytes: number;
  readonly logQuotaBytes: number;
  /** What logs leave free of their disk. */
  readonly logReserveBytes: number;
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** Of this daemon; a job's posture says who started it. */
  readonly version: string;
}

export interface StartsParts extends EndsParts, KeepersParts {
  readonly config: StartsConfig;
  readonly uploads: Uploads;
  readonly launcher: Pick<LaunchPort, 'launch' | 'prepare'>;
  readonly cgroups: CgroupLayout;
  readonly gpus: Pick<Gpus, 'pool' | 'partOf'>;
  readonly disks: readonly string[];
}

export class Starts {
  readonly #parts: StartsParts;
  readonly #active: ActiveJobs;
  readonly #keepers: Keepers;
  readonly #ends: Ends;
  readonly #findOut: (active: Active) => Promise<Job>;

  /** `findOut` is asked about a job of which the launcher could not say what became of it. */
  constructor(
    parts: StartsParts,
    active: ActiveJobs,
    keepers: Keepers,
    ends: Ends,
    findOut: (active: Active) => Promise<Job>,
  ) {
    this.#parts = parts;
    this.#active = active;
    this.#keepers = keepers;
    this.#ends = ends;
    this.#findOut = findOut;
  }

  /** Has the sandboxes of the first jobs made ahead, if they ask for nothing but these limits. */
  prepare(limits: Limits): void {
    const { runtimes, resources, launcher, disks } = this.#parts;
    const spec = { ...plainSpec, limits, uploads: [], uploadCount: 0 };
    const work = resources.workInMemory(spec, undefined);
    if (work === undefined) return;
    for (const { idRange, cgroups } of resources.prepareCgroups(spec, disks)) {
      const held = { root: runtimes.rootFor(''), work, volumes: [], idRange, cgroups };
      launcher.prepare(this.#planOf(randomUUID(), spec, { ...held, network: undefined }));
    }
  }

  /** What a job that starts sees as its root. @throws JobletError when its runtime is gone or unfit */
  takeRoot(active: Active): HeldRoot {
    const { runtimes } = this.#parts;
    const { id, spec } = active.job;
    active.root ??= spec.build?.root ?? runtimes.rootFor(spec.runtime);
    runtimes.holdTree(id, active.root.tree);
    return active.root;
  }

  /** What the sandbox of a job that starts is made of. */
  sandboxOf(active: Active): Sandbox {
    const { job, idRange, staged } = active;
    const { config, resources, cgroups, gpus } = this.#parts;
    const root = this.takeRoot(active);
    return {
      ...(job.spec.gpus && { gpus: gpus.pool.of(job.id) }),
      firstId: idRange ?? 0,
      readOnly: root.readOnly,
      tree: root.tree,
      work: resources.planWork(job.spec, staged),
      volumes: resources.planVolumes(job.spec.volumes),
      tmpBytes: config.tmpBytes,
      shmBytes: config.shmBytes,
      cgroups: {
        kind: cgroups.kind,
        swap: cgroups.swap,
        name: resources.cgroupNameOf(job.id, idRange),
      },
      startedBy: config.version,
    };
  }

  /** Makes the sandbox and runs the command. Resolves with the job RUNNING or ended; never rejects. */
  async start(active: Active): Promise<Job> {
    const launched = await this.#launch(active);
    if (launched === undefined) return this.#findOut(active);
    if (launched.ok) return this.began(active, launched.startedAtMs);
    return this.#ends.refuse(active, launched.step, launched.object, launched.errno);
  }

  /** The command runs. Answers the job as it started, also when the end came along with the news. */
  async began(active: Active, startedAtMs: number): Promise<Job> {
    active.launched = true;
    this.#active.change(active, { status: 'RUNNING', startedAtMs });
    this.#parts.bells.start(active.job.id);
    this.meter(active);
    const started = active.job;
    const end = active.earlyEnd;
    if (end !== undefined) {
      void this.#ends.settle(active, outcomeOf(end, active.job), end, false);
    } else if (active.stopGraceMs !== undefined) {
      await this.#keepers.stop(active, active.stopGraceMs);
    }
    return started;
  }

  /** From now on it is looked at what a job uses. */
  meter(active: Active): void {
    const { resources, samples } = this.#parts;
    const isStartedHere = active.launches > 0;
    const metered = resources.meteredBy(active.job.id, active.idRange, isStartedHere);
    samples.begin(active.job.spec.gpus === undefined ? metered : { ...metered, hasGpus: true });
  }

  /** What the launcher answers; undefined when it, or the keeper, was killed before it could. */
  async #launch(active: Active): Promise<Launched | undefined> {
    const { id, spec, timeout } = active.job;
    const { resources, uploads, launcher, gpus } = this.#parts;
    active.launches += 1;
    const gpuPart = spec.gpus && gpus.partOf(id, spec.runtime === '');
    if (spec.gpus !== undefined && gpuPart === undefined) {
      return { ok: false, step: 'gpu', object: describeWish(spec.gpus), errno: 'ENODEV' };
    }
    try {
      // Nothing is waited for but what the job has: the plan of a plain one leaves in this very turn.
      if (spec.uploads.length > 0) active.staged ??= await uploads.restage(id, spec.uploads);
      const work =
        resources.workInMemory(spec, active.staged) ??
        (await resources.makeWork(id, spec, active.staged));
      const volumes = spec.volumes.length > 0 ? await resources.openVolumes(id, spec) : [];
      const isAttached = spec.network !== NO_NETWORK;
      const network = isAttached ? await resources.takeNetwork(id, spec) : undefined;
      const disks = [...this.#parts.disks, ...devicesOf(work, volumes)];
      const cgroups = resources.takeCgroups(id, active.idRange ?? 0, spec, disks);
      const root = this.takeRoot(active);
      const held = { root, work, volumes, idRange: active.idRange ?? 0, cgroups, network, gpuPart };
      return await launcher.launch(id, this.#planOf(id, spec, held, timeout));
    } catch (error) {
      if (error instanceof Unattached) {
        return { ok: false, step: 'network', object: error.object, errno: error.errno };
      }
      return { ok: false, step: 'resources', object: messageOf(error), errno: 'EFAULT' };
    }
  }

  #planOf(id: string, spec: StoredSpec, held: Held, timeout?: Timeout): LaunchPlan {
    const { config, logs, clock } = this.#parts;
    return makePlan(spec, {
      ...held,
      id,
      logDirectory: logs.directoryOf(id),
      logSegmentBytes: config.logSegmentBytes,
      logQuotaBytes: config.logQuotaBytes,
      logReserveBytes: config.logReserveBytes,
      keeper: this.#parts.addressOf(id),
      timeoutMs: timeout === undefined ? 0 : Math.max(1, timeout.atMs - clock.now()),
      tmpBytes: config.tmpBytes,
      shmBytes: config.shmBytes,
      identity: randomUUID(),
    });
  }
}

/** What a job has when it starts. */
type Held = Pick<
  PlanFacts,
  'root' | 'work' | 'volumes' | 'idRange' | 'cgroups' | 'network' | 'gpuPart'
>;

/** The block devices that are a job's own. */
function devicesOf(work: WorkSource, volumes: readonly VolumeSource[]): string[] {
  const devices = volumes.map(({ device }) => device).filter((device) => device !== undefined);
  return work.kind === 'disk' ? [work.device, ...devices] : devices;
}
