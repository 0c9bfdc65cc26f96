// Workflows as a client sees them, from their text to their end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cancelJob,
  deleteWorkflow,
  getJobStatus,
  getWorkflowJobs,
  getWorkflowStatus,
  listWorkflows,
  queryJobs,
  retryWorkflow,
  runWorkflow,
  stopJob,
  stopWorkflow,
} from '../src/client/methods.ts';
import { JobletError } from '../src/shared/errors.ts';
import { output } from './job-calls.ts';
import { finishWorkflow, startWorkflow, statusesOf, stepOf, watched } from './workflow-calls.ts';
import { shell, WorkflowWorld } from './workflow-world.ts';

const world = new WorkflowWorld();
const { skip } = world;

test('jobs run in the order of what they require, each under its name (S2-10, S4-49, S4-53, S4-63)', {
  skip,
}, async () => {
  const { workflow, jobs } = await finishWorkflow(
    world.api,
    `
name: chain
jobs:
  last: {${shell('echo last')}, requires: [middle: COMPLETED, other: COMPLETED]}
  first: {${shell('echo first')}}
  middle: {${shell('echo middle')}, requires: [first: COMPLETED]}
  other: {${shell('echo other')}, requires: [first: COMPLETED]}
`,
  );
  assert.equal(workflow?.status, 'COMPLETED');
  assert.deepEqual([workflow.totalJobs, workflow.completedJobs, workflow.failedJobs], [4, 4, 0]);
  assert.equal(workflow.name, 'chain');
  assert.ok(workflow.createdAt && workflow.startedAt && workflow.completedAt);
  const times = new Map(
    jobs.map(({ jobName, startTime, endTime }) => [
      jobName,
      [startTime, endTime].map((at) => Number(at?.seconds) * 1000 + Number(at?.nanos) / 1e6),
    ]),
  );
  const [start = 0] = times.get('last') ?? [];
  for (const name of ['first', 'middle', 'other']) assert.ok((times.get(name)?.[1] ?? 0) <= start);
  for (const { jobUuid, jobName } of jobs) {
    const job = await world.api.unary(getJobStatus, { uuid: jobUuid });
    assert.equal(job.name, jobName);
    assert.equal(job.workflowUuid, workflow.uuid);
    assert.equal((await output(world.api, { uuid: jobUuid })).toString(), `${jobName}\n`);
  }
  assert.deepEqual(jobs[0]?.dependencies, ['middle', 'other']);
  assert.deepEqual(
    (await world.api.unary(getJobStatus, { uuid: jobs[0]?.jobUuid ?? '' })).dependencies,
    ['middle', 'other'],
  );
});

test('a job that has not started has the id 0 and is PENDING (S4-51, S4-52)', {
  skip,
}, async () => {
  const id = await startWorkflow(
    world.api,
    `jobs: {a: {command: sleep, args: ["600"]}, b: {command: "true", requires: [a: COMPLETED]}}`,
  );
  const detail = await watched(world.api, id, (now) => stepOf(now, 'a').status === 'RUNNING');
  assert.equal(detail.workflow?.status, 'RUNNING');
  assert.equal(stepOf(detail, 'b').jobUuid, '0');
  assert.equal(stepOf(detail, 'b').status, 'PENDING');
  assert.match(stepOf(detail, 'a').jobUuid, /^[0-9a-f-]{36}$/);
  const { jobs } = await world.api.unary(getWorkflowJobs, { workflowUuid: id.slice(0, 8) });
  assert.deepEqual(jobs, detail.jobs);
  const stopped = await world.api.unary(stopWorkflow, { workflowUuid: id, force: true });
  assert.equal(stopped.workflow?.status, 'STOPPED');
  assert.equal(stopped.workflow?.endedBy, 'test-developer');
  assert.deepEqual(statusesOf(stopped), { a: 'STOPPED', b: 'CANCELED' });
  await assert.rejects(world.api.unary(stopWorkflow, { workflowUuid: id }), {
    kind: 'wrong-state',
  });
});

test('a failed job takes those away that need it; its failure branch runs; the workflow has FAILED', {
  skip,
}, async () => {
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  a: {${shell('exit 3')}}
  b: {command: "true", requires: [a: COMPLETED]}
  c: {command: "true", requires: [b: COMPLETED]}
  rescue: {command: "true", requires: [a: FAILED]}
  finally: {command: "true", requires: [c: COMPLETED, rescue: COMPLETED], always: true}
  beside: {command: "true"}
`,
  );
  assert.equal(detail.workflow?.status, 'FAILED');
  assert.deepEqual(statusesOf(detail), {
    a: 'FAILED',
    b: 'CANCELED',
    c: 'CANCELED',
    rescue: 'COMPLETED',
    finally: 'COMPLETED',
    beside: 'COMPLETED',
  });
  assert.equal(stepOf(detail, 'a').exitCode, 3);
  assert.match(stepOf(detail, 'b').message, /impossible/);
  const { completedJobs, failedJobs, canceledJobs } = detail.workflow;
  assert.deepEqual([completedJobs, failedJobs, canceledJobs], [3, 1, 2]);
});

test('a branch that was not taken does not spoil a workflow', { skip }, async () => {
  const detail = await finishWorkflow(
    world.api,
    'jobs: {a: {command: "true"}, rescue: {command: "true", requires: [a: FAILED]}}',
  );
  assert.equal(detail.workflow?.status, 'COMPLETED');
  assert.deepEqual(statusesOf(detail), { a: 'COMPLETED', rescue: 'CANCELED' });
});

test('a job may wait for another one to run, and for whatever an expression says', {
  skip,
}, async () => {
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  service: {command: sleep, args: ["600"], timeout: 2s}
  client: {command: "true", requires: [service: RUNNING]}
  both: {command: "true", requires: ["client=COMPLETED AND (service=RUNNING OR NOT service=FAILED)"]}
  after: {command: "true", requires: ["service NOT_IN (COMPLETED, FAILED)"]}
`,
  );
  assert.deepEqual(statusesOf(detail), {
    service: 'STOPPED',
    client: 'COMPLETED',
    both: 'COMPLETED',
    after: 'COMPLETED',
  });
});

test('a job is started anew as often as it may be, after the exit codes that say so', {
  skip,
}, async () => {
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  tried: {${shell('exit 75')}, retry: {attempts: 3, backoff: 10ms, exit_codes: [75]}}
  once: {${shell('exit 1')}, retry: {attempts: 3, exit_codes: [75]}}
  next: {command: "true", requires: [tried: FAILED]}
`,
  );
  assert.equal(stepOf(detail, 'tried').attempts, 3);
  assert.equal(stepOf(detail, 'once').attempts, 1);
  assert.equal(stepOf(detail, 'next').status, 'COMPLETED');
  const { jobs } = await world.api.unary(queryJobs, { name: 'tried', limit: 10 });
  assert.equal(jobs.length, 3);
});

test('no more jobs are under way at once than a workflow says', { skip }, async () => {
  const jobs = Array.from({ length: 6 }, (_, at) => `  j${at}: {command: "true"}`).join('\n');
  const id = await startWorkflow(world.api, `max_parallel: 2\njobs:\n${jobs}\n`);
  const detail = await watched(world.api, id, (now) => {
    const open = now.jobs.filter(({ status, jobUuid }) => jobUuid !== '0' && !/ED$/.test(status));
    assert.ok(open.length <= 2);
    return false;
  });
  assert.equal(detail.workflow?.status, 'COMPLETED');
});

test('what went wrong can be taken up again, or all of it run once more', { skip }, async () => {
  const marker = `flag-${process.pid}`;
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  good: {command: "true"}
  bad: {command: "false", retry: {attempts: 2, backoff: 1ms}}
  next: {command: "true", requires: [bad: COMPLETED, good: COMPLETED]}
  ${marker}: {command: "true", requires: [bad: FAILED]}
`,
  );
  const id = detail.workflow?.uuid ?? '';
  const again = await world.api.unary(retryWorkflow, { workflowUuid: id });
  assert.equal(again.workflowUuid, id);
  const retried = await watched(world.api, id);
  assert.equal(retried.workflow?.status, 'FAILED');
  assert.equal(stepOf(retried, 'bad').attempts, 4);
  assert.equal(stepOf(retried, 'good').attempts, 1);
  assert.equal(stepOf(retried, 'good').jobUuid, stepOf(detail, 'good').jobUuid);
  const other = await world.api.unary(retryWorkflow, { workflowUuid: id, all: true });
  assert.notEqual(other.workflowUuid, id);
  const whole = await watched(world.api, other.workflowUuid);
  assert.equal(stepOf(whole, 'good').attempts, 1);
  assert.notEqual(stepOf(whole, 'good').jobUuid, stepOf(detail, 'good').jobUuid);
});

test('two runs of the same text at once do not see each other', { skip }, async () => {
  const text = `jobs: {a: {command: sleep, args: ["600"]}, b: {command: "true", requires: [a: FINISHED]}}`;
  const [one, two] = await Promise.all([
    startWorkflow(world.api, text),
    startWorkflow(world.api, text),
  ]);
  await watched(world.api, one, (now) => stepOf(now, 'a').status === 'RUNNING');
  const running = await watched(world.api, two, (now) => stepOf(now, 'a').status === 'RUNNING');
  const first = await world.api.unary(getWorkflowStatus, { workflowUuid: one });
  await world.api.unary(stopJob, { uuid: stepOf(first, 'a').jobUuid, force: true });
  const ended = await watched(world.api, one);
  assert.deepEqual(statusesOf(ended), { a: 'STOPPED', b: 'COMPLETED' });
  const still = await world.api.unary(getWorkflowStatus, { workflowUuid: two });
  assert.deepEqual(statusesOf(still), { a: 'RUNNING', b: 'PENDING' });
  assert.equal(stepOf(still, 'a').jobUuid, stepOf(running, 'a').jobUuid);
  await world.api.unary(stopWorkflow, { workflowUuid: two, force: true });
});

test('files come to the jobs that name them, also those of a folder, with their paths', {
  skip,
}, async () => {
  const file = (path: string, text: string) => ({ path, content: Buffer.from(text) });
  const detail = await finishWorkflow(
    world.api,
    `
jobs:
  a: {${shell('cat in/a.txt; test ! -e b.txt')}, uploads: {files: ["./in/a.txt"]}}
  b: {${shell('cat b.txt in/deep/c.txt')}, uploads: {files: ["/else/where/b.txt"], directories: [in]}}
`,
    { workflowFiles: [file('in/a.txt', 'A'), file('b.txt', 'B'), file('in/deep/c.txt', 'C')] },
  );
  assert.equal(detail.workflow?.status, 'COMPLETED');
  const printed = await Promise.all(
    detail.jobs.map(async ({ jobUuid }) => (await output(world.api, { uuid: jobUuid })).toString()),
  );
  assert.deepEqual(printed, ['A', 'BC']);
});

test('secrets reach the jobs, and stand masked in everything that is shown', { skip }, async () => {
  const detail = await finishWorkflow(
    world.api,
    `
secret_environment: {DB_PASS: hidden-one}
environment: {URL: "db:\${DB_PASS}", API_TOKEN: hidden-two}
jobs: {a: {${shell('echo $URL $API_TOKEN | tr h H')}}}
`,
  );
  const uuid = stepOf(detail, 'a').jobUuid;
  assert.equal((await output(world.api, { uuid })).toString(), 'db:Hidden-one Hidden-two\n');
  const job = await world.api.unary(getJobStatus, { uuid });
  assert.deepEqual(job.secretEnvironment, { DB_PASS: '***', URL: '***', API_TOKEN: '***' });
  assert.doesNotMatch(JSON.stringify([detail.workflow?.yamlContent, job.args]), /hidden/);
  assert.match(detail.workflow?.yamlContent ?? '', /API_TOKEN: "\*{3}"/);
});

test('all that is wrong is named at once, and nothing is created', { skip }, async () => {
  const before = (await world.api.unary(listWorkflows, { includeCompleted: true })).workflows
    .length;
  const text = `
jobs:
  a: {command: "true", volumes: [none-such, "none-other:/x"]}
  b: {command: "true", network: none-such, requires: [a: COMPLETED]}
  c: {command: "true", runtime: "python:9.9"}
  d: {command: "true", resources: {max_cpu: 1000000}, workdir: /etc}
  e: {command: "true", uploads: {files: [absent.txt]}}
  f: {command: "true", schedule: tomorrow}
`;
  const error = await world.api
    .unary(runWorkflow, { yamlContent: text, workflow: 'bad.yaml' })
    .then(
      () => assert.fail('it was accepted'),
      (reason: unknown) => reason,
    );
  assert.ok(error instanceof JobletError);
  assert.equal(error.kind, 'invalid');
  for (const words of [
    /bad\.yaml:3:\d+: volume validation failed: missing volumes: \[none-other none-such\]/,
    /bad\.yaml:4:\d+: network validation failed: missing networks: \[none-such\]\. Available networks: \[none isolated/,
    /bad\.yaml:5:\d+: runtime validation failed: missing runtimes: \[python:9\.9\]/,
    /bad\.yaml:6:\d+: job 'd': max_cpu .* is more than/,
    /job 'd': work_dir leads out/,
    /bad\.yaml:7:\d+: job 'e': uploads - the file absent\.txt was not sent along/,
    /bad\.yaml:8:\d+: job 'f': schedule: "tomorrow"/,
  ]) {
    assert.match(error.message, words);
  }
  const after = (await world.api.unary(listWorkflows, { includeCompleted: true })).workflows.length;
  assert.equal(after, before);
});

test('a long text is read beside other calls, and its problems have their places', {
  skip,
}, async () => {
  const jobs = Array.from(
    { length: 5000 },
    (_, at) =>
      `  j${at}: {command: "true"${at === 0 ? '' : `, requires: [j${at - 1}: COMPLETED]`}}`,
  );
  const yamlContent = `jobs:\n${jobs.join('\n')}\n`;
  let isDone = false;
  const checked = world.api.unary(runWorkflow, { yamlContent, validateOnly: true }).finally(() => {
    isDone = true;
  });
  let calls = 0;
  for (; !isDone; calls += 1) await world.api.unary(listWorkflows, {});
  await checked;
  // Read here, it would have kept the first of them waiting until it was done.
  assert.ok(calls > 5, `${calls} calls were answered meanwhile`);
  const wrong = `${yamlContent}  last: {command: "true", network: none-such}\n`;
  await assert.rejects(
    world.api.unary(runWorkflow, { yamlContent: wrong, workflow: 'long.yaml' }),
    /long\.yaml:5002:\d+: network validation failed: missing networks: \[none-such\]/,
  );
  await assert.rejects(
    world.api.unary(runWorkflow, { yamlContent: `${yamlContent}  last: {comand: x}\n` }),
    /workflow:5002:10: comand is not known here/,
  );
});

test('a text can be checked without being run', { skip }, async () => {
  const { workflowUuid } = await world.api.unary(runWorkflow, {
    yamlContent: 'jobs: {a: {command: "true"}}',
    validateOnly: true,
  });
  assert.equal(workflowUuid, '');
});

test('a workflow is deleted with its jobs when it is over, and not before', { skip }, async () => {
  const id = await startWorkflow(world.api, 'jobs: {a: {command: sleep, args: ["600"]}}');
  await watched(world.api, id, (now) => stepOf(now, 'a').status === 'RUNNING');
  await assert.rejects(world.api.unary(deleteWorkflow, { workflowUuid: id }), /stop it first/);
  const { jobs } = await world.api.unary(stopWorkflow, { workflowUuid: id, force: true });
  await world.api.unary(deleteWorkflow, { workflowUuid: id });
  await assert.rejects(world.api.unary(getWorkflowStatus, { workflowUuid: id }), {
    kind: 'not-found',
  });
  await assert.rejects(world.api.unary(getJobStatus, { uuid: jobs[0]?.jobUuid ?? '' }), {
    kind: 'not-found',
  });
});

test('a job of a workflow that waits for its time can be taken back', { skip }, async () => {
  const id = await startWorkflow(
    world.api,
    'jobs: {a: {command: "true", schedule: 1hour}, b: {command: "true", requires: [a: CANCELED]}}',
  );
  const waiting = await watched(world.api, id, (now) => stepOf(now, 'a').status === 'SCHEDULED');
  await world.api.unary(cancelJob, { uuid: stepOf(waiting, 'a').jobUuid });
  const detail = await watched(world.api, id);
  assert.deepEqual(statusesOf(detail), { a: 'CANCELED', b: 'COMPLETED' });
  assert.equal(detail.workflow?.status, 'CANCELED');
});

test('a workflow goes on when its daemon is killed, and no job of it runs twice', {
  skip,
}, async () => {
  const id = await startWorkflow(
    world.api,
    `
jobs:
  a: {${shell('sleep 1; echo a')}}
  b: {${shell('echo b')}, requires: [a: COMPLETED]}
  c: {${shell('echo c')}, requires: [b: COMPLETED]}
`,
  );
  await watched(world.api, id, (now) => stepOf(now, 'a').status === 'RUNNING');
  await world.killed();
  const detail = await watched(world.api, id);
  assert.equal(detail.workflow?.status, 'COMPLETED');
  for (const { attempts } of detail.jobs) assert.equal(attempts, 1);
  const { jobs } = await world.api.unary(queryJobs, { limit: 1000 });
  assert.equal(
    jobs.filter(({ uuid }) => detail.jobs.some((one) => one.jobUuid === uuid)).length,
    3,
  );
});

test('a viewer may look at workflows and may not run, stop, retry or delete them', {
  skip,
}, async () => {
  const viewer = world.daemon.as('viewer');
  const { workflows } = await viewer.unary(listWorkflows, { includeCompleted: true });
  const workflowUuid = workflows[0]?.uuid ?? '';
  await viewer.unary(getWorkflowStatus, { workflowUuid });
  await viewer.unary(getWorkflowJobs, { workflowUuid });
  for (const refused of [
    viewer.unary(runWorkflow, { yamlContent: 'x' }),
    viewer.unary(stopWorkflow, { workflowUuid }),
    viewer.unary(retryWorkflow, { workflowUuid }),
    viewer.unary(deleteWorkflow, { workflowUuid }),
  ]) {
    await assert.rejects(refused, { kind: 'denied' });
  }
});
