// A workflow file: YAML text becomes a Workflow, or everything that is wrong with it is named with its
// place. The client and the daemon read it by the same code, and the daemon believes no client.

import { invalid } from './errors.ts';
import { checkName, MAX_NAME_CHARS } from './names.ts';
import { nearest } from './nearest.ts';
import { pathProblem } from './upload-path.ts';
import { type Expression, jobsOf } from './workflow-expression.ts';
import { sortGraph } from './workflow-graph.ts';
import type { Retry, Workflow, WorkflowJob } from './workflow-job.ts';
import {
  fileKeys,
  jobKeys,
  resourceKeys,
  retryKeys,
  uploadKeys,
  workflowKeys,
} from './workflow-keys.ts';
import { type Instance, instancesOf } from './workflow-matrix.ts';
import { type Filling, type Placed, WorkflowReader } from './workflow-reader.ts';
import { readRequires, renamed } from './workflow-requires.ts';
import { expand, type Variable, type Variables } from './workflow-template.ts';
import { nameInJob } from './workflow-uploads.ts';
import { partVariables, readVariables } from './workflow-variables.ts';
import { type Path, parseYamlText, type YamlText } from './yaml-text.ts';

/** The longest file: more than ten thousand jobs. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
export const MAX_JOBS = 10_000;
const MAX_TEXT_CHARS = 128 * 1024;
const MAX_ATTEMPTS = 1000;

export interface Reading {
  /** Which of several workflows of the file; empty where there is one. */
  readonly choice?: string;
  /** Values for its parameters. */
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * Reads a workflow. `file` is what it is called in places.
 * @throws JobletError invalid with all problems, each with its `file:line:column`
 */
export function parseWorkflow(text: string, file: string, reading: Reading = {}): Workflow {
  const yaml = parse(text, file);
  const reader = new WorkflowReader(yaml);
  const top = reader.map([], yaml.root, fileKeys);
  checkVersion(reader, top.get('version'));
  const { at, map } = chosen(reader, top, reading.choice ?? '');
  const workflow = new WorkflowOf(reader, yaml, at, map, top, reading.params ?? {}).read();
  reader.finish();
  return workflow;
}

/** The names of the workflows of a file that holds several, and of the jobs of one that does not. */
export function outlineOf(
  text: string,
  file: string,
): { readonly workflows: readonly string[]; readonly jobs: readonly string[] } {
  const yaml = parse(text, file);
  const reader = new WorkflowReader(yaml);
  const top = reader.entries([], yaml.root);
  const names = (word: string) => [...reader.entries([word], top.get(word)).keys()];
  return { workflows: names('workflows'), jobs: names('jobs') };
}

function parse(text: string, file: string): YamlText {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_FILE_BYTES) {
    const message = `is ${bytes} bytes of at most ${MAX_FILE_BYTES}`;
    throw invalid([{ field: file, message }]);
  }
  return parseYamlText(text, file, 'as written');
}

function checkVersion(reader: WorkflowReader, version: unknown): void {
  if (version === undefined || (typeof version === 'string' && /^\d+(\.\d+)*$/.test(version)))
    return;
  reader.report(['version'], 'value', 'version must be a number such as "3.0"');
}

/** The part of the file that holds the workflow that is meant. */
function chosen(
  reader: WorkflowReader,
  top: ReadonlyMap<string, unknown>,
  choice: string,
): { readonly at: Path; readonly map: ReadonlyMap<string, unknown> } {
  const several = reader.entries(['workflows'], top.get('workflows'));
  if (several.size === 0) {
    if (choice !== '') {
      reader.report(
        [],
        'value',
        `there is no workflow '${choice}': the file holds one, which needs no name`,
      );
    }
    return { at: [], map: top };
  }
  if (top.has('jobs'))
    reader.report(['jobs'], 'key', 'jobs stand beside workflows; put them into one of these');
  const names = [...several.keys()];
  const name = choice === '' && names.length === 1 ? (names[0] ?? '') : choice;
  if (name === '') {
    const message = `multiple workflows found: ${names.join(', ')}. Please specify which to run with workflow-file:workflow-name`;
    reader.report(['workflows'], 'key', message);
    reader.finish();
  }
  if (!several.has(name)) {
    const message = `workflow '${name}' not found${hint(name, names)}`;
    reader.report(['workflows'], 'key', message);
    reader.finish();
  }
  const at = ['workflows', name];
  return { at, map: reader.map(at, several.get(name), workflowKeys) };
}

function hint(name: string, known: readonly string[]): string {
  // Of short names any other one is near.
  const guess = name.length > 2 ? nearest(name, known) : undefined;
  if (guess !== undefined) return `; did you mean '${guess}'?`;
  const shown = known.slice(0, 20).join(', ');
  return known.length === 0 ? '' : `; there are ${shown}${known.length > 20 ? ', ...' : ''}`;
}

/** What is known of a job before its values are read. */
interface Plan {
  readonly key: string;
  readonly instance: Instance;
  readonly find: (word: string) => Placed | undefined;
}

class WorkflowOf {
  readonly #reader: WorkflowReader;
  readonly #yaml: YamlText;
  readonly #at: Path;
  readonly #map: ReadonlyMap<string, unknown>;
  /** Keys beside `workflows` are for all of them. */
  readonly #top: ReadonlyMap<string, unknown>;
  readonly #params: Readonly<Record<string, string>>;
  /** Each job of the file with the names of those that it becomes. */
  readonly #groups = new Map<string, readonly string[]>();

  constructor(
    reader: WorkflowReader,
    yaml: YamlText,
    at: Path,
    map: ReadonlyMap<string, unknown>,
    top: ReadonlyMap<string, unknown>,
    params: Readonly<Record<string, string>>,
  ) {
    this.#reader = reader;
    this.#yaml = yaml;
    this.#at = at;
    this.#map = map;
    this.#top = top;
    this.#params = params;
  }

  read(): Workflow {
    const reader = this.#reader;
    const around = this.#aroundJobs();
    const plans = this.#plans();
    const jobs = plans.map((plan) => this.#job(plan, around));
    const { order } = this.#checkGraph(jobs);
    const own = (word: string) => this.#placed(word);
    const { name, description, max_parallel } = reader.values(workflowKeys, own, (text) => text);
    return {
      name,
      description,
      jobs,
      order,
      maxParallel: max_parallel,
      warnings: reader.warnings,
      placeOf: (at, part) => this.#yaml.placeOf(at, part),
    };
  }

  /** A key of the workflow, or the one that stands beside all workflows. */
  #placed(word: string): Placed | undefined {
    if (this.#map.has(word)) return { at: [...this.#at, word], value: this.#map.get(word) };
    return this.#top.has(word) ? { at: [word], value: this.#top.get(word) } : undefined;
  }

  #aroundJobs(): Variables {
    const params = this.#readParams();
    // First those that stand beside all workflows, then those of this one.
    const outer = this.#at.length === 0 ? params : this.#level([], this.#top, params);
    return this.#level(this.#at, this.#map, outer);
  }

  #level(at: Path, map: ReadonlyMap<string, unknown>, around: Variables): Variables {
    const level = {
      owner: 'workflow',
      environment: { at: [...at, 'environment'], value: map.get('environment') },
      secrets: { at: [...at, 'secret_environment'], value: map.get('secret_environment') },
    };
    return readVariables(this.#reader, level, around);
  }

  /** Parameters by their names, with what was given for them. They are no variables of the jobs. */
  #readParams(): Variables {
    const placed = this.#placed('params');
    const at = placed?.at ?? ['params'];
    const declared = this.#reader.entries(at, placed?.value);
    const values = new Map<string, Variable>();
    for (const [name, written] of declared) {
      const fallback = typeof written === 'string' ? written : undefined;
      if (fallback === undefined) {
        this.#reader.report(
          [...at, name],
          'value',
          `params: ${name} must be one value, its default`,
        );
      }
      values.set(name, {
        text: this.#params[name] ?? fallback ?? '',
        isSecret: false,
        isParam: true,
      });
    }
    for (const name of Object.keys(this.#params)) {
      if (declared.has(name)) continue;
      this.#reader.report(
        at,
        'key',
        `there is no parameter '${name}'${hint(name, [...declared.keys()])}`,
      );
    }
    return values;
  }

  /** The jobs that there will be, each of a matrix by itself. */
  #plans(): Plan[] {
    const reader = this.#reader;
    const at = [...this.#at, 'jobs'];
    const jobs = reader.entries(at, this.#map.get('jobs'));
    if (jobs.size === 0)
      reader.report(this.#at, 'value', 'there are no jobs: name them below jobs');
    const defaults = this.#placed('defaults');
    const shared = defaults && reader.map(defaults.at, defaults.value, jobKeys);
    const plans: Plan[] = [];
    for (const [key, value] of jobs) {
      this.#checkName([...at, key], key);
      const own = reader.map([...at, key], value, jobKeys);
      const find = (word: string): Placed | undefined => {
        if (own.has(word)) return { at: [...at, key, word], value: own.get(word) };
        if (shared?.has(word) !== true) return undefined;
        return { at: [...(defaults?.at ?? []), word], value: shared.get(word) };
      };
      const instances = instancesOf(reader, key, find('matrix'), find('foreach'));
      this.#groups.set(
        key,
        instances.map(({ name }) => name),
      );
      plans.push(...instances.map((instance) => ({ key, instance, find })));
      if (plans.length > MAX_JOBS) {
        reader.report(at, 'key', `there are more than ${MAX_JOBS} jobs`);
        break;
      }
    }
    this.#checkTwice(at, plans);
    return plans;
  }

  #checkName(at: Path, key: string): void {
    const problem = key === 'expression' ? 'is a word of requires' : checkName(key);
    if (problem === undefined) return;
    this.#reader.report(at, 'key', `the job name ${JSON.stringify(key.slice(0, 64))} ${problem}`);
  }

  #checkTwice(at: Path, plans: readonly Plan[]): void {
    const seen = new Map<string, string>();
    for (const { key, instance } of plans) {
      const other = seen.get(instance.name);
      seen.set(instance.name, key);
      if (other === undefined) continue;
      const message = `job '${key}' becomes ${instance.name}, and so does job '${other}'; rename one of them`;
      this.#reader.report([...at, key], 'key', message);
    }
  }

  #job({ key, instance, find }: Plan, around: Variables): WorkflowJob {
    const reader = this.#reader;
    const at = [...this.#at, 'jobs', key];
    const owner = `job '${key.slice(0, MAX_NAME_CHARS)}'`;
    const inside = new Map([...around, ...instance.variables]);
    const section = (word: string) => ({
      at: find(word)?.at ?? [...at, word],
      value: find(word)?.value,
    });
    const variables = readVariables(
      reader,
      { owner, environment: section('environment'), secrets: section('secret_environment') },
      inside,
    );
    const fill: Filling = (text) => expand(text, valueIn(variables), MAX_TEXT_CHARS);
    const values = reader.values(jobKeys, find, fill);
    if (values.command.trim() === '')
      reader.report(find('command')?.at ?? at, 'key', `${owner}: command is missing`);
    this.#warnOfSecrets(owner, find, variables);
    const limits = this.#limits(section('resources'), values, fill);
    return {
      name: instance.name,
      at,
      description: values.description,
      command: values.command,
      args: values.args,
      runtime: values.runtime,
      network: values.network,
      volumes: values.volumes,
      workDir: values.workdir,
      ...this.#uploads(section('uploads'), fill),
      requires: this.#requires(owner, find('requires'), values.always, at),
      ...partVariables(new Map([...variables].filter(([, { isParam }]) => isParam !== true))),
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
    };
  }

  /** Limits stand below `resources`, and in older files beside the command. */
  #limits(
    resources: Placed,
    beside: Readonly<Record<keyof typeof resourceKeys, string | number>>,
    fill: Filling,
  ) {
    const inside = this.#reader.map(resources.at, resources.value, resourceKeys);
    const find = (word: string) =>
      inside.has(word) ? { at: [...resources.at, word], value: inside.get(word) } : undefined;
    const values = this.#reader.values(resourceKeys, find, fill);
    const merged = { ...values } as Record<string, string | number>;
    for (const [word, value] of Object.entries(values)) {
      if (value === 0 || value === '') merged[word] = beside[word as keyof typeof resourceKeys];
    }
    return merged as typeof values;
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

  #requires(owner: string, placed: Placed | undefined, always: boolean, at: Path): Expression {
    const expression = readRequires(this.#reader, owner, placed, always);
    if (always && jobsOf(expression).length === 0) {
      this.#reader.report(
        [...at, 'always'],
        'key',
        `${owner}: always needs requires: which jobs does it follow?`,
      );
    }
    for (const job of jobsOf(expression)) {
      if (this.#groups.has(job)) continue;
      const message = `${owner} depends on non-existent job '${job.slice(0, 64)}'${hint(job, [...this.#groups.keys()])}`;
      this.#reader.report(placed?.at ?? at, 'value', message);
    }
    return renamed(expression, this.#groups);
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

  #checkGraph(jobs: readonly WorkflowJob[]): { readonly order: readonly string[] } {
    const graph = new Map(jobs.map((job) => [job.name, jobsOf(job.requires)]));
    const { order, circles } = sortGraph(graph);
    for (const circle of circles) {
      const first = jobs.find(({ name }) => name === circle[0]);
      const message = `circular dependency detected: ${shorten(circle).join(' -> ')}`;
      this.#reader.report(first?.at ?? this.#at, 'key', message);
    }
    return { order };
  }
}

/** The value that a name stands for in a text that is shown: a secret stays its name. */
function valueIn(variables: Variables): (name: string) => string | undefined | null {
  return (name) => {
    const variable = variables.get(name);
    return variable?.isSecret === true ? null : variable?.text;
  };
}

const SHOWN_OF_CIRCLE = 20;

function shorten(circle: readonly string[]): readonly string[] {
  if (circle.length <= SHOWN_OF_CIRCLE) return circle;
  const left = circle.length - SHOWN_OF_CIRCLE;
  return [...circle.slice(0, SHOWN_OF_CIRCLE - 1), `... ${left} more ...`, circle.at(-1) ?? ''];
}
