// `${NAME}` and `${NAME:-default}` in the texts of a workflow. A text is gone through once: what is
// put in is not looked at again, so that a value never becomes more than a value. Names that nobody
// knows stay as they are, for a shell in the job; `$${NAME}` stays `${NAME}` whatever is known.
// `${outputs.JOB.NAME}` has its value only when that job is over: a mark stands for it until then.

import { markOf } from './workflow-outputs.ts';

const REFERENCE =
  /\$\$\{|\$\{(?:outputs\.([A-Za-z0-9_][A-Za-z0-9_.-]*)\.)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/**
 * The text with values in the places of names; undefined when it would be longer than `maxChars`.
 * `find` answers a value, undefined for a name that nobody knows, or null for one that has to stay.
 * `prefix` stands before the names of jobs whose outputs are asked for.
 */
export function expand(
  text: string,
  find: (name: string) => string | undefined | null,
  maxChars: number,
  prefix = '',
): string | undefined {
  let result = '';
  let done = 0;
  for (const { 0: whole, 1: job, 2: name, 3: fallback, index } of text.matchAll(REFERENCE)) {
    const put =
      name === undefined
        ? '${'
        : job === undefined
          ? chosenText(whole, find(name), fallback)
          : markOf({ job: prefix + job, name, fallback });
    result += text.slice(done, index) + put;
    done = index + whole.length;
    if (result.length > maxChars) return undefined;
  }
  result += text.slice(done);
  return result.length > maxChars ? undefined : result;
}

/** What is put in for a name; as in a shell, an empty value counts as none where there is a default. */
function chosenText(
  whole: string,
  value: string | undefined | null,
  fallback: string | undefined,
): string {
  return value === null ? whole : value || (fallback ?? value ?? whole);
}

/** A variable with its value as it is written, or as it came out. */
export interface Variable {
  readonly text: string;
  /** Its value is never shown. */
  readonly isSecret: boolean;
  /** Texts may refer to it, and jobs do not find it in their environment. */
  readonly isParam?: true;
}

export type Variables = ReadonlyMap<string, Variable>;

/** Names whose values are secret, whichever map they stand in. */
const SECRET_NAME = /^SECRET_|_(?:TOKEN|KEY|PASSWORD|SECRET)$/i;

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

export interface Resolved {
  readonly variables: Map<string, Variable>;
  /** Names that refer to each other in a circle, in its order, the first one again at the end. */
  readonly circles: readonly (readonly string[])[];
  /** Names whose values came out longer than is allowed. */
  readonly tooLong: readonly string[];
}

/**
 * Variables with their values put together, laid over those around them. They may refer to each other
 * in any order; a name within its own value is the one around. What holds a secret is one.
 */
export function resolve(
  own: Variables,
  around: Variables,
  maxChars: number,
  prefix = '',
): Resolved {
  const variables = new Map(around);
  const circles: string[][] = [];
  const tooLong: string[] = [];
  const done = new Map<string, Variable>();
  const path: string[] = [];

  const settle = (name: string, written: Variable): Variable => {
    const known = done.get(name);
    if (known !== undefined) return known;
    path.push(name);
    let { isSecret } = written;
    const text = expand(
      written.text,
      (other) => {
        const found = find(name, other);
        isSecret ||= found?.isSecret === true;
        return found?.text;
      },
      maxChars,
      prefix,
    );
    path.pop();
    if (text === undefined) tooLong.push(name);
    const value = { text: text ?? '', isSecret };
    done.set(name, value);
    return value;
  };

  const find = (from: string, name: string): Variable | undefined => {
    const written = own.get(name);
    if (name === from || written === undefined) return around.get(name);
    const at = path.indexOf(name);
    if (at === -1) return settle(name, written);
    circles.push([...path.slice(at), name]);
    return undefined;
  };

  for (const [name, written] of own) variables.set(name, settle(name, written));
  return { variables, circles, tooLong };
}
