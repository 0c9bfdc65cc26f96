// What a job holds while it runs, taken forwards and released backwards. Each is named by the job's
// id and can be released twice, so that a failed start, an end, a deletion and the recovery after a
// crash all clear up by the same walk.

import { OPEN } from '../../shared/egress.ts';
import type { VolumeMount } from '../../shared/volume-mount.ts';
import type { CgroupSlots } from '../linux/cgroup-slots.ts';
import type { End } from '../linux/end-record.ts';
import { makeWorkImage, removeWorkImage } from '../linux/work-image.ts';
import type { JobNetwork } from '../networks/network.ts';
import type { Networks } from '../networks/networks.ts';
import type { Metered } from '../telemetry/samples.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { IdRanges } from './id-ranges.ts';
import type { Job, Limits, StoredSpec } from './job.ts';
import type { KeptWork } from './kept-work.ts';
import type { VolumePlace, VolumeSource, WorkPlace, WorkSource } from './plan.ts';
import type { Staged, Uploads } from './uploads.ts';

/** What of a job's spec decides about its work directory. */
type WorkWish = Pick<StoredSpec, 'limits' | 'keepWorkMs'>;

/** So many sandboxes the launcher makes ahead. */
const RANGES_AHEAD = 2;

export interface WorkLimits {
  /** Size of a work directory into which nothing was uploaded. */
  readonly defaultBytes: number;
  /** Room beside the uploaded files, when there are some. */
  readonly roomBytes: number;
  /** Uploads up to this size lie in memory. */
  readonly inMemoryBytes: number;
}

export class Resources {
  readonly #idRanges: IdRanges;
  readonly #uploads: Uploads;
  readonly #cgroups: CgroupSlots;
  readonly #volumes: Volumes;
  readonly #kept: KeptWork;
  readonly #networks: Networks;
  readonly #workDirectory: string;
  readonly #workLimits: WorkLimits;
  /** Jobs with a work image: most have none, and then pay nothing. */
  readonly #onDisk = new Set<string>();

  /** `workDirectory` is where work directories on disk are mounted. */
  constructor(
    idRanges: IdRanges,
    uploads: Uploads,
    cgroups: CgroupSlots,
    volumes: Volumes,
    networks: Networks,
    kept: KeptWork,
    workDirectory: string,
    workLimits: WorkLimits,
  ) {
    this.#idRanges = idRanges;
    this.#uploads = uploads;
    this.#cgroups = cgroups;
    this.#volumes = volumes;
    this.#kept = kept;
    this.#networks = networks;
    this.#workDirectory = workDirectory;
    this.#workLimits = workLimits;
  }

  /**
   * The first host id of a range for the job's user namespace. It is taken before the job's row is
   * written, so that a daemon started after a crash knows of it.
   */
  takeIdRange(): number {
    return this.#idRanges.take();
  }

  /**
   * Holds the volumes that a job names, until it is forgotten. It comes before the row is written, so
   * that none is removed while the job waits.
   * @throws JobletError not-found
   */
  takeVolumes(id: string, mounts: readonly VolumeMount[]): void {
    this.#volumes.take(id, namesOf(mounts));
  }

  /** Holds the volumes of a job that an earlier daemon accepted. */
  retakeVolumes(id: string, mounts: readonly VolumeMount[]): void {
    this.#volumes.retake(id, namesOf(mounts));
  }

  /** What a job will see of its volumes. */
  planVolumes(mounts: readonly VolumeMount[]): VolumePlace[] {
    return mounts.map((mount) => ({ ...mount, bytes: this.#volumes.bytesOf(mount.name) }));
  }

  /** Mounts the volumes of a job that starts. */
  openVolumes(id: string, { volumes, limits }: StoredSpec): Promise<VolumeSource[]> {
    const synchronous = this.#writesAtOnce(limits);
    return Promise.all(
      volumes.map(async (mount) => {
        const { directory, device } = await this.#volumes.use(mount.name, id, synchronous);
        return { mount, directory, device };
      }),
    );
  }

  /** Where a job's work directory will lie, and how big it will be. */
  planWork({ limits, keepWorkMs }: WorkWish, staged: Staged | undefined): WorkPlace {
    const size = this.#workLimits;
    const bytes =
      limits.workBytes ||
      (staged === undefined ? size.defaultBytes : staged.bytes + size.roomBytes);
    const isBig = staged !== undefined && staged.bytes > size.inMemoryBytes;
    // What lies in memory goes with the job.
    return { kind: isBig || keepWorkMs > 0 ? 'disk' : 'memory', bytes };
  }

  /** The name of its directories. */
  cgroupNameOf(id: string, idRange: number | undefined): string {
    return this.#cgroups.nameOf(id, idRange);
  }

  /** The cgroups that are looked at to see what a job uses. */
  meteredBy(id: string, idRange: number | undefined, isStartedHere: boolean): Metered {
    const cgroup = this.#cgroups.nameOf(id, idRange);
    return { id, cgroup, before: this.#cgroups.before(idRange, isStartedHere) };
  }

  /** The part of the launch plan that puts the job into its cgroups, with its limits on `disks`. */
  takeCgroups(id: string, idRange: number, spec: StoredSpec, disks: readonly string[]): string[] {
    return this.#cgroups.take(id, idRange, spec.limits, disks, spec.init);
  }

  /**
   * Readies the cgroups of the ranges that are taken first for such jobs. Answers each range with its
   * part of a launch plan.
   */
  prepareCgroups(
    { limits, init }: Pick<StoredSpec, 'limits' | 'init'>,
    disks: readonly string[],
  ): { readonly idRange: number; readonly cgroups: readonly string[] }[] {
    return this.#idRanges.lowestFree(RANGES_AHEAD).flatMap((idRange) => {
      const cgroups = this.#cgroups.prepare(idRange, limits, disks, init);
      return cgroups === undefined ? [] : [{ idRange, cgroups }];
    });
  }

  /** How the launcher is to make the job's work directory; undefined when it is to lie on disk. */
  workInMemory(spec: WorkWish, staged: Staged | undefined): WorkSource | undefined {
    const { kind, bytes } = this.planWork(spec, staged);
    return kind === 'memory' ? { kind, bytes, copyFrom: staged?.directory ?? '' } : undefined;
  }

  /** Makes the job's work directory on disk. */
  async makeWork(id: string, spec: WorkWish, staged: Staged | undefined): Promise<WorkSource> {
    const { bytes } = this.planWork(spec, staged);
    this.#onDisk.add(id);
    const image = await makeWorkImage(
      this.#workDirectory,
      id,
      bytes,
      staged?.directory ?? '',
      this.#writesAtOnce(spec.limits),
    );
    return { kind: 'disk', ...image };
  }

  /** Attaches the job to its network. */
  takeNetwork(id: string, spec: StoredSpec): Promise<JobNetwork | undefined> {
    return this.#networks.take(id, {
      name: spec.network,
      // Jobs of earlier versions know nothing of these.
      bytesPerSecond: spec.bandwidthBytesPerSecond ?? 0,
      egress: spec.egress ?? OPEN,
      publish: spec.publish ?? [],
    });
  }

  /** Whether ports of the host can lead into a job. @throws JobletError naming one that is taken */
  checkPorts(publish: readonly string[]): Promise<void> {
    return this.#networks.checkPorts(publish);
  }

  /** Gives back what jobs had of networks that an earlier daemon started and that are not known. */
  sweepNetworks(known: ReadonlySet<string>): void {
    this.#networks.sweep(known);
  }

  /** Marks the range of a job that an earlier daemon started. */
  retakeIdRange(idRange: number): void {
    this.#idRanges.retake(idRange);
  }

  /**
   * Releases what the kernel holds for a job. It comes before the row says that the job has ended: an
   * open row is all that brings the next daemon here, should this one be killed on the way.
   * `end` is what the keeper said; `orphaned` says that nobody cleared up behind the keeper, or that
   * it is not known what the job held. The work directory of a job to `keep` stays.
   */
  async release(
    id: string,
    idRange: number | undefined,
    end: End | undefined,
    orphaned: boolean,
    keep?: Job,
  ): Promise<void> {
    this.#networks.release(id, end !== undefined && !orphaned);
    await this.#cgroups.release(id, idRange, end, orphaned);
    const mayBeThere = this.#onDisk.delete(id) || orphaned;
    if (keep !== undefined) await this.#kept.keep(keep);
    else if (mayBeThere) await removeWorkImage(this.#workDirectory, id);
  }

  /**
   * Gives back what the job's row stood for. It comes behind the row's end: a job that is found again
   * still needs its files, and its ids are nobody else's.
   */
  async forget(id: string, idRange: number | undefined, hasUploads: boolean): Promise<void> {
    if (idRange !== undefined) this.#idRanges.release(idRange);
    this.#volumes.release(id);
    if (hasUploads) await this.#uploads.release(id);
  }

  /**
   * v1 controllers do not count what the kernel writes back later to the job that wrote it, so a job
   * with an I/O limit writes at once there.
   */
  #writesAtOnce(limits: Limits): boolean {
    return this.#cgroups.layout.kind === 'v1' && limits.ioBps > 0;
  }
}

function namesOf(mounts: readonly VolumeMount[]): string[] {
  return mounts.map(({ name }) => name);
}
