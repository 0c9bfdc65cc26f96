// Parameters of a workflow: values that are given when it is started.
//
//   params:
//     suite: unit                                     its default
//     region: {enum: [eu, us], required: true}
//     workers: {type: integer, default: 4}

import { hintAmong } from './nearest.ts';
import { paramKeys } from './workflow-keys.ts';
import { hasMark } from './workflow-outputs.ts';
import type { Placed, WorkflowReader } from './workflow-reader.ts';
import type { Variable, Variables } from './workflow-template.ts';
import type { Path } from './yaml-text.ts';

/** What values of a type look like. */
const types = {
  string: /^[\s\S]*$/,
  integer: /^[+-]?\d{1,18}$/,
  number: /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i,
  boolean: /^(true|false)$/,
} as const;

export const paramTypes = Object.keys(types);

const MAX_VALUE_CHARS = 32_768;

/** Values that are given for parameters. */
export interface Given {
  readonly values: ReadonlyMap<string, string>;
  /** Where they stand, when that is in the file; there they may be outputs of other jobs. */
  readonly at?: Path;
}

/** Parameters by their names, with what was given for them. They are no variables of the jobs. */
export function readParams(reader: WorkflowReader, { at, value }: Placed, given: Given): Variables {
  const declared = reader.entries(at, value);
  const values = new Map<string, Variable>();
  for (const [name, written] of declared) {
    const text = paramValue(reader, { at: [...at, name], value: written }, name, given);
    values.set(name, { text, isSecret: false, isParam: true });
  }
  for (const name of given.values.keys()) {
    if (declared.has(name)) continue;
    const hint = hintAmong(name, [...declared.keys()]);
    const place = given.at === undefined ? at : [...given.at, name];
    reader.report(place, 'key', `there is no parameter '${name.slice(0, 64)}'${hint}`);
  }
  return values;
}

/** The value of one parameter: what was given for it, or its default. */
function paramValue(
  reader: WorkflowReader,
  { at, value }: Placed,
  name: string,
  { values: all, at: givenAt }: Given,
): string {
  if (Array.isArray(value)) {
    reader.report(
      at,
      'value',
      `params: ${name} must be its default, or a map of type, default, ...`,
    );
    return '';
  }
  // A text alone is its default.
  const whole = typeof value === 'string' ? { default: value } : value;
  const map = reader.map(at, whole, paramKeys);
  const find = (word: string) =>
    map.has(word)
      ? { at: typeof value === 'string' ? at : [...at, word], value: map.get(word) }
      : undefined;
  const declared = reader.values(paramKeys, find, (text) => text);
  const type = declared.type || 'string';
  if (!isType(type)) {
    const message = `params: ${name}: there is no type '${type.slice(0, 64)}'${hintAmong(type, paramTypes)}`;
    reader.report([...at, 'type'], 'value', message);
    return '';
  }
  const problem = (text: string) => problemOf(text, type, declared.enum);
  const isRequired = map.has('required') ? declared.required : !map.has('default');
  if (isRequired && map.has('default')) {
    const message = `params: ${name} is required and has a default; it can be but one of them`;
    reader.report([...at, 'required'], 'key', message);
  }
  const wrong = map.has('default') ? problem(declared.default) : undefined;
  if (wrong !== undefined) {
    reader.report(find('default')?.at ?? at, 'value', `params: the default of ${name} ${wrong}`);
  }
  const given = all.get(name);
  if (given === undefined) {
    if (isRequired) {
      const way = givenAt === undefined ? `: --param ${name}=VALUE` : ' by the job that calls it';
      reader.report(givenAt ?? at, 'key', `params: ${name} has to be given${way}`);
    }
    return declared.default;
  }
  const refused =
    givenAt !== undefined && hasMark(given) ? outputProblem(type, declared.enum) : problem(given);
  if (refused === undefined) return given;
  const place = givenAt === undefined ? at : [...givenAt, name];
  reader.report(place, 'key', `params: the value that was given for ${name} ${refused}`);
  return '';
}

/** What an output is cannot be known before it is there. */
function outputProblem(type: keyof typeof types, among: readonly string[]): string | undefined {
  if (type === 'string' && among.length === 0) return undefined;
  return 'is the output of a job; only a string without enum may be that';
}

function isType(word: string): word is keyof typeof types {
  return Object.hasOwn(types, word);
}

function problemOf(
  text: string,
  type: keyof typeof types,
  among: readonly string[],
): string | undefined {
  if (text.length > MAX_VALUE_CHARS) return `has more than ${MAX_VALUE_CHARS} characters`;
  // A NUL would be taken for a mark of an output.
  if (hasMark(text)) return 'holds a NUL character';
  const shown = JSON.stringify(text.slice(0, 64));
  if (!types[type].test(text)) return `is no ${type}: ${shown}`;
  if (among.length === 0 || among.includes(text)) return undefined;
  return `is ${shown}${hintAmong(text, among)}`;
}
