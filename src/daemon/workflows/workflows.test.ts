// A workflow over a real database whose disk fails amid a turn of the event loop, with jobs that are
// only said to run.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import type { Expression } from '../../shared/workflow-expression.ts';
import type { Audit } from '../audit/audit.ts';
import { type Identity, type Job, plainSpec } from '../jobs/job.ts';
import { JobStore } from '../jobs/store.ts';
import type { Log } from '../log.ts';
import { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import type { RunVolumes } from './run-volumes.ts';
import type { StepPlan, WorkflowPlan } from './workflow.ts';
import { Workflows, type WorkflowsParts } from './workflows.ts';

const who: Identity = { name: 'somebody', role: 'developer', certificate: '', peer: '' };
const clock = { now: () => Date.now(), at: () => () => {} };
const log = { info() {}, warn() {}, error() {} } as unknown as Log;
const audit = { append() {} } as unknown as Audit;
const notMarked = { idRange: undefined, bootId: '' };

function stepNamed(name: string, requires: Expression): StepPlan {
  const spec = { ...plainSpec, name, command: 'true' };
  const retry = { attempts: 1, backoffMs: 0, exitCodes: [] };
  return { name, spec, requires, retry, delayMs: 0, files: [], directories: [] };
}

const steps = [
  stepNamed('first', { kind: 'all', of: [] }),
  stepNamed('second', { kind: 'is', job: 'first', statuses: ['COMPLETED'] }),
];
const plan: WorkflowPlan = { name: '', text: '', shownText: '', maxParallel: 0, steps };

/** A job without anything that the store does not ask for. */
function jobOf(spec: Job['spec']): Job {
  return {
    ...{ id: spec.name, spec, status: 'RUNNING', createdAtMs: 1, queuedAtMs: 1, startedAtMs: 1 },
    ...{ endedAtMs: 0, timeout: undefined, stoppedBy: '', outcome: undefined, usage: undefined },
    ...{ logBytes: 0, logDroppedBytes: 0 },
  };
}

test('a step gets no job where the disk did not take the end that it waits for, and gets it later', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-workflows-'));
  const db = new Db(directory);
  t.after(() => {
    db.close();
    rmSync(directory, { recursive: true });
  });
  /** Everything that waits for the database has come by then. */
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) {
      await db.durable();
      await new Promise(setImmediate);
    }
  };
  const store = new JobStore(db, audit);
  let isFailing = false;
  const jobs = {
    // As Jobs.run: what could not be recorded before is tried again, and then the job has its row.
    run: async (wish: StepPlan['spec']) => {
      const full = new JobletError('exhausted', 'the disk is full');
      if (isFailing) db.write(() => assert.fail(full)).catch(() => {});
      const job = jobOf({ ...wish, uploads: [], uploadCount: 0 });
      await store.add({ job, ...notMarked }, undefined, who, undefined);
      return job;
    },
  } as unknown as WorkflowsParts['jobs'];
  const files = { keep() {}, takeBack() {}, sweep() {}, offer: () => '' };
  const volumes = { makeWorkspaces() {}, names: () => [], sweep() {} };
  const workflows = new Workflows({
    ...{ db, audit, clock, log, jobs },
    files: files as unknown as WorkflowFiles,
    volumes: volumes as unknown as RunVolumes,
  });
  store.tell(workflows);
  await workflows.recover([]);
  await workflows.run(plan, { uploads: [], uploadId: '' }, who);
  await settled();
  const first = store.find('first');
  assert.equal(first?.status, 'RUNNING');
  const outcome = { how: 'exited', code: 0 } as const;
  const ended: Job = { ...first, status: 'COMPLETED', endedAtMs: 2, outcome };
  const recordEnd = () => store.change({ job: ended, ...notMarked }, 2);
  const statuses = () => ['first', 'second'].map((name) => store.find(name)?.status);

  isFailing = true;
  await assert.rejects(recordEnd(), { kind: 'exhausted' });
  await settled();
  assert.deepEqual(statuses(), ['RUNNING', undefined]);

  isFailing = false;
  await recordEnd();
  await settled();
  assert.deepEqual(statuses(), ['COMPLETED', 'RUNNING']);
});
