// rnx completion: scripts for the shells, made from the tables of commands and flags.

import { JobletError } from '../shared/errors.ts';
import { type Command, command, type Flags, globalFlags } from './command.ts';
import { commands, groups } from './commands.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** A command by its name, with the flags that the help shows. */
interface Known {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly string[];
}

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
    known.push({ name, summary: entry.summary, flags: shownFlags(await entry.load()) });
  }
  return known;
}

function shownFlags(definition: Command): string[] {
  const all: Flags = { ...definition.flags, ...globalFlags };
  return Object.keys(all).filter((name) => all[name]?.help !== undefined);
}

/** First words, and behind each group its second ones. */
function wordsAfter(known: readonly Known[], group: string): string[] {
  const prefix = group === '' ? '' : `${group} `;
  const words = known
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name }) => name.slice(prefix.length).split(' ')[0] ?? '');
  return [...new Set(group === '' ? [...words, 'help'] : words)];
}

const scripts: Readonly<Record<Shell, (known: readonly Known[]) => string>> = {
  bash: bashScript,
  // zsh runs completions written for bash.
  zsh: (known) => `#compdef rnx\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(known)}`,
  fish: fishScript,
};

function bashScript(known: readonly Known[]): string {
  const flagCases = known
    .map(
      ({ name, flags }) =>
        `    '${name}') words='${flags.map((flag) => `--${flag}`).join(' ')}' ;;`,
    )
    .join('\n');
  const wordCases = ['', ...Object.keys(groups)]
    .map((group) => `    '${group}') words='${wordsAfter(known, group).join(' ')}' ;;`)
    .join('\n');
  return `_rnx() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' word words='' at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    case "$path" in
    '') [[ "$word" == -* ]] || path="$word" ;;
    ${Object.keys(groups).join('|')}) [[ "$word" == -* ]] || path="$path $word" ;;
    esac
  done
  if [[ "$current" == -* ]]; then
    case "$path" in
${flagCases}
    esac
  else
    case "$path" in
${wordCases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ -n "$words" ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _rnx rnx
`;
}

function fishScript(known: readonly Known[]): string {
  const lines = ['complete -c rnx -f'];
  const first = new Set(wordsAfter(known, ''));
  for (const word of first) {
    lines.push(`complete -c rnx -n __fish_use_subcommand -a ${word}`);
  }
  for (const { name, summary, flags } of known) {
    const [group = '', second] = name.split(' ');
    const inside = `__fish_seen_subcommand_from ${group}`;
    if (second !== undefined) {
      lines.push(`complete -c rnx -n '${inside}' -a ${second} -d '${summary}'`);
    }
    const here =
      second === undefined ? inside : `${inside}; and __fish_seen_subcommand_from ${second}`;
    for (const flag of flags) lines.push(`complete -c rnx -n '${here}' -l ${flag}`);
  }
  return `${lines.join('\n')}\n`;
}
