// A state that is restored while workflows and schedules are under way: what became of their jobs is
// found out, nothing of them starts by itself, and all of it can be taken up again.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import {
  createSchedule,
  getSchedule,
  queryJobs,
  retryWorkflow,
  stopJob,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { startWorkflow, statusesOf, stepOf, watched } from './workflow-calls.ts';

const skip = cannotRun();
const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

/** Runs the daemon's program for the node of `daemon`. */
async function joblet(daemon: Daemon, ...words: readonly string[]): Promise<void> {
  const config = path.join(daemon.directory, 'joblet-config.yml');
  const env = { PATH: process.env['PATH'] ?? '' };
  await promisify(execFile)(process.execPath, [MAIN, ...words, '--config', config], { env });
}

async function startFor(t: TestContext): Promise<Daemon> {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  return daemon;
}

// The first time it waits to be stopped.
const FIRST = 'test -e go || { touch go; exec sleep 60; }; echo n=1 >> $JOBLET_OUTPUT';

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested
const TEXT = `
concurrency: one
workspace: {size: 1MB}
jobs:
  first: {command: sh, args: ["-c", "cd /workspace; ${FIRST}"], outputs: [n]}
  second: {command: test, args: ["\${outputs.first.n}", "=", "1"], requires: [first]}
`;
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested

test('a state restored with workflows and schedules under way starts nothing, and a retry takes it up', {
  skip,
}, async (t) => {
  const daemon = await startFor(t);
  const api = daemon.as('admin');
  const workflow = { workflow: 'w', yamlContent: 'jobs: {a: {command: "true"}}' };
  await api.unary(createSchedule, { name: 'yearly', cron: '0 0 1 1 *', workflow });
  const id = await startWorkflow(api, TEXT);
  await watched(api, id, (detail) => stepOf(detail, 'first').status === 'RUNNING');
  const behind = await startWorkflow(api, TEXT);
  const backup = path.join(daemon.directory, 'a.backup');
  await joblet(daemon, 'backup', backup);
  await daemon.end();
  await joblet(daemon, 'restore', '--force', backup);
  await daemon.restart();

  const again = daemon.as('admin');
  const { nextTimes, history } = await again.unary(getSchedule, { name: 'yearly' });
  assert.equal(nextTimes.length, 5);
  assert.equal(history.length, 0);
  // What waited for its turn has none any more; what ran runs, and nothing comes behind it.
  assert.deepEqual(statusesOf(await watched(again, behind)), {
    first: 'CANCELED',
    second: 'CANCELED',
  });
  const under = await watched(again, id, () => true);
  assert.deepEqual(statusesOf(under), { first: 'RUNNING', second: 'CANCELED' });
  const { jobs } = await again.unary(queryJobs, { limit: 100 });
  assert.equal(jobs.length, 1);
  await again.unary(stopJob, { uuid: stepOf(under, 'first').jobUuid, force: true });
  assert.equal((await watched(again, id)).workflow?.status, 'CANCELED');
  // The workspace is there still.
  await again.unary(retryWorkflow, { workflowUuid: id });
  const taken = await watched(again, id);
  assert.deepEqual(statusesOf(taken), { first: 'COMPLETED', second: 'COMPLETED' });
});
