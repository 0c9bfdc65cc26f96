// From the words of a command line to the command they name, or to the help text they ask for.

import { JobletError } from '../shared/errors.ts';
import { nearest } from '../shared/nearest.ts';
import { type Command, globalFlags, type Parsed, parseArgv } from './command.ts';
import { commands, goneCommands, groups, laterCommands } from './commands.ts';

/** A command that was called. */
export interface Called {
  readonly command: Command;
  /** Global flags in front of the command's name, or between its two words. */
  readonly before: Parsed['values'];
  /** Everything behind the name. */
  readonly argv: readonly string[];
}

const rootFlags = { ...globalFlags, version: { kind: 'switch', short: 'v' } } as const;

/** The command that was called, or a text to print instead. */
export async function interpret(argv: readonly string[]): Promise<Called | string> {
  const before = parseArgv(argv, rootFlags, 'first-word');
  if (before.problem !== undefined) throw before.problem;
  if (before.values['version'] === true) return (await import('./version.ts')).ownVersion();
  const [first, ...behind] = before.words;
  if (first === undefined) return (await import('./help.ts')).rootHelp();
  if (first === 'help') return helpFor(behind);
  if (!Object.hasOwn(groups, first)) return calledBy(first, before.values, behind);
  const between = parseArgv(behind, globalFlags, 'first-word');
  if (between.problem !== undefined) throw between.problem;
  const [second, ...rest] = between.words;
  if (second === undefined) return (await import('./help.ts')).groupHelp(first);
  if (second === 'help') return helpFor([first, ...rest]);
  return calledBy(`${first} ${second}`, merge(before.values, between.values), rest);
}

async function calledBy(
  name: string,
  before: Parsed['values'],
  argv: readonly string[],
): Promise<Called> {
  return { command: await load(name), before, argv };
}

async function helpFor(words: readonly string[]): Promise<string> {
  const { commandHelp, groupHelp, rootHelp } = await import('./help.ts');
  const name = words.join(' ');
  if (name === '') return rootHelp();
  if (Object.hasOwn(groups, name)) return groupHelp(name);
  return commandHelp(await load(name));
}

function load(name: string): Promise<Command> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) throw unknownCommand(name);
  return entry.load();
}

function unknownCommand(name: string): JobletError {
  const [first = ''] = name.split(' ');
  const later = laterCommands.find((word) => word === first || word === name);
  if (later !== undefined) {
    return new JobletError(
      'unsupported',
      `\`rnx ${later}\` is not in this version; it arrives with a later one (rnx help lists what there is)`,
    );
  }
  const gone = [name, first].find((words) => Object.hasOwn(goneCommands, words));
  if (gone !== undefined) {
    return new JobletError('unsupported', `\`rnx ${gone}\` is no more: ${goneCommands[gone]}`);
  }
  const guess = nearest(name, [...Object.keys(commands), ...Object.keys(groups)]);
  const hint = guess === undefined ? '' : `did you mean ${guess}? `;
  return new JobletError('invalid', `unknown command: ${name}; ${hint}rnx help lists the commands`);
}

/** Both sets of values; those behind win over those in front. */
export function merge(before: Parsed['values'], behind: Parsed['values']): Parsed['values'] {
  const values: Record<string, unknown> = { ...behind };
  for (const [name, value] of Object.entries(before)) {
    if (values[name] === undefined || values[name] === false) values[name] = value;
  }
  return values;
}
