// The jobs of a workflow with their values, once the names of all of them are known.

import { MAX_NAME_CHARS } from './names.ts';
import { hintAmong } from './nearest.ts';
import { pathProblem } from './upload-path.ts';
import { outputsIn, parseCondition } from './workflow-condition.ts';
import { type Condition, type Expression, jobsOf } from './workflow-expression.ts';
import type { Retry, WorkflowJob } from './workflow-job.ts';
import { jobKeys, resourceKeys, retryKeys, uploadKeys, type ValuesOf } from './workflow-keys.ts';
import {
  formatLate,
  hasMark,
  lateTexts,
  type OutputRef,
  partsOf,
  refsOf,
} from './workflow-outputs.ts';
import { MAX_TEXT_CHARS, nameOf, type Plan } from './workflow-plans.ts';
import type { Filling, Placed, WorkflowReader } from './workflow-reader.ts';
import { noted, readRequires, renamed } from './workflow-requires.ts';
import { expand, type Variables } from './workflow-template.ts';
import { nameInJob } from './workflow-uploads.ts';
import { partVariables, readVariables, valueIn } from './workflow-variables.ts';
import type { Path } from './yaml-text.ts';

const MAX_ATTEMPTS = 1000;
const MAX_OUTPUTS = 100;
const OUTPUT_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** When a job may start. */
interface Start {
  readonly requires: Expression;
  readonly condition: Condition | undefined;
}

export class JobReader {
  readonly #reader: WorkflowReader;
  /** What jobs that call workflows wait for, once it has been read. */
  readonly #callers = new Map<Plan, Start>();

  constructor(reader: WorkflowReader) {
    this.#reader = reader;
  }

  job(plan: Plan): WorkflowJob {
    const reader = this.#reader;
    const { scope, find } = plan;
    const { at, owner } = placeOf(plan);
    const section = (word: string) => ({
      at: find(word)?.at ?? [...at, word],
      value: find(word)?.value,
    });
    const level = {
      owner,
      environment: section('environment'),
      secrets: section('secret_environment'),
      prefix: scope.prefix,
    };
    const variables = readVariables(reader, level, insideOf(plan));
    let isMarked = false;
    const fill: Filling = (text) => {
      const filled = expand(text, valueIn(variables), MAX_TEXT_CHARS, scope.prefix);
      isMarked ||= filled !== undefined && hasMark(filled);
      return filled;
    };
    const values = reader.values(jobKeys, find, fill);
    if (values.command.trim() === '')
      reader.report(find('command')?.at ?? at, 'key', `${owner}: command is missing`);
    if (isMarked) this.#checkMarks(owner, find, at, values);
    this.#warnOfSecrets(owner, find, variables);
    const limits = this.#limits(section('resources'), values, fill);
    const own = new Map([...variables].filter(([, { isParam }]) => isParam !== true));
    const late = lateTexts(values.args, own);
    const { requires, condition } = this.#start(plan, variables);
    return {
      name: nameOf(plan),
      at,
      description: values.description,
      command: values.command,
      args: late === undefined ? values.args : values.args.map(formatMarks),
      runtime: values.runtime,
      network: values.network,
      volumes: values.volumes,
      workDir: values.workdir,
      ...this.#uploads(section('uploads'), fill),
      requires,
      ...(condition && { condition }),
      outputs: this.#outputs(owner, find('outputs'), values.outputs),
      ...(late && { late }),
      ...partVariables(late === undefined ? own : withoutMarks(own)),
      maxCpu: limits.max_cpu,
      maxMemoryMb: limits.max_memory,
      maxIoBps: limits.max_io_bps || limits.max_iobps,
      maxProcesses: limits.max_processes,
      cpuCores: limits.cpu_cores,
      gpuCount: limits.gpu_count,
      gpuMemoryMb: limits.gpu_memory_mb,
      timeoutMs: values.timeout,
      schedule: values.schedule,
      retry: this.#retry(find('retry')),
      ...(scope.call !== undefined && { call: scope.call }),
    };
  }

  /** Notes outputs that jobs ask for and that will not be there. */
  checkOutputs(jobs: readonly WorkflowJob[]): void {
    const byName = new Map(jobs.map((job) => [job.name, job]));
    for (const job of jobs) {
      const refs = refsIn(job);
      if (refs.length === 0) continue;
      const required = new Set(jobsOf(job.requires));
      for (const { job: of, name } of refs) {
        const problem = outputProblem(job, byName.get(of), of, name, required, byName);
        if (problem !== undefined) this.#reader.report(job.at, 'key', problem);
      }
    }
  }

  /** When a job may start: when those that call its workflow may, and when its own time has come. */
  #start(plan: Plan, variables: Variables): Start {
    const { caller } = plan.scope;
    const own = this.#ownStart(plan, variables);
    if (caller === undefined) return own;
    let around = this.#callers.get(caller);
    if (around === undefined) {
      around = this.#start(caller, insideOf(caller));
      this.#callers.set(caller, around);
    }
    const requires = { kind: 'all', of: [around.requires, own.requires] } as const;
    const conditions = [around.condition, own.condition].filter((one) => one !== undefined);
    const [first, second] = conditions;
    return { requires, condition: second ? { kind: 'all', of: conditions } : first };
  }

  #ownStart(plan: Plan, variables: Variables): Start {
    const { scope, find } = plan;
    const { at, owner } = placeOf(plan);
    const placed = find('requires');
    const always = this.#reader.values({ always: jobKeys.always }, find, (text) => text).always;
    const check = (job: string, place: Path) => {
      if (scope.groups.has(job)) return;
      const message = `${owner} depends on non-existent job '${job.slice(0, 64)}'${hintAmong(job, [...scope.groups.keys()])}`;
      this.#reader.report(place, 'value', message);
    };
    const expression = readRequires(this.#reader, owner, placed, always, check);
    if (always && jobsOf(expression).length === 0) {
      const message = `${owner}: always needs requires: which jobs does it follow?`;
      this.#reader.report([...at, 'always'], 'key', message);
    }
    return {
      requires: renamed(expression, scope.groups),
      condition: this.#condition(plan, new Set(jobsOf(expression)), variables),
    };
  }

  #condition(
    plan: Plan,
    required: ReadonlySet<string>,
    variables: Variables,
  ): Condition | undefined {
    const { scope, find } = plan;
    const { owner } = placeOf(plan);
    const placed = find('if');
    if (placed === undefined || placed.value === '') return undefined;
    const report = (message: string) =>
      this.#reader.report(placed.at, 'value', `${owner}: if - ${message}`);
    const text = this.#reader.text(placed, (written) => written);
    const fill = (written: string) => {
      const unknown = new Set<string>();
      const find = (name: string) => {
        const variable = variables.get(name);
        if (variable === undefined) unknown.add(name);
        if (variable?.isSecret === true) report(`${name} is a secret and cannot be asked for`);
        return variable?.text;
      };
      const filled = expand(written, find, MAX_TEXT_CHARS, scope.prefix) ?? '';
      for (const name of unknown) {
        if (written.includes(`\${${name}:-`)) continue;
        report(`nobody knows '${name}'${hintAmong(name, [...variables.keys()])}`);
      }
      return filled;
    };
    const condition = noted(this.#reader, `${owner}: if`, placed.at, (note) =>
      parseCondition(text, fill, note),
    );
    if (condition === undefined) return undefined;
    for (const job of jobsOf(condition)) {
      if (required.has(job)) continue;
      report(
        `'${job.slice(0, 64)}' is none of the jobs that it requires${hintAmong(job, [...required])}`,
      );
    }
    return renamed(condition, scope.groups);
  }

  #outputs(owner: string, placed: Placed | undefined, names: readonly string[]): readonly string[] {
    const report = (index: number, message: string) =>
      this.#reader.report(
        [...(placed?.at ?? []), index],
        'value',
        `${owner}: outputs - ${message}`,
      );
    if (names.length > MAX_OUTPUTS) report(MAX_OUTPUTS, `there are more than ${MAX_OUTPUTS}`);
    for (const [index, name] of names.entries()) {
      const shown = JSON.stringify(name.slice(0, 64));
      if (!OUTPUT_NAME.test(name)) {
        report(
          index,
          `${shown} is no name: use up to 64 letters, digits and _, and no digit first`,
        );
      } else if (names.indexOf(name) < index) report(index, `${shown} stands there twice`);
    }
    return names;
  }

  /** Outputs have their places: elsewhere what they are would be known too late. */
  #checkMarks(
    owner: string,
    find: Plan['find'],
    at: Path,
    values: Readonly<Record<string, unknown>>,
  ): void {
    for (const [word, value] of Object.entries(values)) {
      const texts = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
      if (word === 'args' || !texts.some(hasMark)) continue;
      const message = `${owner}: ${word} cannot hold outputs of jobs; args, environment and if can`;
      this.#reader.report(find(word)?.at ?? at, 'value', message);
    }
  }

  /** Limits stand below `resources`, and in older files beside the command. */
  #limits(
    resources: Placed,
    beside: ValuesOf<typeof resourceKeys>,
    fill: Filling,
  ): ValuesOf<typeof resourceKeys> {
    if (resources.value === undefined) return beside;
    const inside = this.#reader.map(resources.at, resources.value, resourceKeys);
    const find = (word: string) =>
      inside.has(word) ? { at: [...resources.at, word], value: inside.get(word) } : undefined;
    const values = this.#reader.values(resourceKeys, find, fill);
    const merged = { ...values } as Record<string, string | number>;
    for (const [word, value] of Object.entries(values)) {
      if (value === 0 || value === '') merged[word] = beside[word as keyof typeof resourceKeys];
    }
    return merged as ValuesOf<typeof resourceKeys>;
  }

  #uploads(uploads: Placed, fill: Filling): Pick<WorkflowJob, 'files' | 'directories'> {
    const inside = this.#reader.map(uploads.at, uploads.value, uploadKeys);
    const find = (word: string) =>
      inside.has(word) ? { at: [...uploads.at, word], value: inside.get(word) } : undefined;
    const values = this.#reader.values(uploadKeys, find, fill);
    for (const word of ['files', 'directories'] as const) {
      for (const [index, written] of values[word].entries()) {
        const name = nameInJob(written);
        const problem = word === 'directories' && name === '' ? undefined : pathProblem(name);
        if (problem === undefined) continue;
        const message = `uploads: ${JSON.stringify(written.slice(0, 64))} ${problem}`;
        this.#reader.report([...uploads.at, word, index], 'value', message);
      }
    }
    return values;
  }

  #retry(placed: Placed | undefined): Retry {
    const once = { attempts: 1, backoffMs: 0, exitCodes: [] };
    if (placed === undefined) return once;
    const { at } = placed;
    // `retry: 3` is short for its attempts.
    const whole = typeof placed.value === 'string' ? { attempts: placed.value } : placed.value;
    const inside = this.#reader.map(at, whole, retryKeys);
    const find = (word: string) =>
      inside.has(word)
        ? { at: typeof placed.value === 'string' ? at : [...at, word], value: inside.get(word) }
        : undefined;
    const { attempts, backoff, exit_codes } = this.#reader.values(retryKeys, find, (text) => text);
    if (attempts > MAX_ATTEMPTS) {
      this.#reader.report(at, 'value', `retry: attempts are at most ${MAX_ATTEMPTS}`);
    }
    const exitCodes = exit_codes.map(Number);
    if (exitCodes.some((code) => !Number.isInteger(code) || code < 1 || code > 255)) {
      this.#reader.report(at, 'value', 'retry: exit_codes are whole numbers from 1 to 255');
    }
    return { attempts: attempts || 1, backoffMs: backoff, exitCodes };
  }

  /** Arguments are shown to everybody, so secrets are not put into them. */
  #warnOfSecrets(owner: string, find: Plan['find'], variables: Variables): void {
    const placed = find('args');
    if (placed === undefined || !Array.isArray(placed.value)) return;
    for (const [name, { isSecret }] of variables) {
      if (!isSecret) continue;
      const index = placed.value.findIndex(
        (arg) => typeof arg === 'string' && arg.includes(`\${${name}`),
      );
      if (index === -1) continue;
      const message = `${owner}: args[${index}] names the secret ${name}, which is not put in, as arguments are shown; a shell in the job finds it in its environment`;
      this.#reader.warn([...placed.at, index], 'value', message);
    }
  }
}

function placeOf({ scope, key }: Plan): { readonly at: Path; readonly owner: string } {
  return { at: [...scope.at, 'jobs', key], owner: `job '${key.slice(0, MAX_NAME_CHARS)}'` };
}

/** What the texts of a job may refer to besides its own variables. */
function insideOf({ scope, instance }: Plan): Variables {
  return instance.variables.size === 0
    ? scope.around
    : new Map([...scope.around, ...instance.variables]);
}

function formatMarks(text: string): string {
  return formatLate(partsOf(text));
}

function withoutMarks(variables: Variables): Variables {
  return new Map(
    [...variables].map(([name, one]) => [name, { ...one, text: formatMarks(one.text) }]),
  );
}

/** The outputs that a job asks for. */
function refsIn({ late, condition }: WorkflowJob): OutputRef[] {
  const texts = [...Object.values(late?.args ?? {}), ...Object.values(late?.environment ?? {})];
  return [...texts.flatMap(refsOf), ...(condition === undefined ? [] : outputsIn(condition))];
}

function outputProblem(
  { name: asking }: WorkflowJob,
  said: WorkflowJob | undefined,
  of: string,
  name: string,
  required: ReadonlySet<string>,
  all: ReadonlyMap<string, unknown>,
): string | undefined {
  const words = `job '${asking}' asks for the output ${name} of`;
  if (said === undefined) {
    return `${words} a non-existent job '${of.slice(0, 64)}'${hintAmong(of, [...all.keys()])}`;
  }
  if (!said.outputs.includes(name)) {
    const hint = said.outputs.length === 0 ? ', which has none' : hintAmong(name, said.outputs);
    return `${words} job '${of}', which does not declare it${hint}`.replace('it, which', 'it: it');
  }
  return required.has(of) ? undefined : `${words} job '${of}', and does not require that job`;
}
