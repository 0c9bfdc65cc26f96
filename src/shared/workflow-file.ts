// A workflow file: YAML text becomes a Workflow, or everything that is wrong with it is named with its
// place. The client and the daemon read it by the same code, and the daemon believes no client.

import { invalid } from './errors.ts';
import { hintAmong } from './nearest.ts';
import { jobsOf } from './workflow-expression.ts';
import { sortGraph } from './workflow-graph.ts';
import type { Workflow, WorkflowJob } from './workflow-job.ts';
import { JobReader } from './workflow-job-reader.ts';
import { fileKeys, workflowKeys } from './workflow-keys.ts';
import { Plans } from './workflow-plans.ts';
import { type Placed, WorkflowReader } from './workflow-reader.ts';
import { type Path, parseYamlText, type YamlText } from './yaml-text.ts';

/** The longest file: more than ten thousand jobs. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;

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
  const workflow = new WorkflowOf(reader, yaml, at, map, top, reading).read();
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
    const message = `workflow '${name}' not found${hintAmong(name, names)}`;
    reader.report(['workflows'], 'key', message);
    reader.finish();
  }
  const at = ['workflows', name];
  return { at, map: reader.map(at, several.get(name), workflowKeys) };
}

class WorkflowOf {
  readonly #reader: WorkflowReader;
  readonly #yaml: YamlText;
  readonly #at: Path;
  readonly #map: ReadonlyMap<string, unknown>;
  /** Keys beside `workflows` are for all of them. */
  readonly #top: ReadonlyMap<string, unknown>;
  readonly #reading: Reading;

  constructor(
    reader: WorkflowReader,
    yaml: YamlText,
    at: Path,
    map: ReadonlyMap<string, unknown>,
    top: ReadonlyMap<string, unknown>,
    reading: Reading,
  ) {
    this.#reader = reader;
    this.#yaml = yaml;
    this.#at = at;
    this.#map = map;
    this.#top = top;
    this.#reading = reading;
  }

  read(): Workflow {
    const reader = this.#reader;
    const values = new Map(Object.entries(this.#reading.params ?? {}));
    const { plans, options, calls } = new Plans(reader, this.#top).all(this.#at, this.#map, {
      values,
    });
    const jobReader = new JobReader(reader);
    const jobs = plans.map((plan) => jobReader.job(plan));
    jobReader.checkOutputs(jobs);
    const { order } = this.#checkGraph(jobs);
    const { name, description } = this.#titles();
    return {
      name,
      description,
      jobs,
      order,
      ...options,
      calls,
      warnings: reader.warnings,
      placeOf: (at, part) => this.#yaml.placeOf(at, part),
    };
  }

  /** What it is called: by itself, or as all workflows of the file are. */
  #titles() {
    const { name, description } = workflowKeys;
    const own = (word: string): Placed | undefined => {
      if (this.#map.has(word)) return { at: [...this.#at, word], value: this.#map.get(word) };
      return this.#top.has(word) ? { at: [word], value: this.#top.get(word) } : undefined;
    };
    return this.#reader.values({ name, description }, own, (text) => text);
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

const SHOWN_OF_CIRCLE = 20;

function shorten(circle: readonly string[]): readonly string[] {
  if (circle.length <= SHOWN_OF_CIRCLE) return circle;
  const left = circle.length - SHOWN_OF_CIRCLE;
  return [...circle.slice(0, SHOWN_OF_CIRCLE - 1), `... ${left} more ...`, circle.at(-1) ?? ''];
}
