// What threads do with trees: each task takes its order and holds up its thread until it is done. A
// thread loads only what its task needs.

import type { Packing } from './pack.ts';
import type { Placing } from './place-tree.ts';
import type { Places } from './places.ts';
import type { TreeLimits, Witness } from './settle.ts';
import type { Unpacking } from './unpack.ts';
import type { Checking } from './verify-tree.ts';

interface Copying {
  readonly from: string;
  /** A directory that does not exist yet. */
  readonly to: string;
  readonly limits: TreeLimits;
}

interface Discarding {
  readonly places: Places;
  readonly tree: string;
}

interface Sweeping {
  readonly places: Places;
  readonly leftovers: readonly string[];
}

interface Measuring {
  readonly directories: readonly string[];
}

export const tasks = {
  place: async (order: Placing, witness: Witness) =>
    (await import('./place-tree.ts')).placeTree(order, witness),
  copy: async ({ from, to, limits }: Copying, witness: Witness) =>
    (await import('./copy-tree.ts')).copyTree(from, to, limits, witness),
  discard: async ({ places, tree }: Discarding) =>
    (await import('./discard-tree.ts')).discardTree(places, tree),
  sweep: async ({ places, leftovers }: Sweeping) =>
    (await import('./discard-tree.ts')).sweepTrees(places, leftovers),
  verify: async (order: Checking, witness: Witness) =>
    (await import('./verify-tree.ts')).verifyTree(order, witness),
  measure: async ({ directories }: Measuring) =>
    (await import('./measure-trees.ts')).measureTrees(directories),
  pack: async (order: Packing, witness: Witness) =>
    (await import('./pack.ts')).packTree(order, witness),
  unpack: async (order: Unpacking, witness: Witness) =>
    (await import('./unpack.ts')).unpack(order, witness),
} as const;

export type Tasks = typeof tasks;
export type TaskName = keyof Tasks;
export type TaskInput<T extends TaskName> = Parameters<Tasks[T]>[0];
export type TaskResult<T extends TaskName> = Awaited<ReturnType<Tasks[T]>>;
