// A volume: storage with a name and a hard size that outlives jobs.

export const volumeTypes = ['filesystem', 'memory'] as const;
export type VolumeType = (typeof volumeTypes)[number];

export interface Volume {
  readonly name: string;
  readonly type: VolumeType;
  /** What it can hold. */
  readonly bytes: number;
  readonly createdAtMs: number;
}

/** A volume as somebody asks about it. */
export interface VolumeView extends Volume {
  /** Where the node keeps it. */
  readonly directory: string;
  /** What it holds; undefined when it cannot be mounted. */
  readonly usedBytes: number | undefined;
  /** Why it cannot be mounted or written; empty is nothing. */
  readonly problem: string;
  /** Jobs that use it or wait to. */
  readonly jobs: readonly string[];
}
