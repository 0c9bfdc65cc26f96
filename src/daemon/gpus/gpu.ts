// A GPU of this node, and the wish for some.

import type { Config } from '../config.ts';
import type { CardState } from '../linux/nvidia-smi.ts';

/** A GPU that jobs can have. */
export interface Gpu {
  /** Its number on the node: nvidia-smi counts the same way. It may be another one after a restart. */
  readonly index: number;
  /** What it is told by, wherever it is. */
  readonly uuid: string;
  readonly memoryBytes: number;
  /** Cards of one group reach each other faster. */
  readonly group: number;
}

/** What a job asks for. */
export interface GpuWish {
  readonly count: number;
  /** Of each; 0 is any. */
  readonly memoryBytes: number;
}

/** What a job was given. */
export type GivenGpu = Pick<Gpu, 'index' | 'uuid'>;

/** Which of several GPUs that are free a job is given. */
export type Strategy = Config['gpu']['strategy'];

/** The most that a job can ask for; hosts with more than 16 are rare. */
export const MAX_GPUS = 64;

/** Why a card cannot be given as a whole to a job; empty when it can. */
export function unfitness({
  isSplit,
  computeMode,
}: Pick<CardState, 'isSplit' | 'computeMode'>): string {
  if (isSplit)
    return 'it is split (MIG), and GPUs are given whole; nvidia-smi -mig 0 makes it one again';
  return computeMode === 'Prohibited' ? 'nobody may compute on it (nvidia-smi -c 0 lets all)' : '';
}

/** As people read it. */
export function describeWish({ count, memoryBytes }: GpuWish): string {
  const each = memoryBytes === 0 ? '' : ` of at least ${Math.round(memoryBytes / 1024 ** 2)} MB`;
  return `${count} ${count === 1 ? 'GPU' : 'GPUs'}${each}`;
}
