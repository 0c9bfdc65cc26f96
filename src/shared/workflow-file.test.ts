// Workflow files as people write them, and what is said of wrong ones (S2-10, S2-21).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobletError } from './errors.ts';
import { jobsOf, parseExpression } from './workflow-expression.ts';
import { outlineOf, parseWorkflow, type Reading } from './workflow-file.ts';
import type { WorkflowJob } from './workflow-job.ts';
import { nameInJob } from './workflow-uploads.ts';

function problemsOf(text: string, reading: Reading = {}): string[] {
  try {
    parseWorkflow(text, 'w.yaml', reading);
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'invalid', String(error));
    return error.problems.map(({ field, message }) => `${field}: ${message}`);
  }
  return [];
}

function jobOf(text: string, name: string, reading: Reading = {}): WorkflowJob {
  const job = parseWorkflow(text, 'w.yaml', reading).jobs.find((one) => one.name === name);
  assert.ok(job, `there is no ${name}`);
  return job;
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested

test('the pipeline of the overview is read whole (S2-21)', () => {
  const text = `
jobs:
  data-extraction:
    command: "python3"
    args: ["extract.py"]
    runtime: "python:3.11-ml"
    resources:
      max_memory: 2048
      max_cpu: 100

  model-training:
    command: "python3"
    args: ["train.py"]
    runtime: "python:3.11-ml"
    requires:
      - data-extraction: "COMPLETED"
    resources:
      max_memory: 8192
      max_cpu: 400
`;
  const { jobs, order } = parseWorkflow(text, 'ml-pipeline.yaml');
  assert.deepEqual(order, ['data-extraction', 'model-training']);
  const training = jobs[1];
  assert.equal(training?.runtime, 'python:3.11-ml');
  assert.deepEqual(training?.args, ['train.py']);
  assert.equal(training?.maxMemoryMb, 8192);
  assert.equal(training?.maxCpu, 400);
  assert.deepEqual(jobsOf(training?.requires ?? parseExpression('x')), ['data-extraction']);
});

test('every value is its text as it stands: no number, no truth and no null is read into it', () => {
  const { args, environment } = jobOf(
    'jobs: {a: {command: x, args: [1.10, yes, 0755, ~, ""], environment: {V: 1e3, T: true}}}',
    'a',
  );
  assert.deepEqual(args, ['1.10', 'yes', '0755', '~', '']);
  assert.deepEqual(environment, { V: '1e3', T: 'true' });
});

test('variables of the workflow are those of its jobs, which lay theirs over them', () => {
  const text = `
environment: {BASE: /data, STAGE: dev, OUT: "\${BASE}/out"}
secret_environment: {DB: hidden}
jobs:
  a:
    command: sh
    args: ["-c", "echo \${OUT}/\${STAGE} '\${STAGE}' \${DB} \${HOME} \${X:-none}"]
    environment: {STAGE: prod, LOG: "\${OUT}/\${STAGE}.log", URL: "pg:\${DB}", API_TOKEN: t}
`;
  const job = jobOf(text, 'a');
  assert.deepEqual(job.environment, {
    BASE: '/data',
    STAGE: 'prod',
    OUT: '/data/out',
    LOG: '/data/out/prod.log',
  });
  assert.deepEqual(job.secretEnvironment, { DB: 'hidden', URL: 'pg:hidden', API_TOKEN: 't' });
  assert.equal(job.args[1], "echo /data/out/prod 'prod' ${DB} ${HOME} none");
});

test('a secret is not put into arguments, and a warning says so', () => {
  const { warnings } = parseWorkflow(
    'jobs: {a: {command: x, args: ["${API_KEY}"], environment: {API_KEY: k, PATH: /x}}}',
    'w.yaml',
  );
  assert.match(warnings[0]?.message ?? '', /PATH has a meaning of its own/);
  assert.match(warnings[1]?.message ?? '', /args\[0\] names the secret API_KEY/);
});

test('defaults fill in what a job does not say', () => {
  const text = `
defaults: {runtime: python-3.11, resources: {max_memory: 64}, timeout: 5m}
jobs: {a: {command: x}, b: {command: x, runtime: openjdk-21}}`;
  assert.equal(jobOf(text, 'a').runtime, 'python-3.11');
  assert.equal(jobOf(text, 'a').maxMemoryMb, 64);
  assert.equal(jobOf(text, 'b').runtime, 'openjdk-21');
  assert.equal(jobOf(text, 'b').timeoutMs, 300_000);
});

test('requires takes every form, and all of its items have to hold', () => {
  const text = `
jobs:
  a: {command: x}
  b: {command: x}
  c:
    command: x
    requires:
      - a: FINISHED
      - expression: "NOT b=FAILED"
      - "a=COMPLETED OR b=COMPLETED"
`;
  const { requires } = jobOf(text, 'c');
  const written = ['a=FINISHED', 'NOT b=FAILED', 'a=COMPLETED OR b=COMPLETED'];
  assert.deepEqual(requires, { kind: 'all', of: written.map((one) => parseExpression(one)) });
});

test('a matrix is one job for each combination, and who waits for it waits for all of them', () => {
  const text = `
jobs:
  t:
    command: x
    matrix: {os: [linux, bsd], v: ["1.0", 2]}
    args: ["\${os}", "\${v}"]
  all: {command: x, requires: [t: COMPLETED]}
  any: {command: x, requires: [t: FAILED]}
  e: {command: x, foreach: [1, 2], environment: {N: "\${item}"}}
`;
  const { jobs } = parseWorkflow(text, 'w.yaml');
  assert.deepEqual(
    jobs.map(({ name }) => name),
    ['t-linux-1.0', 't-linux-2', 't-bsd-1.0', 't-bsd-2', 'all', 'any', 'e-1', 'e-2'],
  );
  assert.deepEqual(jobs[2]?.args, ['bsd', '1.0']);
  assert.deepEqual(jobs[7]?.environment, { N: '2' });
  assert.deepEqual(jobs[4]?.requires.kind, 'all');
  assert.equal(jobsOf(jobOf(text, 'all').requires).length, 4);
  const inner = (name: string) => {
    const { requires } = jobOf(text, name);
    return requires.kind === 'all' ? requires.of[0]?.kind : '';
  };
  assert.deepEqual([inner('all'), inner('any')], ['all', 'any']);
});

test('all that is wrong with one expression is told, each by its place', () => {
  const text = [
    'jobs:',
    '  a:',
    '    command: x',
    '    requires:',
    '      - expression: "b=COMPLETD OR c IN (FAILD, STOPPED)"',
    '      - d: FINISHD',
    "    if: b=RUNING AND '${who}'",
    '',
  ].join('\n');
  assert.deepEqual(problemsOf(text), [
    `w.yaml:5:21: job 'a': requires - "COMPLETD" is no status of a job; did you mean COMPLETED?`,
    `w.yaml:5:21: job 'a': requires - "FAILD" is no status of a job; did you mean FAILED?`,
    "w.yaml:5:9: job 'a' depends on non-existent job 'b'; there are a",
    "w.yaml:5:9: job 'a' depends on non-existent job 'c'; there are a",
    `w.yaml:6:12: job 'a': requires - "FINISHD" is no status of a job; did you mean FINISHED?`,
    "w.yaml:6:9: job 'a' depends on non-existent job 'd'; there are a",
    `w.yaml:7:9: job 'a': if - "RUNING" is no status of a job; did you mean RUNNING?`,
    `w.yaml:7:9: job 'a': if - nobody knows 'who'`,
  ]);
});

test('parameters have defaults, take values, and are no variables of the jobs', () => {
  const text = 'params: {region: eu}\njobs: {a: {command: x, args: ["${region}"]}}';
  assert.deepEqual(jobOf(text, 'a').args, ['eu']);
  assert.deepEqual(jobOf(text, 'a', { params: { region: 'us' } }).args, ['us']);
  assert.deepEqual(jobOf(text, 'a').environment, {});
  assert.match(problemsOf(text, { params: { regoin: 'x' } })[0] ?? '', /did you mean 'region'/);
});

test('one of several workflows in a file is chosen by its name', () => {
  const text = `
environment: {SHARED: s}
workflows:
  one: {jobs: {a: {command: x}}}
  two: {jobs: {b: {command: x}, c: {command: x, requires: [b: COMPLETED]}}}
`;
  assert.deepEqual(parseWorkflow(text, 'w.yaml', { choice: 'two' }).order, ['b', 'c']);
  assert.deepEqual(jobOf(text, 'b', { choice: 'two' }).environment, { SHARED: 's' });
  assert.match(problemsOf(text)[0] ?? '', /multiple workflows found: one, two\. Please specify/);
  assert.match(problemsOf(text, { choice: 'tow' })[0] ?? '', /'tow' not found; did you mean 'two'/);
  assert.deepEqual(outlineOf(text, 'w.yaml'), { workflows: ['one', 'two'], jobs: [] });
});

const wrong: readonly (readonly [text: string, problem: RegExp])[] = [
  [
    'jobs: {a: {command: x, requires: [b: COMPLETED]}}',
    /^w\.yaml:1:\d+: job 'a' depends on non-existent job 'b'/,
  ],
  [
    'jobs: {a: {command: x, requires: [c: COMPLETED]}, b: {command: x, requires: [a: COMPLETED]}, c: {command: x, requires: [b: COMPLETED]}}',
    /^w\.yaml:1:8: circular dependency detected: a -> c -> b -> a/,
  ],
  ['jobs: {a: {command: x, requires: [a: COMPLETED]}}', /circular dependency detected: a -> a/],
  [
    'jobs: {a: {command: x, environment: {123_INVALID: v}}}',
    /job 'a': environment - invalid environment variable name '123_INVALID'/,
  ],
  ['jobs: {a: {command: x, environment: {"A-B": v}}}', /invalid environment variable name 'A-B'/],
  [
    'jobs: {a: {command: x, environment: {A: v}, secret_environment: {A: w}}}',
    /environment variable conflicts detected: A/,
  ],
  ['jobs: {a: {command: x, requires: [b: COMPLETD]}, b: {command: x}}', /did you mean COMPLETED/],
  ['jobs: {a: {comand: x}}', /comand is not known here; did you mean command\?/],
  ['job: {a: {command: x}}', /job is not known here; did you mean jobs\?/],
  ['jobs: {a: {args: [x]}}', /job 'a': command is missing/],
  ['jobs: {a: {command: x, args: x}}', /job 'a': args must be a list/],
  ['jobs: {a: {command: x, timeout: soon}}', /job 'a': timeout: "soon" is not a duration/],
  [
    'jobs: {a: {command: x, resources: {max_cpu: much}}}',
    /resources\.max_cpu must be a whole number/,
  ],
  ['jobs: {"a b": {command: x}}', /the job name "a b" must start with/],
  ['workspace: mine\njobs: {a: {command: x}}', /^w\.yaml:1:12: workspace must be shared, or a map/],
  ['workspace: {size: 1KB}\njobs: {a: {command: x}}', /its size must be at least 1MB/],
  ['concurrency: {grup: g}\njobs: {a: {command: x}}', /grup is not known here; did you mean group/],
  ['jobs: {}', /there are no jobs/],
  ['', /there are no jobs/],
  ['jobs: [a]', /jobs must be a map/],
  ['- a', /the file must be a map/],
  ['jobs: {a: {command: x}, a: {command: y}}', /the key "a" is not unique/],
  [
    'jobs: {a: {command: x, environment: {A: "${B}", B: "${A}"}}}',
    /A -> B -> A refer to each other/,
  ],
  [
    'jobs: {__proto__: {command: x}, a: {command: x, __proto__: {}}}',
    /__proto__ is not known here/,
  ],
  ['jobs: {a: {command: x, uploads: {files: ["\0"]}}}', /uploads.* holds a NUL/],
  ['version: new\njobs: {a: {command: x}}', /version must be a number/],
  ['a: &x [1]\nb: *x', /is an alias/],
];

for (const [text, problem] of wrong) {
  test(`${JSON.stringify(text.slice(0, 60))} is refused: ${problem.source.slice(0, 60)}`, () => {
    assert.ok(
      problemsOf(text).some((one) => problem.test(one)),
      problemsOf(text).join('\n'),
    );
  });
}

test('all that is wrong is named at once, each with its place', () => {
  const text = `jobs:
  a:
    comand: x
    requires: [b: COMPLETED]
  c:
    command: x
    timeout: soon
`;
  const problems = problemsOf(text);
  assert.deepEqual(
    problems.map((one) => one.replace(/^(w\.yaml:\d+:\d+).*/, '$1')),
    ['w.yaml:3:5', 'w.yaml:2:3', 'w.yaml:4:16', 'w.yaml:7:14'],
  );
});

test('files keep their paths below the workflow file, and come by their last part from elsewhere', () => {
  const names = {
    'a/b.py': 'a/b.py',
    './x': 'x',
    'a/../b': 'b',
    '/etc/hosts': 'hosts',
    '../up/f': 'f',
    '.': '',
  };
  for (const [written, name] of Object.entries(names)) assert.equal(nameInJob(written), name);
});

test('bombs are refused at once', () => {
  const aliases = Array.from({ length: 9 }, (_, at) =>
    at === 0 ? 'a0: &a0 [x]' : `a${at}: &a${at} [${`*a${at - 1}, `.repeat(9)}]`,
  ).join('\n');
  const doubled = Array.from({ length: 200 }, (_, at) => `V${at}: "${`\${V${at + 1}}`.repeat(2)}"`);
  const bombs = [
    aliases,
    '['.repeat(100_000),
    '{a: '.repeat(100_000),
    'x'.repeat(5 * 1024 * 1024),
    `environment: {${doubled.join(', ')}, V200: xxxxxxxx}\njobs: {a: {command: x}}`,
    `params: {p: ${'x'.repeat(30_000)}}\njobs:\n${Array.from(
      { length: 3000 },
      (_, at) => `  j${at}: {command: x, args: ["\${p}\${p}\${p}\${p}"]}`,
    ).join('\n')}`,
  ];
  for (const bomb of bombs) assert.notDeepEqual(problemsOf(bomb), []);
});

// What is odd and no bomb, with what is said of it; without that it is read as it stands.
const oddities: Readonly<Record<string, readonly [text: string, problem?: RegExp]>> = {
  'names of everything': ['jobs: {__proto__: {command: x}, constructor: {command: x}}'],
  'numbers and switches as names': [
    'jobs: {7: {command: x}, 1.5: {command: x}, yes: {command: x}}',
  ],
  'lines as Windows ends them': ['jobs:\r\n  a:\r\n    command: x\r\n'],
  'a mark of the order of bytes': ['\ufeffjobs: {a: {command: x}}'],
  'a key of YAML 1.1': ['on: push\njobs: {a: {command: x}}', /^w\.yaml:1:1: on is not known/],
  'a key of the engine': [
    '__proto__: {a: b}\njobs: {a: {command: x}}',
    /1:1: __proto__ is not known/,
  ],
  'a NUL': ['jobs: {a: {command: "x\\0"}}', /1:21: job 'a': command holds a NUL/],
  'a tab': ['jobs:\n\ta: {command: x}', /2:1: Tabs are not allowed/],
  'a tag': [
    'jobs: {a: {command: !!python/object:os.system id}}',
    /1:21: has a tag that is not known/,
  ],
  'an alias': ['x: &a {}\njobs: {a: *a}', /2:11: is an alias; write the value out/],
  'a merged map': ['jobs:\n  a: &a {command: x}\n  b: {<<: *a}', /3:11: is an alias/],
  'a second document': ['jobs: {a: {command: x}}\n---\n', /2:1: begins a second document/],
  'a key that stands twice': [
    'jobs: {a: {command: x, command: y}}',
    /the key "command" is not unique/,
  ],
  'a list': ['- a', /1:1: the file must be a map/],
  nothing: ['', /1:1: there are no jobs/],
};

for (const [what, [text, problem]] of Object.entries(oddities)) {
  test(`an odd file is read as it stands or refused in words: ${what}`, () => {
    const found = problemsOf(text);
    if (problem === undefined) assert.deepEqual(found, []);
    else assert.match(found.join('\n'), problem);
  });
}

test('ten thousand jobs are checked', () => {
  const jobs = Array.from({ length: 10_000 }, (_, at) =>
    at === 0 ? '  j0: {command: x}' : `  j${at}: {command: x, requires: [j${at - 1}: COMPLETED]}`,
  );
  const { order } = parseWorkflow(`jobs:\n${jobs.join('\n')}\n`, 'w.yaml');
  assert.equal(order.length, 10_000);
  assert.match(
    problemsOf(`jobs:\n${jobs.join('\n')}\n  last: {command: x}`)[0] ?? '',
    /more than 10000 jobs/,
  );
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested
