// Which jobs there will be: each job of a workflow, those that a matrix makes of it, and in the place
// of one that calls another workflow of the file the jobs of that workflow, each by a name that begins
// with the caller's. Their values are read later, when all names are known.

import { checkName, MAX_NAME_CHARS } from './names.ts';
import { hintAmong } from './nearest.ts';
import type { WorkflowCall, WorkflowOptions } from './workflow-job.ts';
import { jobKeys, workflowKeys } from './workflow-keys.ts';
import { type Instance, instancesOf } from './workflow-matrix.ts';
import { readOptions } from './workflow-options.ts';
import { type Given, readParams } from './workflow-params.ts';
import type { Filling, Placed, WorkflowReader } from './workflow-reader.ts';
import type { Groups } from './workflow-requires.ts';
import { expand, type Variables } from './workflow-template.ts';
import { readVariables, valueIn } from './workflow-variables.ts';
import type { Path } from './yaml-text.ts';

export const MAX_JOBS = 10_000;
export const MAX_TEXT_CHARS = 128 * 1024;
/** Workflows that call each other. */
const MAX_CALLS_DEEP = 16;

/** A workflow whose jobs are planned. */
export interface Scope {
  readonly at: Path;
  readonly map: ReadonlyMap<string, unknown>;
  /** What its texts may refer to. */
  readonly around: Variables;
  /** What the names of its jobs begin with. */
  readonly prefix: string;
  /** Names of the workflows that called each other up to here, its own the last. */
  readonly calls: readonly string[];
  /** The job that called it; the scope of the file has none. */
  readonly caller?: Plan;
  /** Each of its jobs with those that it becomes. */
  readonly groups: Groups;
  readonly options: WorkflowOptions;
  /** The innermost call that its jobs are part of and that has options, by its place among them. */
  readonly call?: number;
  /** Concurrency groups that a run of it belongs to: its own, and those of whoever called it. */
  readonly concurrency: readonly string[];
}

/** What is known of a job before its values are read. */
export interface Plan {
  readonly scope: Scope;
  readonly key: string;
  readonly instance: Instance;
  readonly find: (word: string) => Placed | undefined;
}

/** Keys of a job that calls a workflow. */
const callKeys = new Set([
  'workflow',
  'params',
  'description',
  'requires',
  'always',
  'if',
  'matrix',
  'foreach',
]);

export class Plans {
  readonly #reader: WorkflowReader;
  /** Keys beside `workflows` are for all of them. */
  readonly #top: ReadonlyMap<string, unknown>;
  readonly #plans: Plan[] = [];
  readonly #calls: WorkflowCall[] = [];
  readonly #instances = new Map<string, string>();

  constructor(reader: WorkflowReader, top: ReadonlyMap<string, unknown>) {
    this.#reader = reader;
    this.#top = top;
  }

  /** All jobs of a workflow of the file, and what it and those that it calls say of their runs. */
  all(
    at: Path,
    map: ReadonlyMap<string, unknown>,
    given: Given,
  ): {
    readonly plans: readonly Plan[];
    readonly options: WorkflowOptions;
    readonly calls: readonly WorkflowCall[];
  } {
    const calls = at.length === 0 ? [] : [String(at.at(-1))];
    const scope = this.#scope(at, map, given, calls);
    this.#planScope(scope);
    this.#checkTwice();
    return { plans: this.#plans, options: scope.options, calls: this.#calls };
  }

  #scope(
    at: Path,
    map: ReadonlyMap<string, unknown>,
    given: Given,
    calls: readonly string[],
    caller?: Plan,
  ): Scope {
    const placed = this.#placed(at, map, 'params');
    const params = readParams(this.#reader, placed ?? { at: ['params'], value: undefined }, given);
    const prefix = caller === undefined ? '' : `${nameOf(caller)}.`;
    // First those that stand beside all workflows, then those of this one.
    const beside = at.length === 0 ? params : this.#level([], this.#top, params, prefix);
    const around = this.#level(at, map, beside, prefix);
    const groups = new Map();
    // Those beside all workflows are for the run, and count for what it calls anyway.
    const find = (word: string) =>
      caller === undefined || map.has(word) ? this.#placed(at, map, word) : undefined;
    const fill: Filling = (text) => expand(text, valueIn(around), MAX_TEXT_CHARS);
    const options = readOptions(this.#reader, find, fill);
    const { group } = options.concurrency ?? {};
    const outer = caller?.scope.concurrency ?? [];
    return {
      ...{ at, map, around, prefix, calls, groups, options },
      ...(caller && { caller, ...this.#numbered(caller, options) }),
      concurrency: group === undefined ? outer : [...outer, group],
    };
  }

  /** The call that the jobs of a called workflow are part of. */
  #numbered(caller: Plan, options: WorkflowOptions): Pick<Scope, 'call'> {
    const { call: around } = caller.scope;
    const part = around === undefined ? {} : { around };
    const { maxParallel, concurrency, workspace } = options;
    if (maxParallel === 0 && !concurrency && !workspace)
      return around === undefined ? {} : { call: around };
    this.#calls.push({ name: nameOf(caller), ...options, ...part });
    return { call: this.#calls.length - 1 };
  }

  #level(at: Path, map: ReadonlyMap<string, unknown>, around: Variables, prefix: string) {
    const level = {
      owner: 'workflow',
      environment: { at: [...at, 'environment'], value: map.get('environment') },
      secrets: { at: [...at, 'secret_environment'], value: map.get('secret_environment') },
      prefix,
    };
    return readVariables(this.#reader, level, around);
  }

  /** A key of a workflow, or the one that stands beside all workflows. */
  #placed(at: Path, map: ReadonlyMap<string, unknown>, word: string): Placed | undefined {
    if (map.has(word)) return { at: [...at, word], value: map.get(word) };
    return this.#top.has(word) ? { at: [word], value: this.#top.get(word) } : undefined;
  }

  #planScope(scope: Scope): void {
    const reader = this.#reader;
    const at = [...scope.at, 'jobs'];
    const jobs = reader.entries(at, scope.map.get('jobs'));
    if (jobs.size === 0) {
      reader.report(scope.at, 'value', 'there are no jobs: name them below jobs');
    }
    const defaults = this.#placed(scope.at, scope.map, 'defaults');
    const shared = defaults && reader.map(defaults.at, defaults.value, jobKeys);
    for (const [key, value] of jobs) {
      this.#checkName([...at, key], key);
      const own = reader.map([...at, key], value, jobKeys);
      const find = (word: string): Placed | undefined => {
        if (own.has(word)) return { at: [...at, key, word], value: own.get(word) };
        if (shared?.has(word) !== true) return undefined;
        return { at: [...(defaults?.at ?? []), word], value: shared.get(word) };
      };
      const instances = instancesOf(reader, key, find('matrix'), find('foreach'));
      const plans = instances.map((instance) => ({ scope, key, instance, find }));
      const isCall = own.has('workflow');
      if (isCall) this.#checkCall(at, key, own);
      else if (own.has('params')) {
        const message = `job '${key}': params are for a job that calls a workflow`;
        reader.report([...at, key, 'params'], 'key', message);
      }
      const before = this.#plans.length;
      for (const plan of plans) {
        if (isCall) this.#call(plan);
        else this.#plans.push(plan);
      }
      scope.groups.set(key, { names: this.#plans.slice(before).map(nameOf), isCall });
      if (this.#plans.length > MAX_JOBS) {
        reader.report(at, 'key', `there are more than ${MAX_JOBS} jobs`);
        return;
      }
    }
  }

  #checkCall(at: Path, key: string, own: ReadonlyMap<string, unknown>): void {
    for (const word of own.keys()) {
      if (callKeys.has(word) || !Object.hasOwn(jobKeys, word)) continue;
      const message = `job '${key}' calls a workflow and cannot have ${word}; the jobs of that workflow can`;
      this.#reader.report([...at, key, word], 'key', message);
    }
  }

  /** Plans the jobs of the workflow that a job calls. */
  #call(plan: Plan): void {
    const reader = this.#reader;
    const { scope, key, instance, find } = plan;
    const placed = find('workflow');
    if (placed === undefined) return;
    const variables = new Map([...scope.around, ...instance.variables]);
    const fill: Filling = (text) => expand(text, valueIn(variables), MAX_TEXT_CHARS, scope.prefix);
    const name = reader.text(placed, (text) => text);
    const known = reader.entries(['workflows'], this.#top.get('workflows'));
    const report = (message: string) =>
      reader.report(placed.at, 'value', `job '${key.slice(0, MAX_NAME_CHARS)}' ${message}`);
    if (!known.has(name)) {
      const there = [...known.keys()];
      const none = there.length === 0 ? '; name it below workflows' : '';
      report(`calls a workflow that is not there: '${name}'${hintAmong(name, there)}${none}`);
      return;
    }
    const calls = [...scope.calls, name];
    if (scope.calls.includes(name) || calls.length > MAX_CALLS_DEEP) {
      report(`closes a circle of workflows that call each other: ${calls.join(' -> ')}`);
      return;
    }
    const params = find('params');
    const paramsAt = params?.at ?? placed.at;
    const values = [...reader.entries(paramsAt, params?.value)].map(
      ([word, value]) => [word, reader.text({ at: [...paramsAt, word], value }, fill)] as const,
    );
    const at = ['workflows', name];
    const map = reader.map(at, known.get(name), workflowKeys);
    const called = this.#scope(at, map, { values: new Map(values), at: paramsAt }, calls, plan);
    const { group } = called.options.concurrency ?? {};
    if (group !== undefined && scope.concurrency.includes(group)) {
      report(
        `calls a workflow of the concurrency group '${group.slice(0, 64)}', which its own run belongs to: it would wait for itself`,
      );
    }
    this.#planScope(called);
  }

  #checkName(at: Path, key: string): void {
    const problem = key === 'expression' ? 'is a word of requires' : checkName(key);
    if (problem === undefined) return;
    this.#reader.report(at, 'key', `the job name ${JSON.stringify(key.slice(0, 64))} ${problem}`);
  }

  #checkTwice(): void {
    for (const plan of this.#plans) {
      const { scope, key } = plan;
      const name = nameOf(plan);
      const place = [...scope.at, 'jobs', key];
      const problem = scope.caller === undefined ? undefined : checkName(name);
      if (problem !== undefined) {
        this.#reader.report(place, 'key', `job '${key}': its name ${name} ${problem}`);
      }
      const other = this.#instances.get(name);
      this.#instances.set(name, key);
      if (other === undefined) continue;
      const message = `job '${key}' becomes ${name}, and so does job '${other}'; rename one of them`;
      this.#reader.report(place, 'key', message);
    }
  }
}

/** The name of a job as everybody sees it. */
export function nameOf({ scope, instance }: Plan): string {
  return scope.prefix + instance.name;
}
