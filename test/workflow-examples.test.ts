// Every workflow of examples/workflows is run, all of them side by side, and every wrong one refused
// with the words of its first line.

import './own-host.ts';
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { workflowRequest } from '../src/cli/workflow-run.ts';
import { readSource } from '../src/cli/workflow-source.ts';
import { createNetwork, createVolume, runWorkflow } from '../src/client/methods.ts';
import type { WorkflowDetail } from '../src/client/workflow-messages.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { output } from './job-calls.ts';
import { statusesOf, stepOf, watched } from './workflow-calls.ts';

const EXAMPLES = path.join(import.meta.dirname, '../examples/workflows');
const skip = cannotRun();

let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});

after(async () => {
  await daemon?.stop();
});

async function runExample(word: string, params = {}): Promise<WorkflowDetail> {
  const api = daemon.as('developer');
  const { request } = workflowRequest(readSource(path.join(EXAMPLES, word)), params, []);
  const { workflowUuid } = await api.unary(runWorkflow, request);
  return watched(api, workflowUuid);
}

async function printedBy(detail: WorkflowDetail, name: string): Promise<string> {
  const { jobUuid } = stepOf(detail, name);
  return (await output(daemon.as('developer'), { uuid: jobUuid })).toString();
}

/** All jobs of a workflow that goes well. */
function allWell(detail: WorkflowDetail): void {
  assert.equal(detail.workflow?.status, 'COMPLETED');
  for (const { status } of detail.jobs) assert.equal(status, 'COMPLETED');
}

/** What becomes of each example, by its file. */
const examples: Readonly<Record<string, (word: string) => Promise<void>>> = {
  'pipeline.yaml': async (word) => {
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(await printedBy(detail, 'data-extraction'), 'extracting for demo\n100\n');
    assert.equal(await printedBy(detail, 'report'), 'the model of demo is ready\n');
  },
  'basic-jobs.yaml': async (word) => {
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(await printedBy(detail, 'with-a-file'), '1\n2\n3\n');
  },
  'data-pipeline.yaml': async (word) => {
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(detail.workflow?.name, 'data-pipeline');
    assert.equal(detail.jobs.length, 7);
  },
  'multi-workflow.yaml': async (word) => {
    const [nightly, release] = await Promise.all([
      runExample(`${word}:nightly`),
      runExample(`${word}:release`),
    ]);
    allWell(nightly);
    allWell(release);
    assert.equal(await printedBy(nightly, 'backup'), 'backup of data\n');
    await assert.rejects(runExample(word), /multiple workflows found: nightly, release/);
  },
  'parallel-jobs.yaml': async (word) => allWell(await runExample(word)),
  'expressions.yaml': async (word) => {
    const detail = await runExample(word);
    assert.equal(detail.workflow?.status, 'FAILED');
    assert.deepEqual(statusesOf(detail), {
      build: 'COMPLETED',
      test: 'FAILED',
      lint: 'COMPLETED',
      publish: 'CANCELED',
      'ask-for-help': 'COMPLETED',
      note: 'COMPLETED',
    });
  },
  'environment.yaml': async (word) => {
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(await printedBy(detail, 'inherits'), '/data/dev\n');
    assert.equal(
      await printedBy(detail, 'overrides'),
      'prod /data/dev/unnamed /data/dev/prod.log\n',
    );
    assert.equal(await printedBy(detail, 'has-secrets'), 'well\n');
    assert.doesNotMatch(detail.workflow?.yamlContent ?? '', /: not-shown|made-secret/);
  },
  'failure-branch.yaml': async (word) => {
    const detail = await runExample(word);
    assert.equal(detail.workflow?.status, 'FAILED');
    assert.equal(stepOf(detail, 'migrate').exitCode, 7);
    assert.equal(stepOf(detail, 'deploy').status, 'CANCELED');
    assert.equal(stepOf(detail, 'roll-back').status, 'COMPLETED');
  },
  'retry.yaml': async (word) => {
    const detail = await runExample(word);
    assert.equal(stepOf(detail, 'flaky').attempts, 3);
    assert.equal(stepOf(detail, 'give-up').status, 'COMPLETED');
  },
  'matrix.yaml': async (word) => {
    const detail = await runExample(word, { suite: 'system' });
    allWell(detail);
    assert.equal(detail.jobs.length, 7);
    assert.equal(await printedBy(detail, 'test-alpine-3.10'), 'system on alpine with 3.10\n');
  },
  'job-templates.yaml': async (word) => {
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(await printedBy(detail, 'greet'), 'Hello, world\n');
  },
  'values.yaml': async (word) => {
    const nightly = await runExample(word);
    assert.equal(stepOf(nightly, 'publish').status, 'SKIPPED');
    assert.equal(stepOf(nightly, 'announce').status, 'SKIPPED');
    assert.equal(await printedBy(nightly, 'always-report'), 'done with 1.4.23\n');
    const stable = await runExample(word, { channel: 'stable' });
    allWell(stable);
    assert.equal(
      await printedBy(stable, 'publish'),
      'release 1.4.23 of stable\nall is well\nreally\n',
    );
  },
  'shared-workspace.yaml': async (word) => {
    const detail = await runExample(`${word}:deliver`, { region: 'us' });
    allWell(detail);
    assert.equal(await printedBy(detail, 'send'), 'sent to us: 10\n');
  },
  'networks.yaml': async (word) => allWell(await runExample(word)),
  'custom-networks.yaml': async (word) => {
    const operator = daemon.as('operator');
    await operator.unary(createNetwork, { name: 'front', cidr: '10.50.0.0/24' });
    await operator.unary(createNetwork, { name: 'back', cidr: '10.60.0.0/24' });
    const detail = await runExample(word);
    allWell(detail);
    assert.match(await printedBy(detail, 'web'), /10\.50\.0\.\d/);
    assert.match(await printedBy(detail, 'database'), /10\.60\.0\.\d/);
  },
  'shared-volume.yaml': async (word) => {
    await assert.rejects(runExample(word), /missing volumes: \[pipeline-data\]/);
    const wish = { name: 'pipeline-data', size: '8MB' };
    await daemon.as('operator').unary(createVolume, wish);
    const detail = await runExample(word);
    allWell(detail);
    assert.equal(await printedBy(detail, 'report'), '110\n');
    assert.equal(await printedBy(detail, 'clean-up'), '0\n');
  },
};

describe('examples', { skip, concurrency: true }, () => {
  for (const [word, check] of Object.entries(examples)) {
    test(`${word} comes to what it says`, () => check(word));
  }

  test('every example is among them', () => {
    const files = readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml'));
    assert.deepEqual(files.toSorted(), Object.keys(examples).toSorted());
  });

  for (const name of readdirSync(path.join(EXAMPLES, 'wrong'))) {
    test(`wrong/${name} is refused with the words of its first line`, async () => {
      const word = path.join('wrong', name);
      const [first = ''] = readFileSync(path.join(EXAMPLES, word), 'utf8').split('\n');
      await assert.rejects(runExample(word), (error: Error) => {
        assert.ok(error.message.includes(first.slice(2)), `${error.message}\nlacks ${first}`);
        return true;
      });
    });
  }
});
