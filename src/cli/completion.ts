// rnx completion: scripts for the shells, made from the tables of commands and flags.

import { JobletError } from '../shared/errors.ts';
import { type Command, command, type Flags, globalFlags } from './command.ts';
import { commands } from './commands.ts';
import {
  bashScript,
  fishScript,
  type Known,
  type KnownFlag,
  zshScript,
} from './completion-scripts.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

const scripts: Readonly<Record<Shell, (known: readonly Known[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

export const completion = command({
  usage: 'rnx completion bash|zsh|fish',
  summary: 'Prints a script that lets the shell complete commands and flags.',
  examples: [
    'rnx completion bash > /etc/bash_completion.d/rnx',
    'rnx completion zsh > ~/.zsh/completions/_rnx',
    'rnx completion fish > ~/.config/fish/completions/rnx.fish',
  ],
  flags: {},
  words: [1, 1],
  choices: shells,
  missing: `for which shell? Say one of ${shells.join(', ')}`,
  run: async (_values, [word], { out }) => {
    const shell = shells.find((one) => one === word);
    if (shell === undefined) {
      throw new JobletError(
        'invalid',
        `there is no completion for ${word}, only for ${shells.join(', ')}`,
      );
    }
    await out.write(scripts[shell](await knownCommands()));
    return 0;
  },
});

async function knownCommands(): Promise<Known[]> {
  const known: Known[] = [];
  for (const [name, entry] of Object.entries(commands)) {
    if (entry.summary === undefined) continue;
    const definition = await entry.load();
    const { choices = [] } = definition;
    known.push({ name, summary: entry.summary, choices, flags: shownFlags(definition) });
  }
  return known;
}

function shownFlags(definition: Command): KnownFlag[] {
  const all: Flags = { ...definition.flags, ...globalFlags };
  return Object.entries(all).flatMap(([name, { kind, short, value, help, choices = [] }]) => {
    const takes = kind === 'switch' ? 'nothing' : value === 'PATH' ? 'path' : 'value';
    return help === undefined ? [] : [{ name, short, help, takes, choices }];
  });
}
