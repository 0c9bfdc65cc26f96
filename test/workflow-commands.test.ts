// rnx workflow as a user calls it, and the spellings of earlier generations.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { type Ran, runRnx } from './rnx.ts';
import { stepOf, watched } from './workflow-calls.ts';

const skip = cannotRun();

let daemon: Daemon;

const two = `
jobs:
  first: {command: echo, args: [one]}
  second: {command: echo, args: [two], requires: [first: COMPLETED]}
`;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  const files = {
    'two.yaml': two,
    'one.yaml': 'jobs: {only: {command: echo, args: [only], environment: {A: b}}}',
    'bad.yaml': 'jobs:\n  a: {comand: x}\n  b: {command: x, requires: [c: COMPLETED]}\n',
    'fails.yaml': 'jobs: {a: {command: "false"}, b: {command: "true", requires: [a: COMPLETED]}}',
    'waits.yaml': 'jobs: {a: {command: sleep, args: ["600"]}}',
    'file.yaml':
      'jobs: {a: {command: cat, args: [data.txt], uploads: {files: [data.txt]}}, b: {command: "true"}}',
    'absent.yaml':
      'jobs:\n  a: {command: x, volumes: [none-such]}\n  b: {command: x, network: none-such}\n',
    'missing.yaml': 'jobs: {a: {command: cat, uploads: {files: [absent.txt]}}}',
    'data.txt': 'data\n',
    'said.yaml': `jobs: {a: {command: sh, args: ["-c", "echo n=1 >> $JOBLET_OUTPUT; echo said"], outputs: [n]}, b: {command: echo, args: ["\${outputs.a.n}"], requires: [a]}}`,
    'several.yaml':
      'workflows: {x: {jobs: {a: {command: "true"}}}, y: {jobs: {b: {command: "true"}}}}',
  };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(daemon.directory, name), text);
  }
});

after(async () => {
  await daemon?.stop();
});

const rnx = (...args: string[]): Promise<Ran> => runRnx(daemon, 'developer', ...args);

test('a workflow is run, looked at, listed and deleted (S4-63)', { skip }, async () => {
  const { code, out } = await rnx('workflow', 'run', 'two.yaml');
  assert.equal(code, 0);
  assert.match(
    out,
    /^Workflow validation passed\nRunning workflow from: two\.yaml\nWorkflow created with UUID: /,
  );
  const [, uuid = ''] = /UUID: ([0-9a-f-]{36})/.exec(out) ?? [];
  const detail = await watched(daemon.as('developer'), uuid);
  const status = await rnx('workflow', 'status', '--detail', uuid.slice(0, 13));
  assert.match(status.out, /^Status: COMPLETED$/m);
  assert.match(status.out, /^JOB ID {2,}JOB NAME {2,}STATUS {2,}EXIT CODE {2,}DEPENDENCIES$/m);
  assert.match(
    status.out,
    new RegExp(`^${stepOf(detail, 'second').jobUuid} +second +COMPLETED +0 +first$`, 'm'),
  );
  assert.ok(status.out.endsWith(`YAML Content:\n${two.trimEnd()}\n`));
  const json = JSON.parse((await rnx('workflow', 'status', '--json', uuid)).out);
  assert.equal(json.jobs[1].exit_code, 0);
  const list = JSON.parse((await rnx('--json', 'workflow', 'list')).out);
  assert.equal(list.find((one: { uuid: string }) => one.uuid === uuid).completed_jobs, 2);
  assert.equal((await rnx('workflow', 'delete', uuid)).code, 0);
  assert.match((await rnx('workflow', 'status', uuid)).err, /workflow not found/);
});

test('S2-22 S2-23 S2-24 S4-55 the spellings of earlier generations run and show workflows', {
  skip,
}, async () => {
  const ran = await rnx('run', '--workflow=two.yaml');
  const [, uuid = ''] = /UUID: ([0-9a-f-]{36})/.exec(ran.out) ?? [];
  await watched(daemon.as('developer'), uuid);
  const old = await rnx('status', '--workflow', uuid);
  assert.match(old.out, /^JOB UUID {2,}JOB NAME {2,}STATUS {2,}EXIT CODE {2,}DEPENDENCIES$/m);
  assert.match(old.out, / first +COMPLETED +0 +-$/m);
  assert.match((await rnx('job', 'status', '--workflow', uuid)).out, /^JOB ID {2,}JOB NAME/m);
  assert.match(
    (await rnx('job', 'list', '--workflow')).out,
    new RegExp(`^${uuid} +COMPLETED +2/2`, 'm'),
  );
  assert.match((await rnx('job', 'run', '--workflow=two.yaml')).out, /Workflow created with UUID/);
});

test('one job of a file is run by its name, with what the command line says besides', {
  skip,
}, async () => {
  const named = await rnx('job', 'run', '--wait', '--workflow=two.yaml:second');
  assert.deepEqual([named.code, named.out], [0, 'two\n']);
  const only = await rnx(
    'job',
    'run',
    '--wait',
    '--workflow=one.yaml',
    '--env',
    'C=d',
    'sh',
    '-c',
    'echo $A$C',
  );
  assert.equal(only.out, 'bd\n');
  const unknown = await rnx('job', 'run', '--workflow=two.yaml:third');
  assert.match(unknown.err, /job 'third' not found in workflow two\.yaml/);
  const says = await rnx('job', 'run', '--wait', '--workflow=said.yaml:a');
  assert.deepEqual([says.code, says.out], [0, 'said\n']);
  const hears = await rnx('job', 'run', '--workflow=said.yaml:b');
  assert.match(hears.err, /job 'b' uses outputs of other jobs and cannot run alone/);
});

test('what waits for a workflow shows how far it is, and ends as it does', { skip }, async () => {
  const well = await rnx('workflow', 'run', '--wait', 'two.yaml');
  assert.equal(well.code, 0);
  assert.match(well.err, /^second COMPLETED$/m);
  assert.match(well.out, /^COMPLETED: 2\/2 jobs completed$/m);
  const badly = await rnx('workflow', 'run', '--wait', '--json', 'fails.yaml');
  assert.equal(badly.code, 1);
  const { uuid, status } = JSON.parse(badly.out);
  assert.equal(status, 'FAILED');
  const again = await rnx('workflow', 'retry', uuid);
  assert.match(again.out, new RegExp(`^UUID: ${uuid}$`, 'm'));
  const watch = await rnx('workflow', 'status', '--watch', uuid);
  assert.equal(watch.code, 1);
  assert.match(watch.out, /^a FAILED \(exit code 1\)$/m);
});

test('a workflow is stopped', { skip }, async () => {
  const { uuid } = JSON.parse((await rnx('workflow', 'run', '--json', 'waits.yaml')).out);
  await watched(daemon.as('developer'), uuid, (now) => stepOf(now, 'a').status === 'RUNNING');
  const { code, out } = await rnx('workflow', 'stop', '--force', uuid);
  assert.equal(code, 0);
  assert.match(out, /^Status: STOPPED$/m);
});

test('what is wrong is named line by line, here and there', { skip }, async () => {
  const { code, err } = await rnx('workflow', 'validate', 'bad.yaml');
  assert.equal(code, 1);
  assert.deepEqual(err.split('\n').slice(0, 4), [
    'Error: workflow validation failed',
    '  bad.yaml:2:7: comand is not known here; did you mean command?',
    "  bad.yaml:2:3: job 'a': command is missing",
    "  bad.yaml:3:30: job 'b' depends on non-existent job 'c'; there are a, b",
  ]);
  const json = JSON.parse((await rnx('workflow', 'run', '--json', 'bad.yaml')).out);
  assert.equal(json.code, 'INVALID_ARGUMENT');
  // What only the daemon can know is told in the same way, and nothing that is not so before it.
  const absent = await rnx('workflow', 'run', 'absent.yaml');
  assert.deepEqual([absent.code, absent.out], [1, '']);
  assert.deepEqual(absent.err.split('\n').slice(0, 3), [
    'Error: workflow validation failed',
    '  absent.yaml:2:28: volume validation failed: missing volumes: [none-such]',
    '  absent.yaml:3:28: network validation failed: missing networks: [none-such]. Available networks: [none isolated bridge]',
  ]);
  writeFileSync(path.join(daemon.directory, 'latin1.yaml'), Buffer.from([0x61, 0xff]));
  const latin1 = await rnx('workflow', 'validate', 'latin1.yaml');
  assert.match(latin1.err, /^Error: latin1\.yaml is no text in UTF-8/);
  const missing = await rnx('workflow', 'run', 'missing.yaml');
  assert.match(missing.err, /missing\.yaml:1:\d+: job 'a': uploads - there is no file absent\.txt/);
  const several = await rnx('workflow', 'run', 'several.yaml');
  assert.match(several.err, /multiple workflows found: x, y/);
});

test('a plan and a graph are shown without anything being run', { skip }, async () => {
  const before = (await rnx('workflow', 'list')).out;
  const plan = await rnx('workflow', 'run', '--dry-run', 'two.yaml');
  assert.match(plan.out, /^Plan of 2 jobs, 0 files:\nfirst\n {2}second <- first$/m);
  const graph = await rnx('workflow', 'graph', '--dot', 'two.yaml');
  assert.match(graph.out, /"first" -> "second";/);
  assert.equal((await rnx('workflow', 'list')).out, before);
});

test('files that lie beside the workflow go with it', { skip }, async () => {
  const { code, out, err } = await rnx('workflow', 'run', '--wait', '--json', 'file.yaml');
  assert.equal(code, 0, err);
  const [{ id }] = JSON.parse(out).jobs;
  assert.equal((await rnx('job', 'log', id)).out, 'data\n');
});
