// Runs and calls that claim turns in the same groups, ended in any order: of a group one has its turn at
// a time, no call exceeds what it says of its jobs, and all of them come to an end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Expression } from '../../shared/workflow-expression.ts';
import type { Identity } from '../jobs/job.ts';
import type { Db } from '../store/db.ts';
import { claimsOf } from './groups.ts';
import { Run } from './run.ts';
import type { WorkflowStore } from './store.ts';
import { untouched } from './tries.ts';
import { UnderWay } from './under-way.ts';
import {
  type Call,
  isOver,
  isUnderWay,
  type Step,
  type StepPlan,
  type Workflow,
} from './workflow.ts';

const NOW = 1000;
const owner = { name: 'somebody' } as Identity;
const nobody: Expression = { kind: 'all', of: [] };

/** Runs in memory alone. */
function underWay(): UnderWay {
  const db = {
    rollbacks: 0,
    write: async (body: () => void) => body(),
  };
  return new UnderWay({
    db: db as unknown as Db,
    store: { set: () => {} } as unknown as WorkflowStore,
    audit: { append: () => {} },
    clock: { now: () => NOW, at: () => () => {} },
    committed: () => {},
    stopJobs: () => {},
    starting: () => new Set(),
  });
}

interface RunWish {
  readonly group: string;
  readonly calls: readonly {
    readonly group: string;
    readonly within: number;
    readonly most: number;
  }[];
  /** Of each job the call that it is part of; -1 is none. */
  readonly jobs: readonly number[];
  /** Each job waits for the one before it. */
  readonly isChain: boolean;
  readonly cancels: boolean;
}

function runOf(id: string, { group, calls, jobs, isChain, cancels }: RunWish): Run {
  const concurrency = (name: string) =>
    name === '' ? {} : { concurrency: { group: name, cancelsOthers: cancels } };
  const options = {
    ...concurrency(group),
    calls: calls.map(({ group: name, within, most }, number): Call => {
      const around = within < number && within >= 0 ? { around: within } : {};
      return { name: `c${number}`, maxParallel: most, ...around, ...concurrency(name) };
    }),
  };
  // Jobs of a call stand together: what is outside of it waits for none of them alone.
  const wayTo = (call: number): string => {
    const around = options.calls[call]?.around;
    return call < 0 || call >= calls.length
      ? ''
      : `${around === undefined ? '' : wayTo(around)}${call}`;
  };
  const sorted = jobs.toSorted((a, b) => wayTo(a).localeCompare(wayTo(b)));
  const steps = sorted.map((call, number): Step => {
    const requires: Expression =
      isChain && number > 0
        ? {
            kind: 'is',
            job: `j${number - 1}`,
            statuses: ['COMPLETED', 'FAILED', 'STOPPED', 'CANCELED'],
          }
        : nobody;
    const plan = {
      ...{ name: `j${number}`, requires, delayMs: 0 },
      retry: { attempts: 1, backoffMs: 0, exitCodes: [] },
      ...(call >= 0 && call < calls.length && { call }),
    } as unknown as StepPlan;
    return { ...untouched, number, plan };
  });
  const workflow = {
    ...{ id, owner, options, turns: [], createdAtMs: NOW, maxParallel: 0, waits: false },
    ...{ status: 'PENDING', ending: '', total: steps.length, startedAtMs: 0 },
  };
  return new Run(workflow as unknown as Workflow, steps);
}

const groups = fc.constantFrom('', 'a', 'b', 'c');
const runWishes: fc.Arbitrary<RunWish> = fc.record({
  group: groups,
  calls: fc.array(
    fc.record({ group: groups, within: fc.integer({ min: -1, max: 2 }), most: fc.nat(2) }),
    { maxLength: 3 },
  ),
  jobs: fc.array(fc.integer({ min: -1, max: 2 }), { minLength: 1, maxLength: 6 }),
  isChain: fc.boolean(),
  cancels: fc.oneof(
    { weight: 4, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});

function start(runs: UnderWay, run: Run): void {
  const others = runs.rivalsOf(run);
  const begun = new Run({ ...run.workflow, waits: others.length > 0 }, run.steps);
  begun.begin(NOW);
  runs.put(begun);
  if (begun.workflow.options.concurrency?.cancelsOthers === true) runs.endAll(others, owner);
  runs.settle(begun);
}

/** Gives each ready step its job; answers what is under way. */
function giveJobs(runs: UnderWay): (readonly [Run, Step])[] {
  for (const run of runs.all()) {
    for (const step of run.ready) {
      const job = { id: `${run.workflow.id} ${step.number}`, status: 'RUNNING' as const };
      const news = { startedAtMs: NOW, endedAtMs: 0, exitCode: 0, message: '', outputs: {} };
      runs.write(run, run.note(step.plan.name, { ...job, ...news }, true, NOW));
    }
  }
  return runs
    .all()
    .flatMap((run) => run.steps.filter(isUnderWay).map((step) => [run, step] as const));
}

function checkBounds(runs: UnderWay): void {
  const having = runs
    .all()
    .flatMap(claimsOf)
    .filter(({ state }) => state === 'has')
    .map(({ group }) => group);
  assert.equal(new Set(having).size, having.length, `two have their turn at once: ${having}`);
  for (const run of runs.all()) {
    for (const [number, { maxParallel, concurrency }] of (
      run.workflow.options.calls ?? []
    ).entries()) {
      const going = run.steps.filter((step) => isUnderWay(step) && run.isWithin(step.plan, number));
      if (maxParallel > 0) assert.ok(going.length <= maxParallel);
      if (concurrency === undefined || going.length === 0) continue;
      const turn = run.workflow.turns.find(({ call }) => call === number);
      assert.ok(turn && turn.state !== 'waits', 'a call goes on without its turn');
    }
  }
}

test('of a group one run or call goes on at a time, and none waits for ever, whatever waits for what', () => {
  fc.assert(
    fc.property(
      fc.array(runWishes, { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(50), fc.boolean(), fc.boolean()), { minLength: 40, maxLength: 40 }),
      (wishes, moves) => {
        const runs = underWay();
        const coming = wishes.map((wish, at) => runOf(`r${at}`, wish));
        for (const [pick, comes, dies] of moves) {
          const next = comes || runs.size === 0 ? coming.shift() : undefined;
          if (next !== undefined) start(runs, next);
          if (dies) {
            // Another daemon finds what the rows say.
            for (const run of runs.all()) runs.put(new Run(run.workflow, run.steps));
            for (const run of runs.all()) runs.write(run, run.begin(NOW));
            runs.settleAll();
          }
          const going = giveJobs(runs);
          checkBounds(runs);
          const [run, step] = going[pick % Math.max(1, going.length)] ?? [];
          if (run === undefined || step === undefined) continue;
          const status = run.isStopping(step) ? 'STOPPED' : pick % 3 === 0 ? 'FAILED' : 'COMPLETED';
          const ended = { startedAtMs: NOW, endedAtMs: NOW, exitCode: 0, message: '', outputs: {} };
          const job = { id: step.jobId, status, ...ended } as const;
          runs.write(run, run.note(step.plan.name, job, false, NOW));
          checkBounds(runs);
        }
        const open = runs.all().filter(({ workflow }) => !isOver(workflow.status));
        assert.equal(coming.length + open.length, 0, 'all of them are over');
      },
    ),
    { numRuns: 300 },
  );
});
