// What jobs of a workflow say to each other, jobs that are left out, runs of one group, and what is made
// for a run and goes with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createVolume,
  deleteWorkflow,
  listVolumes,
  retryWorkflow,
  stopWorkflow,
} from '../src/client/methods.ts';
import { output } from './job-calls.ts';
import { finishWorkflow, startWorkflow, statusesOf, stepOf, watched } from './workflow-calls.ts';
import { says, shell, WorkflowWorld } from './workflow-world.ts';

const world = new WorkflowWorld();
const { skip } = world;

async function volumeNames(): Promise<string[]> {
  const { volumes } = await world.api.unary(listVolumes, {});
  return volumes.map(({ name }) => name);
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested

test('what a job says comes to those that follow, as it is, and an argument stays one (S2-42)', {
  skip,
}, async () => {
  const odd = `two  words; \\"\${HOME}\\" $(id) \\\\ 'x'`;
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  make: {${shell(`printf '%s\\n' "odd=$ODD" >> "$JOBLET_OUTPUT"`)}, outputs: [odd], environment: {ODD: "${odd}"}}
  use:
    command: printf
    args: ["%s|", "a", "\${outputs.make.odd}", "b"]
    requires: [make: COMPLETED]
  see: {${shell('printf %s "$ODD"')}, environment: {ODD: "\${outputs.make.odd}"}, requires: [make: COMPLETED]}
`,
  );
  assert.equal(detail.workflow?.status, 'COMPLETED');
  const said = stepOf(detail, 'make').outputs['odd'];
  assert.match(said ?? '', /^two {2}words; "/);
  const printed = async (name: string) =>
    (await output(world.api, { uuid: stepOf(detail, name).jobUuid })).toString();
  assert.equal(await printed('use'), `a|${said}|b|`);
  assert.equal(await printed('see'), said);
  assert.deepEqual(await volumeNames(), []);
});

test('a job that says what cannot be read has failed, and is tried again as its retry has it', {
  skip,
}, async () => {
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  odd: {${shell(says('other', '1'))}, outputs: [value], retry: {attempts: 2, backoff: 1ms}}
  link: {${shell('ln -s /etc/passwd "$JOBLET_OUTPUT"')}, outputs: [value]}
  silent: {command: "true", outputs: [value]}
  after: {command: echo, args: ["\${outputs.silent.value}"], requires: [silent: COMPLETED]}
  else: {command: echo, args: ["\${outputs.silent.value:-none}"], requires: [silent: COMPLETED]}
`,
  );
  assert.deepEqual(statusesOf(detail), {
    odd: 'FAILED',
    link: 'FAILED',
    silent: 'COMPLETED',
    after: 'FAILED',
    else: 'COMPLETED',
  });
  assert.match(stepOf(detail, 'odd').message, /line 1 of its outputs says other, which is none/);
  assert.equal(stepOf(detail, 'odd').attempts, 2);
  assert.match(stepOf(detail, 'link').message, /cannot be read: ELOOP/);
  assert.match(
    stepOf(detail, 'after').message,
    /needs the output value of job 'silent', which did/,
  );
  assert.equal(stepOf(detail, 'after').attempts, 0);
});

test('a job whose if does not hold is skipped, and so is what needs it; the rest goes its way', {
  skip,
}, async () => {
  const text = `
params: {stage: {enum: [dev, prod], default: dev}}
jobs:
  test: {${shell(says('flaky', 'false'))}, outputs: [flaky]}
  fails: {command: "false"}
  deploy: {command: "true", if: "\${stage} = prod AND NOT \${outputs.test.flaky}", requires: [test: COMPLETED]}
  smoke: {command: "true", requires: [deploy: COMPLETED]}
  either: {command: "true", requires: ["deploy IN (COMPLETED, SKIPPED)"]}
  always: {command: "true", requires: [deploy, smoke], always: true}
  never: {command: "true", requires: [deploy: COMPLETED, fails: COMPLETED]}
  rescue: {command: "true", requires: [fails: FINISHED], if: "fails = FAILED"}
`;
  const dev = await finishWorkflow(world.api, text);
  assert.deepEqual(statusesOf(dev), {
    test: 'COMPLETED',
    fails: 'FAILED',
    deploy: 'SKIPPED',
    smoke: 'SKIPPED',
    either: 'COMPLETED',
    always: 'COMPLETED',
    never: 'CANCELED',
    rescue: 'COMPLETED',
  });
  assert.equal(dev.workflow?.skippedJobs, 2);
  assert.equal(stepOf(dev, 'deploy').jobUuid, '0');
  const prod = await finishWorkflow(world.api, text, { params: { stage: 'prod' } });
  assert.equal(stepOf(prod, 'smoke').status, 'COMPLETED');
  const { workflowUuid } = await world.api.unary(retryWorkflow, {
    workflowUuid: dev.workflow?.uuid ?? '',
  });
  assert.equal(stepOf(await watched(world.api, workflowUuid), 'deploy').status, 'SKIPPED');
});

test('jobs of a workflow cannot say more together than the node can keep', { skip }, async () => {
  const script = `printf 'v=%065000d\\n' 0 >> $JOBLET_OUTPUT`;
  const items = Array.from({ length: 17 }, (_, at) => at).join(', ');
  const detail = await finishWorkflow(
    world.api,
    `jobs: {big: {command: sh, args: ["-c", "${script}"], outputs: [v], foreach: [${items}]}}`,
  );
  const ends = Object.values(statusesOf(detail)).toSorted();
  assert.deepEqual(ends, [...Array(16).fill('COMPLETED'), 'FAILED']);
});

test('parameters are checked here too, whatever a client has checked', { skip }, async () => {
  const text = 'params: {n: {type: integer, required: true}}\njobs: {a: {command: x}}';
  await assert.rejects(startWorkflow(world.api, text), /w\.yaml:1:10: params: n has to be given/);
  const params = { n: '1; rm' };
  await assert.rejects(startWorkflow(world.api, text, { params }), /n is no integer: "1; rm"/);
  const huge = 'workspace: {size: 1000TB}\njobs: {a: {command: x}}';
  await assert.rejects(
    startWorkflow(world.api, huge),
    /w\.yaml:1:12: workspace: a volume has at most/,
  );
});

test('of the runs of a group one goes on at a time, in the order that they came', {
  skip,
}, async () => {
  const text =
    'concurrency: {group: line}\njobs: {a: {command: sleep, args: ["0.2"]}, b: {command: "true", requires: [a]}}';
  const ids = [];
  for (let count = 0; count < 3; count += 1) ids.push(await startWorkflow(world.api, text));
  const waiting = await watched(world.api, ids[2] ?? '', () => true);
  assert.equal(waiting.workflow?.waitsForGroup, 'line');
  // Another daemon finds the same line.
  await world.killed();
  const all = await Promise.all(ids.map((id) => watched(world.api, id)));
  const timeOf = (time: { seconds: bigint; nanos: number } | undefined) =>
    Number(time?.seconds) * 1000 + Number(time?.nanos) / 1e6;
  for (const [at, { workflow, jobs }] of all.entries()) {
    assert.equal(workflow?.status, 'COMPLETED');
    const before = all[at - 1]?.workflow?.completedAt;
    if (before !== undefined) assert.ok(timeOf(jobs[0]?.startTime) >= timeOf(before));
  }
});

test('a run that cancels others of its group stops those under way and those that wait', {
  skip,
}, async () => {
  const text =
    'params: {s: "60"}\nconcurrency: {group: only, cancel_in_progress: true}\njobs: {a: {command: sleep, args: ["${s}"]}}';
  const first = await startWorkflow(world.api, text);
  await watched(world.api, first, (detail) => stepOf(detail, 'a').status === 'RUNNING');
  const second = await startWorkflow(world.api, text);
  const third = await startWorkflow(world.api, text, { params: { s: '0' } });
  const ends = await Promise.all([first, second, third].map((id) => watched(world.api, id)));
  assert.deepEqual(
    ends.map(({ workflow }) => workflow?.status),
    ['STOPPED', 'STOPPED', 'COMPLETED'],
  );
  // Another one's group of the same name is another one.
  const other = world.daemon.as('operator');
  const [mine, theirs] = await Promise.all([
    startWorkflow(world.api, text),
    startWorkflow(other, text),
  ]);
  for (const id of [mine, theirs]) {
    await watched(world.api, id, (detail) => stepOf(detail, 'a').status === 'RUNNING');
    await world.daemon.as('admin').unary(stopWorkflow, { workflowUuid: id, force: true });
  }
});

test('a workspace is there for all jobs of its run and for no other, and goes with it', {
  skip,
}, async () => {
  const text = `
workspace: {size: 4MB}
jobs:
  write: {${shell('test ! -e /workspace/mine && echo 1 > /workspace/mine')}}
  read: {${shell('cat /workspace/mine && exit $FAILS')}, environment: {FAILS: "\${fails}"}, requires: [write]}
params: {fails: "0"}
`;
  const fails = startWorkflow(world.api, text, { params: { fails: '1' } });
  const runs = await Promise.all([
    fails,
    startWorkflow(world.api, text),
    startWorkflow(world.api, text),
  ]);
  const [failed, ...fine] = await Promise.all(runs.map((id) => watched(world.api, id)));
  for (const { workflow } of fine) assert.equal(workflow?.status, 'COMPLETED');
  // A retry finds it; with the workflow it goes.
  const id = failed?.workflow?.uuid ?? '';
  assert.ok((await volumeNames()).includes(`workspace-${id}`));
  await assert.rejects(
    world.daemon.as('operator').unary(createVolume, { name: `workspace-${id}` }),
    /is that of a volume which a workflow makes/,
  );
  await world.api.unary(deleteWorkflow, { workflowUuid: id });
  assert.ok(!(await volumeNames()).includes(`workspace-${id}`));
});

test('a workflow that is called runs as the job that calls it, and is waited for as one', {
  skip,
}, async () => {
  const text = `
workflows:
  all:
    jobs:
      make: {${shell(says('word', 'well'))}, outputs: [word]}
      check: {workflow: check, params: {word: "\${outputs.make.word}"}, requires: [make]}
      off: {workflow: check, params: {word: x}, requires: [make], if: "false"}
      after: {command: "true", requires: [check: COMPLETED]}
      skipped: {command: "true", requires: [off: COMPLETED]}
      rescue: {command: "true", requires: [check: FAILED]}
  check:
    params: {word: {required: true}}
    jobs:
      one: {command: test, args: ["\${word}", "=", "well"]}
      two: {command: "true", requires: [one]}
`;
  const detail = await finishWorkflow(world.api, text, { choice: 'all' });
  assert.deepEqual(statusesOf(detail), {
    make: 'COMPLETED',
    'check.one': 'COMPLETED',
    'check.two': 'COMPLETED',
    'off.one': 'SKIPPED',
    'off.two': 'SKIPPED',
    after: 'COMPLETED',
    skipped: 'SKIPPED',
    rescue: 'CANCELED',
  });
  assert.equal(detail.workflow?.status, 'COMPLETED');
});

test('what a job says while no daemon runs is found by the next one', { skip }, async () => {
  const text = `
jobs:
  a: {${shell(`${says('n', '1')}; sleep 0.3`)}, outputs: [n]}
  b: {${shell(`test "$N" = 1 && ${says('n', '2')}`)}, outputs: [n], environment: {N: "\${outputs.a.n}"}, requires: [a]}
  c: {command: test, args: ["\${outputs.a.n}\${outputs.b.n}", "=", "12"], requires: [a, b]}
`;
  const id = await startWorkflow(world.api, text);
  await watched(world.api, id, (detail) => stepOf(detail, 'a').status === 'RUNNING');
  await world.killed();
  const detail = await watched(world.api, id);
  assert.deepEqual(statusesOf(detail), { a: 'COMPLETED', b: 'COMPLETED', c: 'COMPLETED' });
  for (const { attempts } of detail.jobs) assert.equal(attempts, 1);
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested
