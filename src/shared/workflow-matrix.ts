// One job of a file as several: `matrix`, lists by name of which every combination is a job, and
// `foreach`, which is one such list.

import { checkName } from './names.ts';
import type { Placed, WorkflowReader } from './workflow-reader.ts';
import type { Variable } from './workflow-template.ts';

/** Jobs that one job of a file becomes. */
const MAX_INSTANCES = 1000;

export interface Instance {
  readonly name: string;
  /** What its texts may refer to besides. */
  readonly variables: ReadonlyMap<string, Variable>;
}

/** The jobs that a job becomes: itself where it has neither. */
export function instancesOf(
  reader: WorkflowReader,
  key: string,
  matrix: Placed | undefined,
  foreach: Placed | undefined,
): readonly Instance[] {
  const axes = [...axesOf(reader, matrix), ...axisOf(reader, 'item', foreach)];
  if (axes.length === 0) return [{ name: key, variables: new Map() }];
  const count = axes.reduce((product, { values }) => product * values.length, 1);
  const at = (matrix ?? foreach)?.at ?? [];
  if (count === 0 || count > MAX_INSTANCES) {
    reader.report(
      at,
      'value',
      `job '${key}': becomes ${count} jobs; from 1 to ${MAX_INSTANCES} are possible`,
    );
    return [{ name: key, variables: new Map() }];
  }
  let combinations: [string, string][][] = [[]];
  for (const { name, values } of axes) {
    combinations = combinations.flatMap((before) =>
      values.map((value): [string, string][] => [...before, [name, value]]),
    );
  }
  return combinations.map((pairs) => {
    const name = [key, ...pairs.map(([, value]) => value.replace(/[^A-Za-z0-9_.]+/g, '_'))].join(
      '-',
    );
    const problem = checkName(name);
    if (problem !== undefined)
      reader.report(at, 'value', `job '${key}': its name ${name} ${problem}`);
    const variables = pairs.map(
      ([word, text]) => [word, { text, isSecret: false, isParam: true }] as const,
    );
    return { name, variables: new Map(variables) };
  });
}

interface Axis {
  readonly name: string;
  readonly values: readonly string[];
}

function axesOf(reader: WorkflowReader, matrix: Placed | undefined): Axis[] {
  if (matrix === undefined) return [];
  return [...reader.entries(matrix.at, matrix.value)].flatMap(([name, value]) =>
    axisOf(reader, name, { at: [...matrix.at, name], value }),
  );
}

function axisOf(reader: WorkflowReader, name: string, placed: Placed | undefined): Axis[] {
  if (placed === undefined) return [];
  return [{ name, values: reader.texts(placed, (text) => text) }];
}
