import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { levelsOf, sortGraph } from './workflow-graph.ts';

test('in any graph each job stands behind those it waits for, or a circle among them is named', () => {
  const graphs = fc
    .array(fc.array(fc.nat(11), { maxLength: 3 }), { maxLength: 12 })
    .map((all) => new Map(all.map((others, at) => [`j${at}`, others.map((other) => `j${other}`)])));
  fc.assert(
    fc.property(graphs, (graph) => {
      const { order, circles } = sortGraph(graph);
      for (const [at, name] of order.entries()) {
        for (const other of graph.get(name) ?? []) {
          if (graph.has(other)) assert.ok(order.indexOf(other) < at && order.includes(other));
        }
      }
      assert.equal(order.length === graph.size, circles.length === 0);
      for (const circle of circles) {
        assert.equal(circle[0], circle.at(-1));
        for (const [at, name] of circle.slice(0, -1).entries()) {
          assert.ok(graph.get(name)?.includes(circle[at + 1] ?? ''));
        }
      }
    }),
  );
});

test('a long chain is sorted without a deep call, and its levels count', () => {
  const graph = new Map(
    Array.from({ length: 10_000 }, (_, at) => [`j${at}`, at === 0 ? [] : [`j${at - 1}`]]),
  );
  const { order } = sortGraph(graph);
  assert.equal(levelsOf(order, graph).get('j9999'), 9999);
});
