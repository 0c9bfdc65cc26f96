// Which GPUs a job is given. Pure: the same GPUs that are free and the same wish give the same answer.

import type { Gpu, GpuWish, Strategy } from './gpu.ts';

/** Those that a wish gets of the ones that are free, by their numbers; undefined when they are too few. */
export function choose(
  free: readonly Gpu[],
  wish: GpuWish,
  strategy: Strategy,
): readonly Gpu[] | undefined {
  const fit = free.filter(({ memoryBytes }) => memoryBytes >= wish.memoryBytes).toSorted(byIndex);
  if (fit.length < wish.count) return undefined;
  return orders[strategy](fit, wish.count).slice(0, wish.count).toSorted(byIndex);
}

const byIndex = (one: Gpu, other: Gpu) => one.index - other.index;

const orders: Readonly<Record<Strategy, (fit: readonly Gpu[], count: number) => readonly Gpu[]>> = {
  'first-fit': (fit) => fit,
  // Bigger ones are left to those who need them.
  'best-fit': (fit) => fit.toSorted((one, other) => one.memoryBytes - other.memoryBytes),
  pack: (fit, count) => packed(groupsOf(fit), count),
  spread: (fit) => dealt(groupsOf(fit)),
};

function groupsOf(gpus: readonly Gpu[]): Gpu[][] {
  return [...Map.groupBy(gpus, ({ group }) => group).values()];
}

/** From the smallest group that is enough, so that whole groups stay for those who need them; else from the biggest on. */
function packed(groups: readonly Gpu[][], count: number): Gpu[] {
  const bySize = groups.toSorted((one, other) => one.length - other.length);
  const enough = bySize.find(({ length }) => length >= count);
  return enough ?? bySize.toReversed().flat();
}

/** One of each group in turn, the one with the most first. */
function dealt(groups: readonly Gpu[][]): Gpu[] {
  const left = groups.map((group) => [...group]);
  const order: Gpu[] = [];
  for (;;) {
    const most = left.reduce<Gpu[]>((best, each) => (each.length > best.length ? each : best), []);
    const next = most.shift();
    if (next === undefined) return order;
    order.push(next);
  }
}
