// Jobs that wait for each other, as a graph by their names.

export type Graph = ReadonlyMap<string, readonly string[]>;

/** The names in an order in which each stands behind those it waits for, and the circles there are. */
export function sortGraph(graph: Graph): {
  readonly order: readonly string[];
  readonly circles: readonly (readonly string[])[];
} {
  const left = new Map<string, number>();
  const followers = new Map<string, string[]>();
  for (const [name, waitsFor] of graph) {
    const known = waitsFor.filter((other) => graph.has(other));
    left.set(name, known.length);
    for (const other of known) {
      const list = followers.get(other);
      if (list === undefined) followers.set(other, [name]);
      else list.push(name);
    }
  }
  const order: string[] = [...left].flatMap(([name, count]) => (count === 0 ? [name] : []));
  for (let at = 0; at < order.length; at += 1) {
    for (const follower of followers.get(order[at] ?? '') ?? []) {
      const count = (left.get(follower) ?? 0) - 1;
      left.set(follower, count);
      if (count === 0) order.push(follower);
    }
  }
  if (order.length === graph.size) return { order, circles: [] };
  const sorted = new Set(order);
  return {
    order,
    circles: circlesAmong(
      [...graph.keys()].filter((name) => !sorted.has(name)),
      graph,
    ),
  };
}

/** Circles among names of which each waits for another of them; no name stands in two. */
function circlesAmong(names: readonly string[], graph: Graph): string[][] {
  const rest = new Set(names);
  const circles: string[][] = [];
  for (const first of names) {
    const path: string[] = [];
    const places = new Map<string, number>();
    let name: string | undefined = first;
    while (name !== undefined && rest.has(name) && !places.has(name)) {
      places.set(name, path.length);
      path.push(name);
      name = graph.get(name)?.find((other) => rest.has(other));
    }
    const start = name === undefined ? undefined : places.get(name);
    if (name !== undefined && start !== undefined) circles.push([...path.slice(start), name]);
    for (const walked of path) rest.delete(walked);
  }
  return circles;
}

/** How many jobs stand before each on its longest way: those of 0 wait for nobody. */
export function levelsOf(order: readonly string[], graph: Graph): ReadonlyMap<string, number> {
  const levels = new Map<string, number>();
  for (const name of order) {
    const before = (graph.get(name) ?? []).map((other) => levels.get(other) ?? -1);
    levels.set(
      name,
      before.reduce((most, level) => Math.max(most, level + 1), 0),
    );
  }
  return levels;
}
