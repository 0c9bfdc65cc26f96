// Outputs of jobs in the texts of others, from the file to what is started.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from './errors.ts';
import { parseWorkflow } from './workflow-file.ts';
import type { WorkflowJob } from './workflow-job.ts';
import { fillLate, formatLate, markOf, partsOf } from './workflow-outputs.ts';

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested

function jobsIn(text: string, choice = ''): Readonly<Record<string, WorkflowJob>> {
  const { jobs } = parseWorkflow(text, 'w.yaml', { choice });
  return Object.fromEntries(jobs.map((job) => [job.name, job]));
}

const job = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}$/);
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/);
const plain = fc
  .string({ unit: 'grapheme', minLength: 1 })
  .map((text) => text.replaceAll('\0', 'x'));
const fallback = plain.map((text) => text.replaceAll('}', ''));
const part = fc.oneof(
  plain,
  fc.record({ job, name }, { noNullPrototype: true }),
  fc.record({ job, name, fallback }, { noNullPrototype: true }),
);

test('a text is parted at its marks alone, and what is filled in stays in its place', () => {
  fc.assert(
    fc.property(fc.array(part), fc.string({ unit: 'binary' }), (parts, value) => {
      const text = parts.map((one) => (typeof one === 'string' ? one : markOf(one))).join('');
      const wanted = parts.map((one) => (typeof one === 'string' ? one : value)).join('');
      assert.equal(
        fillLate(partsOf(text), () => value),
        wanted,
      );
      const joined = partsOf(text).map((one) => (typeof one === 'string' ? one : markOf(one)));
      assert.equal(joined.join(''), text);
    }),
  );
});

test('outputs come into arguments, variables and what variables are made of, and an argument stays one', () => {
  const { use } = jobsIn(`
jobs:
  make: {command: x, outputs: [version]}
  use:
    command: x
    args: ["plain", "--is=\${BASE}", "\${outputs.make.version:-none at all}"]
    environment: {BASE: "v\${outputs.make.version}", TAG: "\${BASE}/x", FIX: y, MY_TOKEN: "t\${outputs.make.version}"}
    requires: [make: COMPLETED]
`);
  assert.ok(use?.late);
  const version = { job: 'make', name: 'version' };
  assert.deepEqual(use.late.args, {
    1: ['--is=v', version],
    2: [{ ...version, fallback: 'none at all' }],
  });
  assert.deepEqual(use.late.environment, {
    BASE: ['v', version],
    TAG: ['v', version, '/x'],
    MY_TOKEN: ['t', version],
  });
  assert.deepEqual(use.args, [
    'plain',
    '--is=v${outputs.make.version}',
    '${outputs.make.version:-none at all}',
  ]);
  assert.equal(use.secretEnvironment['MY_TOKEN'], 't${outputs.make.version}');
  assert.equal(formatLate(use.late.args[1] ?? []), use.args[1]);
});

const wrong: readonly (readonly [jobs: string, why: RegExp])[] = [
  [
    'a: {command: x, outputs: [digest]}, b: {command: x, args: ["${outputs.a.digst}"], requires: [a: COMPLETED]}',
    /job 'b' asks for the output digst of job 'a', which does not declare it; did you mean 'digest'\?/,
  ],
  ['b: {command: x, args: ["${outputs.a.x}"]}', /of a non-existent job 'a'; there are b/],
  [
    'a: {command: x, outputs: [v]}, b: {command: x, args: ["${outputs.a.v}"]}',
    /and does not require that job/,
  ],
  [
    'a: {command: x, outputs: [v]}, b: {command: "${outputs.a.v}", requires: [a: COMPLETED]}',
    /job 'b': command cannot hold outputs of jobs/,
  ],
  [
    'a: {command: x}, b: {command: x, if: "${outputs.a.v} = 1", requires: [a: COMPLETED]}',
    /which does not declare it: it has none/,
  ],
  ['a: {command: x, outputs: [v, v]}', /:37: job 'a': outputs - "v" stands there twice/],
  ['a: {command: x, outputs: [1v]}', /"1v" is no name/],
  [
    'a: {command: x, if: "b=COMPLETED"}, b: {command: x}',
    /'b' is none of the jobs that it requires/,
  ],
  [
    'a: {command: x, if: "${nmae} = x", environment: {name: y}}',
    /nobody knows 'nmae'; did you mean 'name'/,
  ],
  ['a: {command: x, if: "${A_KEY} = x", environment: {A_KEY: y}}', /A_KEY is a secret/],
  ['a: {command: x, if: "x y"}', /if - the expression is not complete/],
];

for (const [jobs, why] of wrong) {
  test(`${jobs.slice(0, 60)} is refused: ${why.source.slice(0, 60)}`, () => {
    assert.throws(
      () => jobsIn(`jobs: {${jobs}}`),
      (error) => error instanceof JobletError && why.test(error.message),
    );
  });
}

const calling = `
workflows:
  all:
    params: {region: eu}
    jobs:
      make: {command: x, outputs: [version]}
      send:
        workflow: send
        foreach: [one, two]
        params: {to: "\${region}-\${item}", what: "\${outputs.make.version}"}
        requires: [make: COMPLETED]
        if: "\${region} != us"
      after: {command: x, requires: [send: COMPLETED]}
      rescue: {command: x, requires: [send: FAILED]}
  send:
    params: {to: {required: true}, what: none}
    jobs:
      pack: {command: x, args: ["\${what}", "\${to}"], outputs: [size]}
      ship: {command: x, args: ["\${outputs.pack.size}"], requires: [pack: COMPLETED]}
`;

test('a job that calls a workflow becomes its jobs, with their names behind its own', () => {
  const jobs = jobsIn(calling, 'all');
  assert.deepEqual(Object.keys(jobs), [
    'make',
    'send-one.pack',
    'send-one.ship',
    'send-two.pack',
    'send-two.ship',
    'after',
    'rescue',
  ]);
  assert.deepEqual(jobs['send-two.pack']?.args, ['${outputs.make.version}', 'eu-two']);
  assert.deepEqual(jobs['send-two.pack']?.late?.args, { 0: [{ job: 'make', name: 'version' }] });
  assert.deepEqual(jobs['send-two.ship']?.late?.args, {
    0: [{ job: 'send-two.pack', name: 'size' }],
  });
  assert.ok(jobs['send-two.ship']?.condition);
  // By itself it is a workflow as any other.
  assert.throws(() => jobsIn(calling, 'send'), /to has to be given: --param to=VALUE/);
});

const wrongCalls: readonly (readonly [one: string, why: RegExp])[] = [
  ['a: {workflow: one}', /job 'a' closes a circle of workflows that call each other: one -> one/],
  ['a: {workflow: tow}', /calls a workflow that is not there: 'tow'; did you mean 'two'\?/],
  ['a: {workflow: two, timeout: 5s}', /calls a workflow and cannot have timeout/],
  ['a: {workflow: two, params: {sise: 1}}', /there is no parameter 'sise'; did you mean 'size'/],
  ['a: {workflow: two, params: {size: x}}', /value that was given for size is no integer/],
  ['a: {command: x, params: {size: x}}', /params are for a job that calls a workflow/],
  [
    'm: {command: x, outputs: [n]}, a: {workflow: two, requires: [m], params: {size: "${outputs.m.n}"}}',
    /for size is the output of a job; only a string/,
  ],
  ['a: {workflow: two}, a.b: {command: x}', /becomes a\.b, and so does job/],
];

for (const [one, why] of wrongCalls) {
  test(`${one} is refused: ${why.source.slice(0, 60)}`, () => {
    const text = `workflows: {one: {jobs: {${one}}}, two: {params: {size: {type: integer, default: 1}}, jobs: {b: {command: x}}}}`;
    assert.throws(
      () => jobsIn(text, 'one'),
      (error) => error instanceof JobletError && why.test(error.message),
    );
  });
}
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested
