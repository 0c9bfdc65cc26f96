// Workflow files: every text is a workflow whose jobs can be run in an order, or is refused with
// places.

import assert from 'node:assert/strict';
import { JobletError } from '../../../src/shared/errors.ts';
import { checkName } from '../../../src/shared/names.ts';
import { jobsOf, parseExpression } from '../../../src/shared/workflow-expression.ts';
import { parseWorkflow } from '../../../src/shared/workflow-file.ts';
import type { Workflow } from '../../../src/shared/workflow-job.ts';
import { refsOf } from '../../../src/shared/workflow-outputs.ts';
import { orRefused, target } from '../target.ts';

const FILE = 'w.yaml';

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is read
export default target({
  seeds: [
    'jobs: {a: {command: x}, b: {command: y, requires: [a: COMPLETED]}}',
    'version: "3.0"\nname: n\nenvironment: {A: /x, B: "${A}/y"}\njobs:\n  a:\n    command: sh\n    args: ["-c", "echo ${B:-z}"]\n    retry: {attempts: 3, backoff: 1s, exit_codes: [1]}\n',
    'jobs:\n  t:\n    command: x\n    matrix: {v: [1, 2]}\n  u: {command: x, requires: ["t=COMPLETED AND NOT t=FAILED"], always: true}\n',
    'workflows: {one: {jobs: {a: {command: x}}}}\ndefaults: {timeout: 5m}\nparams: {p: q}\n',
    '(a=COMPLETED OR NOT b IN (FAILED, STOPPED)) && c != RUNNING',
    'params: {n: {type: integer, default: 1, enum: [1, 2]}}\nconcurrency: {group: g}\nworkspace: {size: 4MB}\njobs: {a: {command: x, outputs: [v]}, b: {command: x, args: ["${outputs.a.v:-none}"], if: "${n} = 1 AND a=COMPLETED", requires: [a]}}',
    'workflows: {one: {jobs: {a: {workflow: two, params: {p: q}}, b: {command: x, requires: [a: FAILED]}}}, two: {params: {p: {required: true}}, jobs: {c: {command: "${p}"}}}}',
    'jobs: {a: {command: x, uploads: {files: [f], directories: [d]}, resources: {max_cpu: 50}}}',
  ],
  words: [
    'jobs:',
    'command: x',
    'requires: ',
    'expression: ',
    'environment: ',
    'secret_environment: ',
    'matrix: ',
    'foreach: ',
    'params: ',
    'defaults: ',
    'always: true',
    'if: ',
    'outputs: [',
    '${outputs.a.v}',
    'workflow: ',
    'concurrency: ',
    'workspace: shared',
    'type: integer',
    'SKIPPED',
    'COMPLETED',
    'NOT_IN (',
    ' AND ',
    '${A}',
    '${A:-',
    '__proto__',
    '\n  ',
    '- ',
  ],
  run(input) {
    const text = input.toString();
    const expression = orRefused(() => parseExpression(text), 'invalid');
    if (expression !== undefined) assert.ok(jobsOf(expression).length > 0);
    let workflow: Workflow;
    try {
      workflow = parseWorkflow(text, FILE);
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'invalid') throw error;
      assert.ok(error.problems.length > 0);
      for (const { field } of error.problems) assert.match(field, /^w\.yaml(:\d+:\d+)?$/);
      return;
    }
    const { jobs, order } = workflow;
    assert.deepEqual(jobs.map(({ name }) => name).toSorted(), order.toSorted());
    for (const { name, command, args, requires, environment, secretEnvironment, late } of jobs) {
      // What is not known yet stands in the texts as it was written, and no mark of it does.
      assert.ok(![...args, ...Object.values(environment)].some((one) => one.includes('\0')));
      for (const { job } of Object.values(late?.args ?? {}).flatMap(refsOf)) {
        assert.ok(order.indexOf(job) < order.indexOf(name) && order.includes(job));
      }
      assert.equal(checkName(name), undefined);
      assert.ok(command.trim() !== '');
      for (const other of jobsOf(requires)) {
        assert.ok(order.indexOf(other) < order.indexOf(name) && order.includes(other));
      }
      for (const word of Object.keys(secretEnvironment))
        assert.ok(!Object.hasOwn(environment, word));
    }
  },
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is read
