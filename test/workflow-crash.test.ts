// Workflows of fifty jobs whose daemon is killed again and again while they run: what comes of them is
// what would have come anyway, and nothing runs more often than it may.
//
// JOBLET_WORKFLOW_KILLS=200 kills that often instead, which takes a quarter of an hour.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { listWorkflows, queryJobs, retryWorkflow } from '../src/client/methods.ts';
import type { WorkflowDetail } from '../src/client/workflow-messages.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finishWorkflow, startWorkflow, statusesOf, watched } from './workflow-calls.ts';

const KILLS = Number(process.env['JOBLET_WORKFLOW_KILLS'] ?? 4);
/** What one kill takes at most on a busy machine, with the start of the next daemon. */
const KILL_MS = 20_000;
const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

/** Ten times: a start that says a value, a matrix of it, what fails and is retried, what is skipped, and the ways from there. */
function fiftyJobs(): { readonly text: string; readonly ends: Record<string, [string, number]> } {
  const lines = ['max_parallel: 8', 'jobs:'];
  const ends: Record<string, [status: string, attempts: number]> = {};
  for (let at = 0; at < 10; at += 1) {
    const before = at === 0 ? '' : `, requires: [gather${at - 1}: COMPLETED]`;
    lines.push(
      `  start${at}: {command: sh, args: ["-c", "echo n=${at} >> $JOBLET_OUTPUT"], outputs: [n]${before}}`,
      `  each${at}: {command: test, args: ["${at}", "=", "\${outputs.start${at}.n}"], foreach: [a, b], requires: [start${at}: COMPLETED]}`,
      `  skipped${at}: {command: "true", requires: [start${at}: COMPLETED], if: "\${outputs.start${at}.n} = 10"}`,
      `  fails${at}: {command: "false", retry: {attempts: 2, backoff: 1ms}, requires: [start${at}: RUNNING]}`,
      `  rescue${at}: {command: "true", requires: [fails${at}: FAILED]}`,
      `  never${at}: {command: "true", requires: [fails${at}: COMPLETED]}`,
      `  gather${at}: {command: "true", requires: [each${at}: COMPLETED, "never${at}=CANCELED AND rescue${at}=COMPLETED"]}`,
    );
    for (const name of ['start', 'rescue', 'gather']) ends[`${name}${at}`] = ['COMPLETED', 1];
    for (const value of ['a', 'b']) ends[`each${at}-${value}`] = ['COMPLETED', 1];
    ends[`fails${at}`] = ['FAILED', 4];
    ends[`never${at}`] = ['CANCELED', 0];
    ends[`skipped${at}`] = ['SKIPPED', 0];
  }
  return { text: `${lines.join('\n')}\n`, ends };
}

/** Kills the daemon behind so many of its lines about jobs, unless it is over before. */
async function killAfter(count: number, isOver: Promise<unknown>): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    const line = daemon.logged(/\] job /);
    if ((await Promise.race([line.then(() => 'line'), isOver.then(() => 'over')])) === 'over')
      break;
  }
  await daemon.kill();
  await daemon.restart();
}

/** Waits for the end of a workflow while its daemon is killed up to `most` times; answers how often it was. */
async function outlast(id: string, most: number): Promise<[WorkflowDetail, number]> {
  for (let kills = 0; ; ) {
    const over = watched(daemon.as('admin'), id).catch(() => undefined);
    if (kills === most) {
      const detail = await over;
      assert.ok(detail);
      return [detail, kills];
    }
    await killAfter(1 + Math.floor(Math.random() * 25), over);
    kills += 1;
    const { workflows } = await daemon.as('admin').unary(listWorkflows, {});
    if (workflows.length === 0) return [await watched(daemon.as('admin'), id), kills];
  }
}

test('a workflow whose daemon is killed at random moments has exactly the runs that it should', {
  skip,
  timeout: 300_000 + KILLS * KILL_MS,
}, async (t) => {
  const { text, ends } = fiftyJobs();
  const perRun = Object.values(ends).reduce((sum, [, attempts]) => sum + attempts, 0);
  let runs = 0;
  for (let left = KILLS; left > 0; ) {
    const id = await startWorkflow(daemon.as('admin'), text);
    const [, kills] = await outlast(id, Math.ceil(Math.min(left, 8) / 2));
    // By hand, it has all its tries once more, and those are counted through kills too.
    await daemon.as('admin').unary(retryWorkflow, { workflowUuid: id });
    const [detail, more] = await outlast(id, Math.min(left - kills, 2));
    left -= kills + more;
    runs += 1;
    t.diagnostic(`${KILLS - left} kills, ${runs} workflows`);
    assert.equal(detail.workflow?.status, 'FAILED');
    const wanted = Object.fromEntries(
      Object.entries(ends).map(([name, [status]]) => [name, status]),
    );
    assert.deepEqual(statusesOf(detail), wanted);
    for (const { jobName, attempts } of detail.jobs) {
      assert.equal(attempts, ends[jobName]?.[1], jobName);
    }
    // Every job that was ever made has a log; none was made that the steps do not know.
    const logs = readdirSync(path.join(daemon.directory, 'logs')).filter((name) =>
      name.includes('-'),
    );
    assert.equal(logs.length, runs * perRun);
  }
  const { jobs } = await daemon.as('admin').unary(queryJobs, { limit: 1000 });
  assert.equal(jobs.length, Math.min(1000, runs * perRun));
});

test('a chain of two hundred jobs and a fan of five hundred lose nothing', { skip }, async () => {
  const api = daemon.as('admin');
  const chain = Array.from({ length: 200 }, (_, at) =>
    at === 0
      ? '  c0: {command: "true"}'
      : `  c${at}: {command: "true", requires: [c${at - 1}: COMPLETED]}`,
  );
  const fan = [
    '  root: {command: "true"}',
    ...Array.from(
      { length: 500 },
      (_, at) => `  f${at}: {command: "true", requires: [root: COMPLETED]}`,
    ),
    `  last: {command: "true", requires: [${Array.from({ length: 500 }, (_, at) => `f${at}: COMPLETED`).join(', ')}]}`,
  ];
  const [chained, fanned] = await Promise.all(
    [chain, fan].map((jobs) => finishWorkflow(api, `jobs:\n${jobs.join('\n')}\n`)),
  );
  for (const detail of [chained, fanned]) {
    assert.equal(detail?.workflow?.status, 'COMPLETED');
    for (const { status, attempts } of detail.jobs)
      assert.deepEqual([status, attempts], ['COMPLETED', 1]);
  }
});
