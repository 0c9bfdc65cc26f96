// The variables of a workflow and of its jobs: each level lies over the one around it.

import { hasMark } from './workflow-outputs.ts';
import type { WorkflowReader } from './workflow-reader.ts';
import { isSecretName, resolve, type Variable, type Variables } from './workflow-template.ts';
import type { Path } from './yaml-text.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const VALUE_BYTES = 32_768;
const VARIABLES = 1024;

/** Names that the sandbox or a shell gives a meaning to: they may be set, and a warning says so. */
const RESERVED = new Set(
  (
    'PATH HOME USER SHELL TERM PWD OLDPWD HOSTNAME LANG LC_ALL JOBLET_JOB_ID JOBLET_WORKFLOW_ID ' +
    'JOBLET_RUNTIME JOBLET_VOLUME_PATH'
  ).split(' '),
);

/** The two maps of one level. */
export interface Level {
  /** Of what they are: `job 'x'` or `workflow`. */
  readonly owner: string;
  readonly environment: { readonly at: Path; readonly value: unknown };
  readonly secrets: { readonly at: Path; readonly value: unknown };
  /** What stands before the names of jobs that its texts know. */
  readonly prefix: string;
}

/** The variables of a level, laid over those around it. */
export function readVariables(reader: WorkflowReader, level: Level, around: Variables): Variables {
  const own = new Map<string, Variable>();
  const places = new Map<string, Path>();
  const inBoth: string[] = [];
  for (const [{ at, value }, isSecret] of [
    [level.environment, false],
    [level.secrets, true],
  ] as const) {
    const entries = reader.entries(at, value);
    if (entries.size > VARIABLES) {
      reader.report(
        at,
        'value',
        `${level.owner}: has ${entries.size} variables of at most ${VARIABLES}`,
      );
      continue;
    }
    for (const [name, text] of entries) {
      const place = [...at, name];
      if (own.has(name)) inBoth.push(name);
      checkName(reader, level.owner, place, name);
      if (typeof text !== 'string') {
        reader.report(
          place,
          'value',
          `${level.owner}: environment - ${shown(name)} must be one value`,
        );
        continue;
      }
      if (hasMark(text)) {
        reader.report(
          place,
          'value',
          `${level.owner}: environment - ${shown(name)} holds a NUL character`,
        );
        continue;
      }
      own.set(name, { text, isSecret: isSecret || isSecretName(name) });
      places.set(name, place);
    }
  }
  if (inBoth.length > 0) {
    const message = `${level.owner}: environment variable conflicts detected: ${inBoth.join(', ')} in environment and in secret_environment; say which is meant`;
    reader.report(level.secrets.at, 'key', message);
  }
  if (own.size === 0) return around;
  const { variables, circles, tooLong } = resolve(own, around, VALUE_BYTES, level.prefix);
  for (const circle of circles) {
    const place = places.get(circle[0] ?? '') ?? level.environment.at;
    reader.report(
      place,
      'value',
      `${level.owner}: environment - ${circle.join(' -> ')} refer to each other in a circle`,
    );
  }
  for (const name of new Set(tooLong)) report(name);
  for (const [name] of own) {
    if (Buffer.byteLength(variables.get(name)?.text ?? '') > VALUE_BYTES) report(name);
  }
  return variables;

  function report(name: string): void {
    const message = `${level.owner}: environment - the value of ${shown(name)} has more than ${VALUE_BYTES} bytes`;
    reader.report(places.get(name) ?? level.environment.at, 'value', message);
  }
}

function checkName(reader: WorkflowReader, owner: string, at: Path, name: string): void {
  if (!NAME.test(name)) {
    const message = `${owner}: environment - invalid environment variable name '${name.slice(0, 64)}': use letters, digits and _, and no digit first`;
    reader.report(at, 'key', message);
  } else if (RESERVED.has(name)) {
    reader.warn(at, 'key', `${owner}: environment - ${name} has a meaning of its own in a job`);
  }
}

function shown(name: string): string {
  return `'${name.slice(0, 64)}'`;
}

/** The value that a name stands for in a text that is shown: a secret stays its name. */
export function valueIn(variables: Variables): (name: string) => string | undefined | null {
  return (name) => {
    const variable = variables.get(name);
    return variable?.isSecret === true ? null : variable?.text;
  };
}

/** The same in the two maps that a job is given. */
export function partVariables(variables: Variables): {
  readonly environment: Readonly<Record<string, string>>;
  readonly secretEnvironment: Readonly<Record<string, string>>;
} {
  const pick = (secret: boolean) =>
    Object.fromEntries(
      [...variables].flatMap(([name, { text, isSecret }]) =>
        isSecret === secret ? [[name, text] as const] : [],
      ),
    );
  return { environment: pick(false), secretEnvironment: pick(true) };
}
