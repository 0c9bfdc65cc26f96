// A workflow under way, in memory: which steps may start, which never will, and when it is over. It
// does nothing by itself. It is told what became of jobs, and says which steps have changed; the same
// is written by whoever tells it, in one transaction.

import type { JobStatus } from '../../shared/job-state.ts';
import { hasEnded, type StepStatus, stepStatuses } from '../../shared/step-status.ts';
import { holds } from '../../shared/workflow-condition.ts';
import { jobsOf, type Seen, standingOf } from '../../shared/workflow-expression.ts';
import { Calls, type TurnNews } from './calls.ts';
import { nextTry, untouched } from './tries.ts';
import {
  type Ending,
  isUnderWay,
  type Step,
  type StepPlan,
  type StepState,
  type Workflow,
  type WorkflowStatus,
  waitsForJob,
} from './workflow.ts';

/** What a job has come to. */
export interface JobNews {
  readonly id: string;
  readonly status: JobStatus;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly exitCode: number;
  readonly message: string;
  /** What it has said; it is read when the job has COMPLETED. */
  readonly outputs: StepState['outputs'];
}

export class Run {
  workflow: Workflow;
  readonly #steps: Step[];
  readonly #numbers: ReadonlyMap<string, number>;
  /** The steps whose requirements name a step. */
  readonly #followers: readonly (readonly number[])[];
  /** Steps that could start but for `maxParallel`, or for a call whose turn has not come. */
  readonly #blocked = new Set<number>();
  readonly #calls: Calls;
  /** Steps that are ready or have a job that has not ended. */
  #underWay = 0;
  /** Steps by their status. */
  readonly #counts: Record<StepStatus, number>;
  /** A step has had a job. */
  #hasBegun: boolean;
  #changed = new Set<number>();

  constructor(workflow: Workflow, steps: readonly Step[]) {
    this.workflow = workflow;
    this.#steps = [...steps];
    this.#numbers = new Map(steps.map(({ plan, number }) => [plan.name, number]));
    const followers: number[][] = steps.map(() => []);
    for (const { plan, number } of steps) {
      for (const name of jobsOf(plan.requires)) followers[this.#numberOf(name)]?.push(number);
    }
    this.#followers = followers;
    this.#underWay = steps.filter(isUnderWay).length;
    const { calls = [] } = workflow.options;
    this.#calls = new Calls(calls, workflow.turns);
    for (const step of steps) this.#calls.count(step.plan, undefined, step);
    this.#hasBegun = steps.some(({ attempts }) => attempts > 0);
    this.#counts = Object.fromEntries(
      stepStatuses.map((one) => [one, steps.filter(({ status }) => status === one).length]),
    ) as Record<StepStatus, number>;
    if (workflow.maxParallel === 0 && calls.length === 0) return;
    for (const step of steps) {
      const isWaiting = !step.isReady && !hasEnded(step.status);
      if (isWaiting && this.#mayStart(step)) this.#blocked.add(step.number);
    }
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** Steps that are to be given a job. */
  get ready(): Step[] {
    return this.#steps.filter(waitsForJob);
  }

  /** Whether a step waits for its job. */
  isReady(name: string): boolean {
    const step = this.find(name);
    return step !== undefined && waitsForJob(step);
  }

  find(name: string): Step | undefined {
    const number = this.#numbers.get(name);
    return number === undefined ? undefined : this.#steps[number];
  }

  /** Finds every step that may start, as at its beginning or when it is taken up again. */
  begin(nowMs: number): readonly Step[] {
    if (this.workflow.waits) return this.#finish(nowMs);
    this.#look(this.#steps.keys(), nowMs);
    return this.#finish(nowMs);
  }

  /** Those of its group that came before are over. */
  release(nowMs: number): readonly Step[] {
    this.workflow = { ...this.workflow, waits: false };
    return this.begin(nowMs);
  }

  /** A call gets the turn that it waits for. */
  grant(call: number, nowMs: number): readonly Step[] {
    this.#calls.move(call, 'has');
    this.#unblock(nowMs);
    return this.#finish(nowMs);
  }

  /** A call cannot have its turn, so what could start of it has failed. */
  refuse(call: number, message: string, nowMs: number): readonly Step[] {
    this.#calls.leave(call);
    const refused = this.#steps.filter(
      ({ plan, number }) => this.#blocked.has(number) && this.isWithin(plan, call),
    );
    for (const step of refused) {
      const end = { status: 'FAILED', endedAtMs: nowMs, exitCode: -1, message } as const;
      this.#set(step.number, { ...step, ...end });
    }
    this.#look(this.#followersOf(refused), nowMs);
    return this.#finish(nowMs);
  }

  /** Nothing more is started of a call. Steps that `keep` names are being given their jobs this moment. */
  endCall(
    call: number,
    message: string,
    keep: ReadonlySet<string>,
    nowMs: number,
  ): readonly Step[] {
    this.#calls.move(call, 'ends');
    const left = this.#steps.filter(
      ({ plan, jobId, status }) =>
        this.isWithin(plan, call) && jobId === '' && !hasEnded(status) && !keep.has(plan.name),
    );
    for (const step of left) this.#leaveOut(step, 'CANCELED', message, nowMs);
    this.#look(this.#followersOf(left), nowMs);
    return this.#finish(nowMs);
  }

  /** Whether a step or a call is part of a call. */
  isWithin(one: Pick<StepPlan, 'call'>, call: number): boolean {
    return this.#calls.isWithin(one, call);
  }

  /** Whether an end was asked for of what a step is part of, and its job is to be stopped. */
  isStopping({ plan }: Step): boolean {
    return this.workflow.ending === 'stop' || this.#calls.isEnding(plan);
  }

  /** What is new of the turns of its calls; the next time it is old. */
  takeTurnNews(): TurnNews {
    return this.#calls.takeNews();
  }

  /** Takes note of what a job of one of its steps has come to, or that there is a new one. */
  note(name: string, job: JobNews, isNew: boolean, nowMs: number): readonly Step[] {
    const step = this.find(name);
    // A job of an earlier attempt says nothing any more.
    if (step === undefined || (isNew ? !isUnderWay(step) : step.jobId !== job.id)) return [];
    if (step.status === job.status && !isNew) return [];
    const next: StepState = {
      ...step,
      jobId: job.id,
      attempts: step.attempts + (isNew ? 1 : 0),
      status: job.status,
      hasRun: step.hasRun || job.startedAtMs > 0,
      startedAtMs: job.startedAtMs,
      endedAtMs: job.endedAtMs,
      exitCode: job.exitCode,
      message: job.message,
      outputs: job.outputs,
    };
    const mayTryAgain = this.workflow.ending === '' && !this.#calls.isEnding(step.plan);
    this.#set(step.number, (mayTryAgain && nextTry(step.plan.retry, next, nowMs)) || next);
    if (this.workflow.startedAtMs === 0 && job.startedAtMs > 0) {
      this.workflow = { ...this.workflow, startedAtMs: job.startedAtMs };
    }
    this.#look(this.#followers[step.number] ?? [], nowMs);
    return this.#finish(nowMs);
  }

  /** A step that cannot be given a job has failed. */
  fail(name: string, message: string, nowMs: number): readonly Step[] {
    const step = this.find(name);
    if (step === undefined || !step.isReady || step.jobId !== '') return [];
    const status = this.workflow.ending === '' ? 'FAILED' : 'CANCELED';
    this.#set(step.number, { ...step, status, endedAtMs: nowMs, exitCode: -1, message });
    this.#look(this.#followers[step.number] ?? [], nowMs);
    return this.#finish(nowMs);
  }

  /** Nothing more is started. Steps that `keep` names are being given their jobs this moment. */
  end(ending: Ending, who: string, keep: ReadonlySet<string>, nowMs: number): readonly Step[] {
    this.workflow = { ...this.workflow, ending, endedBy: who };
    const words = ending === 'stop' ? 'stopped' : 'canceled';
    for (const step of this.#steps) {
      if (step.jobId !== '' || hasEnded(step.status) || keep.has(step.plan.name)) continue;
      this.#leaveOut(step, 'CANCELED', `the workflow was ${words} by ${who}`, nowMs);
    }
    return this.#finish(nowMs);
  }

  /** Takes up again what has not gone well; with `waits` when those of its group are over. */
  retry(waits: boolean, nowMs: number): readonly Step[] {
    this.workflow = {
      ...this.workflow,
      waits,
      ending: '',
      endedBy: '',
      status: 'RUNNING',
      endedAtMs: 0,
    };
    for (const step of this.#steps) {
      if (step.status === 'COMPLETED') continue;
      const { attempts } = step;
      this.#set(step.number, { ...untouched, attempts, attemptsBefore: attempts });
    }
    if (!waits) this.#look(this.#steps.keys(), nowMs);
    return this.#finish(nowMs);
  }

  /** Decides about steps, and about those that wait for what this decides, or for room. */
  #look(numbers: Iterable<number>, nowMs: number): void {
    this.#decide(numbers, nowMs);
    this.#unblock(nowMs);
  }

  #decide(numbers: Iterable<number>, nowMs: number): void {
    const see = (name: string): Seen => this.find(name) ?? untouched;
    const queue = [...numbers];
    for (let at = 0; at < queue.length; at += 1) {
      const step = this.#steps[queue[at] ?? -1];
      if (step === undefined || step.isReady || hasEnded(step.status)) continue;
      const standing = standingOf(step.plan.requires, see);
      this.#blocked.delete(step.number);
      if (standing === 'open') continue;
      if (standing === 'never') this.#giveUp(step, nowMs);
      else if (this.workflow.ending !== '') continue;
      else if (!this.#isWanted(step)) this.#leaveOut(step, 'SKIPPED', 'its if did not hold', nowMs);
      else {
        this.#admit(step, nowMs);
        continue;
      }
      queue.push(...(this.#followers[step.number] ?? []));
    }
  }

  /** Whether the `if` of a step that may start holds. */
  #isWanted({ plan: { condition } }: Step): boolean {
    if (condition === undefined) return true;
    const see = (name: string): Seen => this.find(name) ?? untouched;
    return holds(condition, see, ({ job, name }) => this.outputOf(job, name));
  }

  /** Characters of all that its steps have said. */
  get outputChars(): number {
    return this.#steps.reduce((sum, { outputs }) => sum + charsOf(outputs), 0);
  }

  /** What a step has said; undefined when it has not. */
  outputOf(name: string, output: string): string | undefined {
    const outputs = this.find(name)?.outputs ?? {};
    return Object.hasOwn(outputs, output) ? outputs[output] : undefined;
  }

  /**
   * What a step requires can come true no more. It is skipped where that is so only because others were,
   * which shows when all of them have ended, so that it does not depend on their order; CANCELED else.
   */
  #giveUp(step: Step, nowMs: number): void {
    const see = (name: string): Seen => this.find(name) ?? untouched;
    const withoutSkipped = standingOf(step.plan.requires, (name): Seen => {
      const other = see(name);
      return other.status === 'SKIPPED' ? untouched : other;
    });
    if (withoutSkipped === 'never') {
      this.#leaveOut(step, 'CANCELED', 'what it requires has become impossible', nowMs);
    } else if (jobsOf(step.plan.requires).every((name) => hasEnded(see(name).status))) {
      this.#leaveOut(step, 'SKIPPED', 'what it requires was skipped', nowMs);
    }
  }

  #mayStart({ plan }: Step): boolean {
    const standing = standingOf(plan.requires, (name) => this.find(name) ?? untouched);
    return standing === 'always' || standing === 'now';
  }

  #admit(step: Step, nowMs: number): void {
    const hasRoom = this.#hasRoom() && this.#calls.hasRoom(step.plan);
    const gate = hasRoom ? this.#calls.gateOf(step.plan) : undefined;
    if (gate !== undefined) this.#calls.ask(gate, nowMs);
    if (hasRoom && gate === undefined) this.#set(step.number, { ...step, isReady: true });
    else this.#blocked.add(step.number);
  }

  #hasRoom(): boolean {
    const { maxParallel } = this.workflow;
    return maxParallel === 0 || this.#underWay < maxParallel;
  }

  /** Lets those start that waited for others to end, in the order of the file. */
  #unblock(nowMs: number): void {
    if (this.#blocked.size === 0 || !this.#hasRoom()) return;
    for (const number of [...this.#blocked].sort((a, b) => a - b)) {
      const plan = this.#steps[number]?.plan;
      if (plan === undefined || !this.#calls.hasRoom(plan)) continue;
      const gate = this.#calls.gateOf(plan);
      if (gate !== undefined && this.#calls.isWaiting(gate)) continue;
      this.#decide([number], nowMs);
      if (!this.#hasRoom()) return;
    }
  }

  /** A step that gets no job. */
  #leaveOut(step: Step, status: 'CANCELED' | 'SKIPPED', message: string, nowMs: number): void {
    const exitCode = status === 'CANCELED' ? -1 : 0;
    this.#set(step.number, {
      ...step,
      status,
      isReady: false,
      endedAtMs: nowMs,
      exitCode,
      message,
    });
  }

  #set(number: number, state: StepState): void {
    const before = this.#steps[number];
    if (before === undefined) return;
    const step = { ...state, number, plan: before.plan };
    this.#steps[number] = step;
    this.#changed.add(number);
    this.#underWay += Number(isUnderWay(step)) - Number(isUnderWay(before));
    this.#calls.count(before.plan, before, step);
    this.#counts[before.status] -= 1;
    this.#counts[step.status] += 1;
    this.#hasBegun ||= step.attempts > 0;
    if (hasEnded(step.status)) this.#blocked.delete(number);
  }

  #finish(nowMs: number): readonly Step[] {
    const { COMPLETED, FAILED, STOPPED, CANCELED, SKIPPED } = this.#counts;
    const isOver = COMPLETED + FAILED + STOPPED + CANCELED + SKIPPED === this.#steps.length;
    this.#calls.leaveEnded();
    this.workflow = {
      ...this.workflow,
      turns: this.#calls.turns,
      status: isOver ? this.#outcome() : this.#hasBegun ? 'RUNNING' : 'PENDING',
      endedAtMs: isOver ? nowMs : 0,
      completed: COMPLETED,
      failed: FAILED + STOPPED,
      canceled: CANCELED,
      skipped: SKIPPED,
    };
    const changed = [...this.#changed].flatMap((number) => this.#steps[number] ?? []);
    this.#changed = new Set();
    return changed;
  }

  #outcome(): WorkflowStatus {
    const { ending } = this.workflow;
    if (ending !== '') return ending === 'stop' ? 'STOPPED' : 'CANCELED';
    if (this.#counts.FAILED + this.#counts.STOPPED > 0) return 'FAILED';
    // A job that somebody took back; a step that had no chance is the way that was not taken.
    const isTakenBack = this.#steps.some(
      ({ status, jobId }) => status === 'CANCELED' && jobId !== '',
    );
    return isTakenBack ? 'CANCELED' : 'COMPLETED';
  }

  #followersOf(steps: readonly Step[]): number[] {
    return steps.flatMap(({ number }) => this.#followers[number] ?? []);
  }

  #numberOf(name: string): number {
    return this.#numbers.get(name) ?? -1;
  }
}

export function charsOf(outputs: StepState['outputs']): number {
  return Object.entries(outputs).reduce(
    (sum, [name, value]) => sum + name.length + value.length,
    0,
  );
}
