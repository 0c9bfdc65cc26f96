// A daemon dies between the record of a stop and the stop: the next one does what was recorded.

import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { listWorkflows, stopJob, stopWorkflow } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, printed, shell, start } from './job-calls.ts';
import { startWorkflow, statusesOf, stepOf, watched } from './workflow-calls.ts';

const skip = cannotRun();

let daemon: Daemon;
let file: string;

before(async () => {
  if (skip !== false) return;
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-'));
  file = path.join(directory, 'die-behind');
  const hook = pathToFileURL(path.join(import.meta.dirname, 'die-behind.ts'));
  daemon = await startDaemon({}, directory, {
    NODE_OPTIONS: `--import=${hook}`,
    JOBLET_DIE_BEHIND: file,
  });
});

after(async () => {
  await daemon?.stop();
});

/** Lets the daemon die behind the record of an action that a call makes it take, and starts another one. */
async function dieBehind(action: string, call: () => Promise<unknown>): Promise<void> {
  writeFileSync(file, action);
  await assert.rejects(call());
  await daemon.kill();
  await daemon.restart();
}

const STUBBORN = shell('trap "echo term" TERM; echo ready; while :; do sleep 0.1; done');

test('a stop that was recorded is carried out by the next daemon, with its grace', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const uuid = await start(api, STUBBORN);
  await printed(api, uuid, 'ready');
  await dieBehind('job.stop', () => api.unary(stopJob, { uuid, graceMs: 1n }));
  const { job, stdout } = await ended(daemon.as('admin'), uuid);
  assert.deepEqual([job.status, job.stoppedBy], ['STOPPED', 'test-developer']);
  assert.match(stdout, /^ready\n/);
});

const CHAIN = `
jobs:
  a: {command: sleep, args: ["600"], retry: 3}
  b: {command: "true", requires: [a: FINISHED]}
  c: {command: "true", requires: [b: COMPLETED], always: true}
`;

for (const action of ['workflow.stop', 'job.stop']) {
  test(`a workflow whose daemon dies behind the record of its ${action} is stopped by the next one`, {
    skip,
  }, async () => {
    const api = daemon.as('developer');
    const workflowUuid = await startWorkflow(api, CHAIN);
    await watched(api, workflowUuid, (detail) => stepOf(detail, 'a').status === 'RUNNING');
    await dieBehind(action, () => api.unary(stopWorkflow, { workflowUuid }));
    const detail = await watched(daemon.as('admin'), workflowUuid);
    assert.equal(detail.workflow?.status, 'STOPPED');
    assert.equal(detail.workflow.endedBy, 'test-developer');
    assert.deepEqual(statusesOf(detail), { a: 'STOPPED', b: 'CANCELED', c: 'CANCELED' });
    assert.equal(stepOf(detail, 'a').attempts, 1);
  });
}

test('a workflow that stops those of its group stops them though the daemon dies as it comes', {
  skip,
}, async () => {
  const text = (seconds: number) =>
    `concurrency: {group: g, cancel_in_progress: true}\njobs: {a: {command: sleep, args: ["${seconds}"]}}`;
  const api = daemon.as('developer');
  const first = await startWorkflow(api, text(600));
  await watched(api, first, (detail) => stepOf(detail, 'a').status === 'RUNNING');
  await dieBehind('workflow.created', () => startWorkflow(api, text(0)));
  const again = daemon.as('admin');
  assert.equal((await watched(again, first)).workflow?.status, 'STOPPED');
  const { workflows } = await again.unary(listWorkflows, { includeCompleted: true });
  const second = await watched(again, workflows[0]?.uuid ?? '');
  assert.equal(second.workflow?.status, 'COMPLETED');
});
