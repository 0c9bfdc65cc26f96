// What threads do with trees. Each task is a function that holds up its thread until it is done.

import { discardTree, sweepTrees } from './discard-tree.ts';
import { measureTrees } from './measure-trees.ts';
import { type Placing, placeTree } from './place-tree.ts';
import type { Places } from './places.ts';
import type { Witness } from './settle.ts';
import { type Checking, verifyTree } from './verify-tree.ts';

export const tasks = {
  place: (order: Placing, witness: Witness) => placeTree(order, witness),
  discard: ({ places, tree }: { readonly places: Places; readonly tree: string }) =>
    discardTree(places, tree),
  sweep: (order: { readonly places: Places; readonly leftovers: readonly string[] }) =>
    sweepTrees(order.places, order.leftovers),
  verify: (order: Checking, witness: Witness) => verifyTree(order, witness),
  measure: ({ directories }: { readonly directories: readonly string[] }) =>
    measureTrees(directories),
} as const;

export type Tasks = typeof tasks;
export type TaskName = keyof Tasks;
export type TaskInput<T extends TaskName> = Parameters<Tasks[T]>[0];
export type TaskResult<T extends TaskName> = Awaited<ReturnType<Tasks[T]>>;
