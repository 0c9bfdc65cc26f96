// Recurring schedules as a user sees them.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import {
  createSchedule,
  deleteSchedule,
  getSchedule,
  listSchedules,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { output } from './job-calls.ts';
import { runRnx } from './rnx.ts';
import { watched } from './workflow-calls.ts';

const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

const rnx = (...args: string[]) => runRnx(daemon, 'developer', ...args);

test('a job is scheduled, runs at its ticks, is shown, paused, resumed and deleted', {
  skip,
}, async () => {
  writeFileSync(path.join(daemon.directory, 'data.txt'), 'data\n');
  const ran = daemon.logged(/workflow COMPLETED/);
  const made = await rnx(
    ...['schedule', 'create', 'often', '--cron', '* * * * * *', '--tz=Europe/Berlin', '--'],
    ...['job', '--upload=data.txt', '--env', 'A=b', 'sh', '-c', 'cat data.txt; echo $A'],
  );
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /^Cron: \* \* \* \* \* \* \(Europe\/Berlin\)$/m);
  assert.equal(made.out.match(/^ {2}\d{4}-\d{2}-\d{2} /gm)?.length, 5);
  await ran;
  assert.match((await rnx('schedule', 'pause', 'often')).out, /Status: paused/);
  const shown = JSON.parse((await rnx('schedule', 'show', '--json', 'often')).out);
  const done = shown.history.find((tick: { state: string }) => tick.state === 'STARTED');
  const { jobs } = await watched(daemon.as('developer'), done.workflow_uuid);
  assert.equal(jobs[0]?.jobName, 'often');
  const printed = await output(daemon.as('developer'), { uuid: jobs[0]?.jobUuid ?? '' });
  assert.equal(printed.toString(), 'data\nb\n');
  assert.match(
    (await rnx('schedule', 'show', 'often')).out,
    / STARTED +COMPLETED +[0-9a-f-]{36} +-$/m,
  );
  const again = daemon.logged(/workflow COMPLETED/);
  await rnx('schedule', 'resume', 'often');
  await again;
  assert.match((await rnx('schedule', 'list')).out, /^often +\* \* \* \* \* \* +Europe\/Berlin/m);
  assert.equal((await rnx('schedule', 'delete', 'often')).code, 0);
  assert.match((await rnx('schedule', 'list')).out, /^No schedules found/);
});

test('each tick of a workflow runs once, however often the daemon is killed', {
  skip,
}, async () => {
  const yamlContent =
    'jobs: {a: {command: "true"}, b: {command: "true", requires: [a: COMPLETED]}}';
  await daemon.as('developer').unary(createSchedule, {
    name: 'again',
    cron: '* * * * * *',
    overlap: 'queue',
    catchUp: 'all',
    workflow: { yamlContent, workflow: 'w.yaml' },
  });
  for (let round = 0; round < 3; round += 1) {
    await daemon.logged(/\] job RUNNING/);
    await daemon.kill();
    await daemon.restart();
  }
  await daemon.logged(/workflow COMPLETED/);
  const { history } = await daemon.as('developer').unary(getSchedule, { name: 'again' });
  await daemon.as('developer').unary(deleteSchedule, { name: 'again' });
  const started = history.filter(({ state }) => state === 'STARTED');
  assert.ok(started.length > 0);
  assert.equal(new Set(history.map(({ time }) => time)).size, history.length);
  for (const { workflowUuid } of started) {
    const detail = await watched(daemon.as('developer'), workflowUuid);
    assert.equal(detail.workflow?.status, 'COMPLETED');
    for (const { attempts } of detail.jobs) assert.equal(attempts, 1);
  }
});

test('what is wrong with a schedule is named, and nothing is kept', { skip }, async () => {
  const api = daemon.as('developer');
  const job = { command: 'true' };
  const wrong: readonly (readonly [object, RegExp])[] = [
    [
      { name: 'a b', cron: '* * * * *', overlap: 'x', catchUp: 'y', job },
      /name: .*; overlap: .*; catch_up: /,
    ],
    [{ name: 'x', cron: 'soon', job }, /"soon" is no cron expression/],
    [{ name: 'x', cron: '0 0 30 2 *', job }, /never comes/],
    [{ name: 'x', cron: '* * * * *', timeZone: 'Mars/Base', job }, /"Mars\/Base" is no time zone/],
    [{ name: 'x', cron: '* * * * *' }, /job: or workflow: say one of them/],
    [{ name: 'x', cron: '* * * * *', job: { command: '' } }, /must specify a command/],
    [{ name: 'x', cron: '* * * * *', workflow: { yamlContent: 'jobs: {}' } }, /there are no jobs/],
  ];
  for (const [request, message] of wrong) {
    await assert.rejects(api.unary(createSchedule, request), message);
  }
  assert.deepEqual((await api.unary(listSchedules, {})).schedules, []);
  await assert.rejects(daemon.as('viewer').unary(createSchedule, {}), { kind: 'denied' });
  await assert.rejects(api.unary(getSchedule, { name: 'none' }), { kind: 'not-found' });
});
