// What a workflow that is called says about its run counts for the call: how many of its jobs are under
// way at once, the workspace that they share, and the group of which one goes on at a time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listVolumes, retryWorkflow, stopJob, stopWorkflow } from '../src/client/methods.ts';
import type { WorkflowDetail } from '../src/client/workflow-messages.ts';
import { finishWorkflow, startWorkflow, statusesOf, stepOf, watched } from './workflow-calls.ts';
import { shell, WorkflowWorld } from './workflow-world.ts';

const world = new WorkflowWorld();
const { skip } = world;

async function stop(detail: WorkflowDetail, name: string): Promise<void> {
  await world.api.unary(stopJob, { uuid: stepOf(detail, name).jobUuid, force: true });
}

const isRunning = (name: string) => (detail: WorkflowDetail) =>
  stepOf(detail, name).status === 'RUNNING';

test('no more jobs of a call are under way at once than the called workflow says', {
  skip,
}, async () => {
  const text = `
workflows:
  all:
    jobs:
      one: {workflow: many, foreach: [a, b]}
      beside: {command: "true"}
  many:
    max_parallel: 1
    jobs:
      each: {${shell('true')}, foreach: [1, 2, 3]}
`;
  const id = await startWorkflow(world.api, text, { choice: 'all' });
  const detail = await watched(world.api, id, ({ jobs }) => {
    for (const call of ['one-a.', 'one-b.']) {
      const open = jobs.filter(
        ({ jobName, jobUuid, status }) =>
          jobName.startsWith(call) && jobUuid !== '0' && !/ED$/.test(status),
      );
      assert.ok(open.length <= 1);
    }
    return false;
  });
  assert.equal(detail.workflow?.status, 'COMPLETED');
  assert.equal(detail.jobs.length, 7);
});

test('a call has the workspace that the called workflow asks for, and that of its caller otherwise', {
  skip,
}, async () => {
  const text = `
workflows:
  all:
    workspace: {size: 2MB}
    jobs:
      make: {${shell('echo outer > /workspace/who')}}
      own: {workflow: own, foreach: [a, b], requires: [make]}
      lent: {workflow: lent, requires: [make]}
      after: {${shell('test $(cat /workspace/who) = outer && ls /workspace')}, requires: [own, lent]}
  own:
    workspace: {size: 1MB}
    jobs:
      empty: {${shell('test ! -e /workspace/who && echo inner > /workspace/who')}}
      inner: {workflow: lent, params: {who: inner}, requires: [empty]}
  lent:
    params: {who: outer}
    jobs:
      see: {${shell('test $(cat /workspace/who) = "$1"').replace(/\]$/, `, sh, "\${who}"]`)}}
`;
  const detail = await finishWorkflow(world.api, text, { choice: 'all' });
  assert.equal(detail.workflow?.status, 'COMPLETED', JSON.stringify(statusesOf(detail)));
  for (const { status } of detail.jobs) assert.equal(status, 'COMPLETED');
});

const GROUP = `
workflows:
  pipeline:
    params: {s: "600"}
    jobs:
      build: {command: "true"}
      deploy: {workflow: deploy, params: {s: "\${s}"}, requires: [build]}
      after: {command: "true", requires: [deploy: FINISHED]}
  deploy:
    params: {s: "0"}
    concurrency: deploy
    jobs:
      put: {command: sleep, args: ["\${s}"]}
      check: {command: "true", requires: [put: FINISHED]}
`;

test('of the calls and runs of a group one goes on at a time, in the order that they came, whoever is killed', {
  skip,
}, async () => {
  const one = await startWorkflow(world.api, GROUP, { choice: 'pipeline' });
  const first = await watched(world.api, one, isRunning('deploy.put'));
  const two = await startWorkflow(world.api, GROUP, { choice: 'pipeline', params: { s: '0' } });
  // Only its call waits; what stands before it runs.
  const waits = await watched(
    world.api,
    two,
    (detail) => stepOf(detail, 'deploy.put').message !== '',
  );
  assert.equal(stepOf(waits, 'build').status, 'COMPLETED');
  assert.match(
    stepOf(waits, 'deploy.put').message,
    /waits for others of the concurrency group deploy$/,
  );
  const alone = await startWorkflow(world.api, GROUP, { choice: 'deploy' });
  const line = await watched(world.api, alone, () => true);
  assert.equal(line.workflow?.waitsForGroup, 'deploy');
  await world.killed();
  await stop(first, 'deploy.put');
  const ends = await Promise.all([one, two, alone].map((id) => watched(world.api, id)));
  const statuses = ends.map(({ workflow }) => workflow?.status);
  assert.deepEqual(statuses, ['FAILED', 'COMPLETED', 'COMPLETED']);
  const times = ends.map(({ jobs }) =>
    jobs
      .filter(({ jobName }) => /put|check/.test(jobName))
      .map(({ startTime, endTime }) => [startTime, endTime].map(msOf)),
  );
  for (const [at, own] of times.entries()) {
    const before = times[at - 1]?.flat() ?? [0];
    assert.ok(Math.min(...own.flat()) >= Math.max(...before));
  }
});

function msOf(time: { readonly seconds: bigint; readonly nanos: number } | undefined): number {
  return Number(time?.seconds) * 1000 + Number(time?.nanos) / 1e6;
}

test('a call that cancels others of its group ends those, and the rest of their runs goes its way', {
  skip,
}, async () => {
  const text = GROUP.replace(
    'concurrency: deploy',
    'concurrency: {group: only, cancel_in_progress: true}',
  );
  const one = await startWorkflow(world.api, text, { choice: 'pipeline' });
  await watched(world.api, one, isRunning('deploy.put'));
  const two = await startWorkflow(world.api, text, { choice: 'deploy' });
  const [ended, last] = await Promise.all([one, two].map((id) => watched(world.api, id)));
  assert.equal(last?.workflow?.status, 'COMPLETED');
  assert.ok(ended);
  assert.deepEqual(statusesOf(ended), {
    build: 'COMPLETED',
    'deploy.put': 'STOPPED',
    'deploy.check': 'CANCELED',
    after: 'COMPLETED',
  });
  assert.match(stepOf(ended, 'deploy.check').message, /another one of its concurrency group came/);
  // Taken up again, it has its turn again.
  await world.api.unary(retryWorkflow, { workflowUuid: one });
  await watched(world.api, one, isRunning('deploy.put'));
  const { workflow } = await world.api.unary(stopWorkflow, { workflowUuid: one, force: true });
  assert.equal(workflow?.status, 'STOPPED');
});

test('calls that would wait for each other in a circle are refused, one of them when it comes', {
  skip,
}, async () => {
  const itself = `
workflows:
  all: {concurrency: g, jobs: {call: {workflow: part}}}
  part: {concurrency: g, jobs: {a: {command: "true"}}}
`;
  await assert.rejects(
    startWorkflow(world.api, itself, { choice: 'all' }),
    /w\.yaml:3:49: job 'call' calls a workflow of the concurrency group 'g', which its own run belongs to/,
  );
  const text = (own: string, other: string) => `
workflows:
  all:
    concurrency: ${own}
    jobs:
      first: {command: sleep, args: ["600"]}
      call: {workflow: part, requires: [first: FINISHED]}
  part: {concurrency: ${other}, jobs: {a: {command: "true"}}}
`;
  const ids = await Promise.all([
    startWorkflow(world.api, text('left', 'right'), { choice: 'all' }),
    startWorkflow(world.api, text('right', 'left'), { choice: 'all' }),
  ]);
  for (const id of ids) await stop(await watched(world.api, id, isRunning('first')), 'first');
  const ends = await Promise.all(ids.map((id) => watched(world.api, id)));
  const calls = ends.map((detail) => stepOf(detail, 'call.a'));
  assert.deepEqual(calls.map(({ status }) => status).toSorted(), ['COMPLETED', 'FAILED']);
  const refused = calls.find(({ status }) => status === 'FAILED');
  assert.match(
    refused?.message ?? '',
    /group '\w+' would never come: who has it waits for a group/,
  );
  const { volumes } = await world.api.unary(listVolumes, {});
  assert.deepEqual(volumes, []);
});
