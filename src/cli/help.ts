// Help texts, made from the tables of commands and flags. They fit a terminal of 80 columns.

import type { Command, Flags } from './command.ts';
import { commands, groups } from './commands.ts';

/** The flag as one writes it: `-e, --env NAME=VALUE`. */
function spell(name: string, flags: Flags): string {
  const flag = flags[name];
  const short = flag?.short === undefined ? '' : `-${flag.short}, `;
  return `${short}--${name}${flag?.value === undefined ? '' : ` ${flag.value}`}`;
}

function flagLines(flags: Flags): string[] {
  const shown = Object.keys(flags).filter((name) => flags[name]?.help !== undefined);
  const width = Math.max(0, ...shown.map((name) => spell(name, flags).length));
  return shown.map((name) => `  ${spell(name, flags).padEnd(width)}  ${flags[name]?.help}`);
}

const globalLine = '  --config PATH, --node NAME, --json, -h/--help: before or after the command';

/** The help of one command. */
export function commandHelp(definition: Command): string {
  const flags = flagLines(definition.flags);
  const sections = [
    [definition.summary, ...(definition.notes ?? [])],
    ['Usage:', `  ${definition.usage}`],
    flags.length > 0 ? ['Flags:', ...flags] : [],
    ['Everywhere:', globalLine],
    ['Examples:', ...definition.examples.map((line) => `  ${line}`)],
  ];
  return joined(sections);
}

function joined(sections: readonly (readonly string[])[]): string {
  const full = sections.filter((lines) => lines.length > 0);
  return `${full.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

/** Names and what they are for, in two columns. */
function listed(entries: readonly (readonly [name: string, about: string])[]): string[] {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, about]) => `  ${name.padEnd(width)}  ${about}`);
}

/** The commands of a group, or those that belong to none (''). */
function members(group: string): (readonly [name: string, about: string])[] {
  return Object.entries(commands).flatMap(([name, { summary }]) => {
    const [first = '', second] = name.split(' ');
    const inside = second === undefined ? '' : first;
    return inside === group && summary !== undefined ? [[second ?? first, summary] as const] : [];
  });
}

/** The help of a group such as `job`. */
export function groupHelp(group: string): string {
  const all = members(group);
  return joined([
    [groups[group] ?? ''],
    ['Usage:', `  rnx ${group} COMMAND [flags]`],
    ['Commands:', ...listed(all)],
    ['Everywhere:', globalLine],
    ['Example:', `  rnx ${group} ${all[0]?.[0]} --help`],
  ]);
}

/** The help of rnx as a whole. */
export function rootHelp(): string {
  return joined([
    [
      'rnx runs commands as isolated, limited jobs on a Joblet server.',
      'Usage: rnx COMMAND [flags]; rnx COMMAND --help says what it can do.',
    ],
    [
      'Commands:',
      ...listed([
        ...Object.entries(groups).map(([group, about]) => [group, inList(about)] as const),
        ...members(''),
      ]),
    ],
    ['Everywhere:', globalLine],
    [
      'Examples:',
      '  rnx job run --wait echo "Hello, Joblet!"',
      '  rnx job run --help        what a command can do',
    ],
  ]);
}

/** A sentence as it stands among summaries. */
function inList(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1).replace(/\.$/, '');
}
