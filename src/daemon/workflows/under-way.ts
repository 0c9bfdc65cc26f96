// Workflows that are not over, in memory as their rows have them. What changes of one is written here,
// and with it whose turn it is in a group, all of it within the transaction that is open. What is to be
// done about it is done when that is committed.

import type { Audit } from '../audit/audit.ts';
import type { Action } from '../audit/record.ts';
import type { Clock } from '../jobs/due.ts';
import type { Identity } from '../jobs/job.ts';
import type { Db } from '../store/db.ts';
import { type Claim, claimsOf, hasGroups, isCircle, isSame, nextOf } from './groups.ts';
import { Run } from './run.ts';
import type { WorkflowStore } from './store.ts';
import { isOver, type Step, type Workflow, type WorkflowStatus } from './workflow.ts';

export interface UnderWayParts {
  readonly db: Db;
  readonly store: WorkflowStore;
  readonly audit: Pick<Audit, 'append'>;
  readonly clock: Clock;
  /** What was decided about a workflow is committed. */
  readonly committed: (id: string) => void;
  /** The jobs of steps are to be stopped. */
  readonly stopJobs: (steps: readonly Step[], who: Identity) => void;
  /** Steps of a workflow that are being given their jobs this moment. */
  readonly starting: (id: string) => ReadonlySet<string>;
}

export class UnderWay {
  readonly #parts: UnderWayParts;
  readonly #runs = new Map<string, Run>();
  /** Transactions that had been taken back when #runs was right. */
  #rollbacks: number;

  constructor(parts: UnderWayParts) {
    this.#parts = parts;
    this.#rollbacks = parts.db.rollbacks;
  }

  get size(): number {
    return this.#runs.size;
  }

  all(): readonly Run[] {
    return [...this.#runs.values()];
  }

  /** How many of them are in each state. */
  census(): ReadonlyMap<WorkflowStatus, number> {
    const byStatus = new Map<WorkflowStatus, number>();
    for (const { workflow } of this.all()) {
      byStatus.set(workflow.status, (byStatus.get(workflow.status) ?? 0) + 1);
    }
    return byStatus;
  }

  load(): void {
    for (const workflow of this.#parts.store.unfinished()) this.read(workflow);
  }

  /** A workflow under way, as its rows have it. */
  find(id: string): Run | undefined {
    const { rollbacks } = this.#parts.db;
    if (rollbacks !== this.#rollbacks) {
      // What was noted in a transaction that was taken back has not happened.
      this.#rollbacks = rollbacks;
      this.#runs.clear();
      this.load();
    }
    return this.#runs.get(id);
  }

  read(workflow: Workflow): Run {
    const run = new Run(workflow, this.#parts.store.stepsOf(workflow.id));
    this.put(run);
    return run;
  }

  put(run: Run): void {
    this.#runs.set(run.workflow.id, run);
  }

  drop(id: string): void {
    this.#runs.delete(id);
  }

  /** Writes what has changed of a workflow into the transaction that is open. */
  write(run: Run, changed: readonly Step[]): void {
    const { workflow } = run;
    this.#parts.store.set(workflow, changed);
    if (isOver(workflow.status)) {
      const { completed, failed, canceled, total } = workflow;
      const detail = `${completed} of ${total} jobs completed, ${failed} failed, ${canceled} canceled`;
      this.record(workflow.id, 'workflow.ended', workflow.status, detail);
    }
    this.settle(run);
  }

  record(id: string, action: Action, result: string, detail: string, who?: Identity): void {
    const atMs = this.#parts.clock.now();
    this.#parts.audit.append({ atMs, action, jobId: id, who, result, detail });
  }

  /** Runs `then` when the transaction that is open has been committed; never, when it is taken back. */
  afterCommit(then: () => void): void {
    this.#parts.db.write(() => {}).then(then, () => {});
  }

  /** What others claim in the group of a run that is about to begin. */
  rivalsOf(run: Run): readonly Claim[] {
    const { options, owner } = run.workflow;
    return options.concurrency === undefined
      ? []
      : this.#claimsIn(options.concurrency.group, owner).filter((claim) => claim.run !== run);
  }

  /** Ends what goes on or waits in the group of a claim, within the transaction that is open. */
  endAll(rivals: readonly Claim[], who: Identity): void {
    for (const { run, call, state } of rivals) {
      const { id, ending, options } = run.workflow;
      if (state === 'ends' || ending !== '') continue;
      const now = this.#parts.clock.now();
      const keep = this.#parts.starting(id);
      const named = call === undefined ? '' : ` for the call ${options.calls?.[call]?.name}`;
      this.record(id, 'workflow.stop', 'ok', `another one of its group came${named}`, who);
      const changed =
        call === undefined
          ? run.end('stop', who.name, keep, now)
          : run.endCall(call, 'another one of its concurrency group came', keep, now);
      this.write(run, changed);
      const stopped = run.steps.filter(
        ({ plan }) => call === undefined || run.isWithin(plan, call),
      );
      this.afterCommit(() => {
        this.#parts.committed(id);
        this.#parts.stopJobs(stopped, who);
      });
    }
  }

  /** Lets the next ones start in the groups of a run, when none goes on there. */
  settle(run: Run): void {
    const { options, status } = run.workflow;
    if (!hasGroups(options)) return;
    const { asked, hasLeft } = run.takeTurnNews();
    for (const call of asked) this.#come(run, call);
    if (asked.length === 0 && !hasLeft && !isOver(status)) return;
    const { concurrency, calls = [] } = options;
    const groups = [concurrency, ...calls.map((call) => call.concurrency)];
    for (const group of new Set(groups.map((one) => one?.group))) {
      if (group !== undefined) this.#letNext(group, run.workflow.owner);
    }
  }

  /** The same in all groups, as an earlier daemon left them. */
  settleAll(): void {
    for (const { group, run } of this.#claims()) this.#letNext(group, run.workflow.owner);
  }

  /** Lets the next one of a group start, when none goes on there. */
  #letNext(group: string, owner: Identity): void {
    const { clock, committed } = this.#parts;
    const next = nextOf(this.#claimsIn(group, owner));
    if (next === undefined) return;
    const { run, call } = next;
    this.write(run, call === undefined ? run.release(clock.now()) : run.grant(call, clock.now()));
    this.afterCommit(() => committed(run.workflow.id));
  }

  /** A call waits for its turn: it stops others if it says so, and fails if that could never come. */
  #come(run: Run, call: number): void {
    const claim = claimsOf(run).find((one) => one.call === call);
    if (claim === undefined) return;
    const { group } = claim;
    const { owner } = run.workflow;
    if (claim.cancelsOthers) {
      const others = this.#claimsIn(group, owner).filter((other) => !isSame(other, claim));
      this.endAll(others, owner);
    } else if (isCircle(claim, this.#claims())) {
      const message = `its turn in the concurrency group '${group}' would never come: who has it waits for a group that this run has`;
      this.write(run, run.refuse(call, message, this.#parts.clock.now()));
      this.afterCommit(() => this.#parts.committed(run.workflow.id));
    }
  }

  /** A group belongs to a user. */
  #claimsIn(group: string, owner: Identity): readonly Claim[] {
    return this.#claims().filter(
      (claim) => claim.group === group && claim.run.workflow.owner.name === owner.name,
    );
  }

  #claims(): readonly Claim[] {
    return this.all().flatMap(claimsOf);
  }
}
