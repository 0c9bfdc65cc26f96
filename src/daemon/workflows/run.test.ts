// A workflow under way against the simplest model of one: in the order of the graph, a job whose
// requirements hold of the ends before it ends as it would, and any other is canceled.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isFinal, type JobStatus } from '../../shared/job-state.ts';
import type { StepStatus } from '../../shared/step-status.ts';
import { type Expression, standingOf, waitedFor } from '../../shared/workflow-expression.ts';
import { type JobNews, Run } from './run.ts';
import { untouched } from './tries.ts';
import type { Step, StepPlan, Workflow } from './workflow.ts';

const ends = ['COMPLETED', 'FAILED', 'STOPPED'] as const;
const NOW = 1000;
const idle = { status: 'PENDING', ending: '', options: {}, turns: [] } as const;

interface Scene {
  readonly requires: readonly Expression[];
  readonly ends: readonly (typeof ends)[number][];
  readonly attempts: readonly number[];
  /** Whether the `if` of each holds. */
  readonly wanted: readonly boolean[];
  readonly maxParallel: number;
  /** Which of the jobs under way ends next, and whether the daemon dies before it. */
  readonly moves: readonly (readonly [pick: number, dies: boolean])[];
}

/** Jobs that wait for earlier ones, joined by AND, OR and NOT. */
const expressionOver = (before: number): fc.Arbitrary<Expression> => {
  if (before === 0) return fc.constant({ kind: 'all', of: [] });
  const leaf = fc.record(
    {
      kind: fc.constant('is' as const),
      job: fc.nat(before - 1).map((at) => `j${at}`),
      statuses: fc.constantFrom(waitedFor.COMPLETED, waitedFor.FAILED, waitedFor.FINISHED),
    },
    { noNullPrototype: true },
  );
  const either = fc.oneof(
    leaf,
    leaf.map((of): Expression => ({ kind: 'not', of })),
  );
  return fc.oneof(
    fc.array(either, { maxLength: 3 }).map((of): Expression => ({ kind: 'all', of })),
    fc.array(either, { minLength: 1, maxLength: 3 }).map((of): Expression => ({ kind: 'any', of })),
  );
};

const scenes: fc.Arbitrary<Scene> = fc.integer({ min: 1, max: 9 }).chain((count) => {
  const each = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: count, maxLength: count });
  return fc.record({
    requires: fc.tuple(...Array.from({ length: count }, (_, at) => expressionOver(at))),
    ends: each(fc.constantFrom(...ends)),
    attempts: each(fc.integer({ min: 1, max: 3 })),
    wanted: each(
      fc.oneof(
        { weight: 4, arbitrary: fc.constant(true) },
        { weight: 1, arbitrary: fc.constant(false) },
      ),
    ),
    maxParallel: fc.nat(3),
    moves: fc.array(fc.tuple(fc.nat(20), fc.boolean()), { minLength: 40, maxLength: 40 }),
  });
});

function runOf(
  requires: readonly Expression[],
  maxParallel: number,
  attempts: readonly number[],
  wanted: readonly boolean[] = [],
): Run {
  const steps = requires.map((expression, number): Step => {
    const retry = { attempts: attempts[number] ?? 1, backoffMs: 0, exitCodes: [] };
    const plan = {
      name: `j${number}`,
      requires: expression,
      retry,
      condition: { kind: 'text', text: String(wanted[number] ?? true) },
      delayMs: 0,
    } as unknown as StepPlan;
    return { ...untouched, number, plan };
  });
  const workflow = { ...idle, maxParallel, total: steps.length } as unknown as Workflow;
  return new Run(workflow, steps);
}

function news(id: string, status: JobStatus): JobNews {
  const over = isFinal(status);
  const exitCode = status === 'FAILED' ? 1 : 0;
  return {
    id,
    status,
    startedAtMs: NOW,
    endedAtMs: over ? NOW : 0,
    exitCode,
    message: '',
    outputs: {},
  };
}

/** What each job comes to, by the model. */
function expected({ requires, ends: ways, wanted }: Scene): StepStatus[] {
  const statuses: StepStatus[] = [];
  for (const [at, expression] of requires.entries()) {
    const see = (name: string) => ({
      status: statuses[Number(name.slice(1))] ?? 'PENDING',
      hasRun: true,
    });
    // A job that needs one that was skipped has no chance because of that one alone.
    const openSkipped = (name: string) =>
      see(name).status === 'SKIPPED' ? { status: 'PENDING' as const, hasRun: false } : see(name);
    const holds = standingOf(expression, see) === 'always';
    if (holds && wanted[at] === true) statuses.push(ways[at] ?? 'COMPLETED');
    else if (holds || standingOf(expression, openSkipped) !== 'never') statuses.push('SKIPPED');
    else statuses.push('CANCELED');
  }
  return statuses;
}

test('any workflow comes to what the model says, whatever ends when, also when the daemon dies', () => {
  fc.assert(
    fc.property(scenes, (scene) => {
      let run = runOf(scene.requires, scene.maxParallel, scene.attempts, scene.wanted);
      run.begin(NOW);
      const jobs: string[] = [];
      const started = new Map<string, number>();
      for (const [pick, dies] of scene.moves) {
        if (dies) {
          run = new Run(run.workflow, run.steps);
          assert.deepEqual(run.begin(NOW), [], 'a new daemon decides nothing that was decided');
        }
        for (const { plan } of run.ready) {
          const id = `${plan.name} ${(started.get(plan.name) ?? 0) + 1}`;
          started.set(plan.name, (started.get(plan.name) ?? 0) + 1);
          run.note(plan.name, news(id, 'RUNNING'), true, NOW);
          jobs.push(id);
          const see = (name: string) => run.find(name) ?? untouched;
          assert.ok(['always', 'now'].includes(standingOf(plan.requires, see)));
        }
        if (scene.maxParallel > 0) assert.ok(jobs.length <= scene.maxParallel);
        const [id] = jobs.splice(pick % Math.max(1, jobs.length), 1);
        if (id === undefined) break;
        const name = id.split(' ')[0] ?? '';
        run.note(name, news(id, scene.ends[Number(name.slice(1))] ?? 'COMPLETED'), false, NOW);
      }
      const wanted = expected(scene);
      assert.deepEqual(
        run.steps.map(({ status }) => status),
        wanted,
      );
      for (const [at, status] of wanted.entries()) {
        const tries =
          status === 'FAILED'
            ? (scene.attempts[at] ?? 1)
            : status === 'CANCELED' || status === 'SKIPPED'
              ? 0
              : 1;
        assert.equal(started.get(`j${at}`) ?? 0, tries);
      }
      const failed = wanted.some((status) => status === 'FAILED' || status === 'STOPPED');
      assert.equal(run.workflow.status, failed ? 'FAILED' : 'COMPLETED');
    }),
    { numRuns: 500 },
  );
});

test('a workflow that is ended starts nothing more, and is over when its jobs are', () => {
  const after = (job: string): Expression => ({ kind: 'is', job, statuses: waitedFor.FINISHED });
  const run = runOf([{ kind: 'all', of: [] }, after('j0'), after('j1')], 0, [3]);
  run.begin(NOW);
  run.note('j0', news('job', 'RUNNING'), true, NOW);
  run.end('stop', 'somebody', new Set(), NOW);
  assert.equal(run.ready.length, 0);
  assert.equal(run.workflow.status, 'RUNNING');
  run.note('j0', news('job', 'FAILED'), false, NOW);
  assert.equal(run.workflow.status, 'STOPPED');
  assert.deepEqual(
    run.steps.map(({ status }) => status),
    ['FAILED', 'CANCELED', 'CANCELED'],
  );
  const again = run.retry(false, NOW);
  assert.equal(again.length, 3);
  assert.deepEqual(
    run.ready.map(({ plan }) => plan.name),
    ['j0'],
  );
});

test('a step that is taken up again by hand has all tries of its policy, with their waits', () => {
  const requires: Expression = { kind: 'all', of: [] };
  const plan = { name: 'j0', requires, delayMs: 0 } as unknown as StepPlan;
  const retry = { attempts: 3, backoffMs: 100, exitCodes: [] };
  const workflow = { ...idle, maxParallel: 0, total: 1 } as unknown as Workflow;
  let run = new Run(workflow, [{ ...untouched, number: 0, plan: { ...plan, retry } }]);
  run.begin(NOW);
  for (let round = 1; round <= 3; round += 1) {
    for (const wait of [100, 200, undefined]) {
      const id = `${round} ${wait}`;
      run.note('j0', news(id, 'RUNNING'), true, NOW);
      run.note('j0', news(id, 'FAILED'), false, NOW);
      // Its rows say all of it.
      run = new Run(run.workflow, run.steps);
      assert.equal(run.ready[0]?.notBeforeMs, wait && NOW + wait);
    }
    assert.equal(run.find('j0')?.attempts, 3 * round);
    assert.equal(run.workflow.status, 'FAILED');
    run.retry(false, NOW);
  }
});

test('what becomes of the job of an earlier attempt changes nothing', () => {
  const run = runOf([{ kind: 'all', of: [] }], 0, [2]);
  run.begin(NOW);
  run.note('j0', news('first', 'RUNNING'), true, NOW);
  run.note('j0', news('first', 'FAILED'), false, NOW);
  assert.deepEqual(run.note('j0', news('first', 'COMPLETED'), false, NOW), []);
  run.note('j0', news('second', 'COMPLETED'), true, NOW);
  assert.equal(run.workflow.status, 'COMPLETED');
});
