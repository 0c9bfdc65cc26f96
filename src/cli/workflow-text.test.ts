// What is printed of workflows, to the letter where scripts and people know it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkflowDetail, WorkflowStep } from '../client/workflow-messages.ts';
import { fakeOutput } from './output-fake.ts';
import { dotText, graphText } from './workflow-graph.ts';
import { jobsTable, listText, statusJson, statusText } from './workflow-text.ts';
import { tellBar, tellChanges, tellTree, treeLines } from './workflow-watch.ts';

process.env['TZ'] = 'UTC';

const at = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 0 });

function job(jobName: string, more: Partial<WorkflowStep>): WorkflowStep {
  return {
    jobUuid: '0',
    jobName,
    status: 'PENDING',
    dependencies: [],
    startTime: undefined,
    endTime: undefined,
    exitCode: 0,
    message: '',
    attempts: 0,
    outputs: {},
    ...more,
  };
}

const detail: WorkflowDetail = {
  workflow: {
    uuid: 'a1b2c3d4-e5f6-7890-1234-567890abcdef',
    status: 'RUNNING',
    totalJobs: 3,
    completedJobs: 1,
    failedJobs: 1,
    canceledJobs: 0,
    skippedJobs: 0,
    waitsForGroup: '',
    createdAt: at(1_800_000_000),
    startedAt: at(1_800_000_001),
    completedAt: undefined,
    yamlContent: 'jobs:\n  setup-data: {}\n',
    name: 'pipeline',
    endedBy: '',
    runningJobs: 1,
  },
  jobs: [
    job('setup-data', {
      jobUuid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
      status: 'COMPLETED',
      startTime: at(1_800_000_001),
      endTime: at(1_800_000_004),
      attempts: 1,
    }),
    job('process-data', {
      jobUuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
      status: 'RUNNING',
      dependencies: ['setup-data'],
      startTime: at(1_800_000_004),
      attempts: 1,
    }),
    job('report', { dependencies: ['process-data', 'setup-data'] }),
  ],
};

test('S4-54 the table of jobs is the one that people know', () => {
  assert.equal(
    jobsTable(detail.jobs, 'JOB ID', fakeOutput({})),
    `JOB ID                                   JOB NAME             STATUS       EXIT CODE  DEPENDENCIES
--------------------------------------------------------------------------------------------------------------
f47ac10b-58cc-4372-a567-0e02b2c3d479     setup-data           COMPLETED    0          -
6ba7b810-9dad-11d1-80b4-00c04fd430c8     process-data         RUNNING      -          setup-data
0                                        report               PENDING      -          process-data, setup-data
`,
  );
});

test('S2-24 the older spelling calls the first column JOB UUID', () => {
  const text = statusText(
    detail,
    { detail: false, idTitle: 'JOB UUID', nowMs: 1_800_000_010_000 },
    fakeOutput({}),
  );
  assert.match(text, /^JOB UUID {2,}JOB NAME {2,}STATUS {2,}EXIT CODE {2,}DEPENDENCIES$/m);
});

test('the status of a workflow says all of it', () => {
  const text = statusText(
    detail,
    { detail: true, idTitle: 'JOB ID', nowMs: 1_800_000_010_000 },
    fakeOutput({}),
  );
  assert.match(
    text,
    /^Workflow UUID: a1b2c3d4-e5f6-7890-1234-567890abcdef\nName: pipeline\nStatus: RUNNING\nProgress: 1\/3 jobs completed \(1 failed\)\n\nTiming:\n {2}Created: {3}2027-01-15 08:00:00\n {2}Started: {3}2027-01-15 08:00:01\n {2}Completed: -\n {2}Running: {3}9s\n\nJobs in Workflow:\nJOB ID /,
  );
  assert.match(text, /\nYAML Content:\njobs:\n {2}setup-data: \{\}\n$/);
});

test('a list has the progress in its third column', () => {
  const { workflow } = detail;
  assert.ok(workflow);
  const [head, , row] = listText([workflow], fakeOutput({})).split('\n');
  assert.match(head ?? '', /^UUID +STATUS +PROGRESS +CREATED +NAME$/);
  assert.deepEqual(row?.split(/ +/).slice(0, 3), [workflow.uuid, 'RUNNING', '1/3']);
  assert.equal(listText([], fakeOutput({})), 'No workflows found\n');
});

test('programs get the same, with what has no value left out', () => {
  assert.deepEqual(statusJson(detail, false), {
    uuid: 'a1b2c3d4-e5f6-7890-1234-567890abcdef',
    name: 'pipeline',
    status: 'RUNNING',
    total_jobs: 3,
    completed_jobs: 1,
    failed_jobs: 1,
    canceled_jobs: 0,
    skipped_jobs: 0,
    created_at: '2027-01-15T08:00:00.000Z',
    started_at: '2027-01-15T08:00:01.000Z',
    jobs: [
      {
        id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
        name: 'setup-data',
        status: 'COMPLETED',
        exit_code: 0,
        dependencies: [],
        attempts: 1,
        start_time: '2027-01-15T08:00:01.000Z',
        end_time: '2027-01-15T08:00:04.000Z',
      },
      {
        id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
        name: 'process-data',
        status: 'RUNNING',
        dependencies: ['setup-data'],
        attempts: 1,
        start_time: '2027-01-15T08:00:04.000Z',
      },
      {
        id: '0',
        name: 'report',
        status: 'PENDING',
        dependencies: ['process-data', 'setup-data'],
        attempts: 0,
      },
    ],
  });
});

test('what a workflow is called acts on no terminal', () => {
  const { workflow } = detail;
  assert.ok(workflow);
  const evil = {
    workflow: { ...workflow, name: '\u001b[2Jx', yamlContent: '\u001b]0;y' },
    jobs: [job('\u001b[1A', {})],
  };
  const text = statusText(evil, { detail: true, idTitle: 'JOB ID', nowMs: 0 }, fakeOutput({}));
  assert.ok(!text.includes('\u001b'));
  assert.ok(!treeLines(evil, 0, fakeOutput({}), 100).join('\n').includes('\u001b'));
});

test('a tree shows each job behind those it waits for', () => {
  assert.deepEqual(treeLines(detail, 1_800_000_010_000, fakeOutput({}), 100), [
    'RUNNING  1/3 jobs completed (1 failed)',
    '+ setup-data  COMPLETED  08:00:01  3s',
    '  > process-data  RUNNING  08:00:04  6s',
    '    . report  PENDING',
  ]);
});

test('a tree that does not fit shows what is under way, and how many jobs it leaves out', () => {
  const jobs = Array.from({ length: 500 }, (_, count) =>
    job(`j${count}`, { status: count === 400 ? 'RUNNING' : count < 400 ? 'COMPLETED' : 'PENDING' }),
  );
  const lines = treeLines({ ...detail, jobs }, 0, fakeOutput({}), 6);
  assert.deepEqual(lines.slice(1), [
    '> j400  RUNNING',
    '. j401  PENDING',
    '. j402  PENDING',
    '. j403  PENDING',
    '... 496 more jobs',
  ]);
});

test('on a terminal the tree is drawn over itself; elsewhere each change is a line', async () => {
  const screen = fakeOutput({ terminal: true });
  const draw = tellTree(screen);
  await draw(detail);
  await draw(detail);
  assert.equal(screen.text().split('\u001b[4A').length, 2);
  const pipe = fakeOutput({});
  const say = tellChanges(pipe);
  await say(detail);
  await say(detail);
  assert.equal(pipe.text(), 'setup-data COMPLETED\nprocess-data RUNNING\n');
});

test('a bar shows on a terminal how many jobs are over', async () => {
  const screen = fakeOutput({ terminal: true });
  await tellBar(screen)(detail);
  assert.equal(
    screen.text(),
    `\r\u001b[K[${'#'.repeat(20).padEnd(30)}] 1/3 jobs completed (1 failed)  process-data`,
  );
});

test('a graph is text, or what Graphviz reads', () => {
  const graph = new Map([
    ['a', []],
    ['b', ['a']],
    ['c', ['a', 'b']],
  ]);
  assert.equal(graphText(['a', 'b', 'c'], graph), 'a\n  b <- a\n    c <- a, b\n');
  assert.match(
    dotText(['a', 'b'], graph),
    /^digraph workflow \{\n.*\n {2}"a";\n {2}"b";\n {2}"a" -> "b";\n\}\n$/,
  );
});
