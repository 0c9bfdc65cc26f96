// rnx workflow graph: which job waits for which, of a file or of a workflow on the daemon.

import { existsSync } from 'node:fs';
import { getWorkflowJobs } from '../client/methods.ts';
import { jobsOf } from '../shared/workflow-expression.ts';
import { type Graph, levelsOf, sortGraph } from '../shared/workflow-graph.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import type { Session } from './session.ts';
import { parseParams, readSource, readWorkflow, tellingProblems } from './workflow-source.ts';

const DEADLINE_MS = 10_000;

export const workflowGraph = command({
  usage: 'rnx workflow graph [flags] FILE[:NAME]|WORKFLOW',
  summary: 'Shows which job waits for which, as text or for Graphviz.',
  examples: ['rnx workflow graph pipeline.yaml', 'rnx workflow graph --dot a1b2c3d4 | dot -Tsvg'],
  flags: {
    dot: { kind: 'switch', help: 'in the language of Graphviz' },
    param: { kind: 'list', value: 'NAME=VALUE', help: 'a value for a parameter of the workflow' },
  },
  words: [1, 1],
  missing: 'of what? Say a workflow file or the id of a workflow',
  run: (values, [word = ''], session) =>
    tellingProblems(session, async () => {
      const graph = await graphOf(word, values.param, session);
      const { out, json } = session;
      const { order } = sortGraph(graph);
      if (json) {
        const jobs = order.map((name) => ({ name, dependencies: graph.get(name) ?? [] }));
        await out.write(jsonText(jobs));
      } else await out.write(values.dot ? dotText(order, graph) : graphText(order, graph));
      return 0;
    }),
});

async function graphOf(word: string, params: readonly string[], session: Session): Promise<Graph> {
  if (existsSync(word) || !/^[0-9a-f][0-9a-f-]*$/i.test(word)) {
    const { jobs } = readWorkflow(readSource(word), parseParams(params));
    return new Map(jobs.map(({ name, requires }) => [name, jobsOf(requires)]));
  }
  const connection = await session.connect();
  const deadlineMs = session.deadlineMs(DEADLINE_MS);
  const { jobs } = await connection.unary(getWorkflowJobs, { workflowUuid: word }, { deadlineMs });
  return new Map(jobs.map(({ jobName, dependencies }) => [jobName, dependencies]));
}

/** A line for each job, as far to the right as it stands behind others. */
export function graphText(order: readonly string[], graph: Graph): string {
  const levels = levelsOf(order, graph);
  return order
    .map((name) => {
      const others = graph.get(name) ?? [];
      const behind = others.length === 0 ? '' : ` <- ${others.map(visible).join(', ')}`;
      return `${'  '.repeat(levels.get(name) ?? 0)}${visible(name)}${behind}\n`;
    })
    .join('');
}

/** The same for Graphviz. */
export function dotText(order: readonly string[], graph: Graph): string {
  const quoted = (name: string) => `"${visible(name).replaceAll('"', '\\"')}"`;
  const lines = order.flatMap((name) => [
    `  ${quoted(name)};`,
    ...(graph.get(name) ?? []).map((other) => `  ${quoted(other)} -> ${quoted(name)};`),
  ]);
  return `digraph workflow {\n  rankdir=LR;\n${lines.join('\n')}\n}\n`;
}
