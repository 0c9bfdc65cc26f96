// What a command is, and how its words and flags are read. Commands are data: the parser, the help
// and the completion all read the same table.

import { JobletError, messageOf } from '../shared/errors.ts';
import { nearest } from '../shared/nearest.ts';
import { parseBandwidth, parseBytes, parseDuration } from '../shared/units.ts';
import type { Session } from './session.ts';

export interface Flag {
  /**
   * A switch takes no value; `bytes` is a size, `ms` a duration, `bandwidth` bytes a second, `list` a text many times, `signed` an
   * integer that may be below 0.
   */
  readonly kind: 'switch' | 'text' | 'list' | 'integer' | 'signed' | 'bytes' | 'ms' | 'bandwidth';
  /** One letter, for `-e`. */
  readonly short?: string;
  /** What the value is called in the help. */
  readonly value?: string;
  /** Its values, when they are few: for the completion of shells. */
  readonly choices?: readonly string[];
  /** What the flag means without a value, which it has none of at the end of the line and before another flag. */
  readonly bare?: string;
  /** A switch that is on unless `--flag=false`. */
  readonly on?: true;
  /** One line for the help; without it the flag works but is not shown. */
  readonly help?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

type ValueOf<F extends Flag> = F['kind'] extends 'switch'
  ? boolean
  : F['kind'] extends 'list'
    ? readonly string[]
    : F['kind'] extends 'text'
      ? string | undefined
      : number | undefined;

/** The flags of a command line; lists and switches are always there. */
export type Values<F extends Flags> = { readonly [K in keyof F]: ValueOf<F[K]> };

export interface Command<F extends Flags = Flags> {
  /** The command line in short: `rnx job stop [flags] JOB`. */
  readonly usage: string;
  /** One sentence. */
  readonly summary: string;
  /** What a newcomer has to know beyond the flags, as lines. */
  readonly notes?: readonly string[];
  readonly examples: readonly string[];
  readonly flags: F;
  /** How many words it takes, at least and at most. */
  readonly words: readonly [least: number, most: number];
  /** These words, when they are few: for the completion of shells. */
  readonly choices?: readonly string[];
  /** What to say when words are missing. */
  readonly missing?: string;
  /** The first word and all that follows belong together and are not looked at. */
  readonly rest?: true;
  /** The exit code when rnx itself fails, instead of 1. */
  readonly failureCode?: (values: Values<F>) => number;
  /** Does the work; resolves to the exit code. */
  readonly run: (values: Values<F>, words: readonly string[], session: Session) => Promise<number>;
}

/** Keeps a command's flag types together with its function. */
export function command<const F extends Flags>(definition: Command<F>): Command {
  return definition as unknown as Command;
}

/** Flags that every command takes, before and after its name. */
export const globalFlags = {
  config: { kind: 'text', value: 'PATH', help: 'nodes file (rnx-config.yml)' },
  node: { kind: 'text', value: 'NAME', help: 'node of that file to talk to' },
  json: { kind: 'switch', help: 'JSON instead of text, for errors too' },
  help: { kind: 'switch', short: 'h', help: 'this help' },
  // The first generation chose its daemon by these; see client/nodes-file.ts.
  server: { kind: 'text', value: 'HOST:PORT' },
  cert: { kind: 'text', value: 'PATH' },
  key: { kind: 'text', value: 'PATH' },
  ca: { kind: 'text', value: 'PATH' },
} as const satisfies Flags;

export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  readonly words: readonly string[];
  /** What is wrong with the command line; the values are as far as they go. */
  readonly problem?: JobletError;
}

/** Where the reading of flags stops: never, or at the first word, which begins somebody else's line. */
export type Until = 'end' | 'first-word';

/** Reads flags and words. */
export function parseArgv(argv: readonly string[], flags: Flags, until: Until): Parsed {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.kind === 'switch') values[name] = flag.on === true;
    else values[name] = flag.kind === 'list' ? [] : undefined;
  }
  const words: string[] = [];
  const rest = [...argv];
  try {
    for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
      if (token === '--') {
        words.push(...rest);
        break;
      }
      if (!isFlag(token)) {
        words.push(token);
        if (until === 'end') continue;
        words.push(...rest);
        break;
      }
      takeFlag(token, rest, flags, values);
    }
  } catch (error) {
    if (!(error instanceof JobletError)) throw error;
    if (asksForJson(rest, flags)) values['json'] = true;
    return { values, words, problem: error };
  }
  return { values, words };
}

/** Whether what could not be read any more asks for JSON, in which the error is to be told then. */
function asksForJson(rest: readonly string[], flags: Flags): boolean {
  const end = rest.indexOf('--');
  return (
    flags['json'] !== undefined && rest.slice(0, end < 0 ? rest.length : end).includes('--json')
  );
}

function isFlag(token: string): boolean {
  return token.startsWith('-') && token !== '-';
}

function takeFlag(
  token: string,
  rest: string[],
  flags: Flags,
  values: Record<string, unknown>,
): void {
  const [spelled = '', ...after] = token.split('=');
  const given = after.length > 0 ? after.join('=') : undefined;
  const name = nameOf(spelled, flags);
  const flag = name === undefined ? undefined : flags[name];
  if (name === undefined || flag === undefined) {
    throw unknownFlag(spelled, flags);
  }
  if (flag.kind === 'switch') {
    values[name] = switchValue(spelled, given);
    return;
  }
  const text = given ?? bareValue(flag, rest) ?? rest.shift();
  if (text === undefined) {
    throw new JobletError('invalid', `${spelled} needs a value: ${spelled}=${flag.value}`);
  }
  // Mostly a variable of a script that is not set: to go on as if nothing were asked for would be a guess.
  if (text === '' && flag.bare === undefined) {
    const way = `give ${spelled}=${flag.value}, or leave it out`;
    throw new JobletError('invalid', `${spelled} is empty: ${way}`);
  }
  if (flag.kind === 'list') (values[name] as string[]).push(text);
  else values[name] = readValue(flag.kind, spelled, text);
}

function bareValue({ bare }: Flag, [next]: readonly string[]): string | undefined {
  return next === undefined || isFlag(next) ? bare : undefined;
}

function unknownFlag(spelled: string, flags: Flags): JobletError {
  const shown = Object.keys(flags).filter((name) => flags[name]?.help !== undefined);
  const guess = spelled.startsWith('--') ? meant(spelled.slice(2), shown) : undefined;
  return new JobletError(
    'invalid',
    `unknown flag: ${spelled}; ${guess === undefined ? '' : `did you mean --${guess}? `}` +
      '--help lists the flags, and -- ends them before a word that begins with a dash',
  );
}

/** The flag that somebody may have meant: `memory` is `max-memory` elsewhere. */
function meant(word: string, shown: readonly string[]): string | undefined {
  return shown.find((name) => name.endsWith(`-${word}`)) ?? nearest(word, shown);
}

function nameOf(spelled: string, flags: Flags): string | undefined {
  if (spelled.startsWith('--')) {
    const name = spelled.slice(2);
    return Object.hasOwn(flags, name) ? name : undefined;
  }
  const letter = spelled.slice(1);
  return Object.keys(flags).find((name) => flags[name]?.short === letter);
}

function switchValue(spelled: string, given: string | undefined): boolean {
  if (given === undefined || given === 'true') return true;
  if (given === 'false') return false;
  throw new JobletError('invalid', `${spelled} is on or off: ${spelled}=true or ${spelled}=false`);
}

const MAX_INTEGER = 2 ** 31 - 1;

function readValue(kind: Flag['kind'], spelled: string, text: string): string | number {
  if (kind === 'text') return text;
  if (kind === 'integer' || kind === 'signed') {
    const value = Number(text);
    const least = kind === 'signed' ? -MAX_INTEGER : 0;
    if (/^-?\d+$/.test(text) && value >= least && value <= MAX_INTEGER) return value;
    throw new JobletError(
      'invalid',
      `${spelled}: ${JSON.stringify(text)} is not a whole number from ${least} to ${MAX_INTEGER}`,
    );
  }
  try {
    if (kind === 'bandwidth') return parseBandwidth(text);
    return kind === 'ms' ? parseDuration(text) : parseBytes(text);
  } catch (error) {
    throw new JobletError('invalid', `${spelled}: ${messageOf(error)}`);
  }
}

/** What is wrong with the number of words; undefined when nothing is. */
export function wordProblem(
  definition: Command,
  words: readonly string[],
): JobletError | undefined {
  const [least, most] = definition.words;
  if (words.length < least) {
    return new JobletError(
      'invalid',
      definition.missing ?? `something is missing; usage: ${definition.usage}`,
    );
  }
  if (words.length > most) {
    return new JobletError(
      'invalid',
      `unexpected argument: ${words[most]}; usage: ${definition.usage}`,
    );
  }
  return undefined;
}
