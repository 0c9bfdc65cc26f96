// The scripts of rnx completion: tables of commands and flags in the language of each shell.

/** A command by its name, with what its line may hold. */
export interface Known {
  readonly name: string;
  readonly summary: string;
  /** The words it takes, when they are few. */
  readonly choices: readonly string[];
  readonly flags: readonly KnownFlag[];
}

export interface KnownFlag {
  readonly name: string;
  readonly short: string | undefined;
  readonly help: string;
  readonly takes: 'nothing' | 'path' | 'value';
  /** Its values, when they are few. */
  readonly choices: readonly string[];
}

/** First words, and behind each group its second ones. */
function wordsAfter(known: readonly Known[], group: string): string[] {
  const prefix = group === '' ? '' : `${group} `;
  const words = known
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name }) => name.slice(prefix.length).split(' ')[0] ?? '');
  return [...new Set(group === '' ? [...words, 'help'] : words)];
}

function groupsOf(known: readonly Known[]): string[] {
  const groups = known.flatMap(({ name }) =>
    name.includes(' ') ? [name.split(' ')[0] ?? ''] : [],
  );
  return [...new Set(groups)];
}

/** Branches of a `case`; those without words are left out. */
function cases(
  branches: readonly (readonly [pattern: string, words: readonly string[]])[],
): string {
  return branches
    .filter(([, words]) => words.length > 0)
    .map(([pattern, words]) => `    '${pattern}') words='${words.join(' ')}' ;;`)
    .join('\n');
}

export function bashScript(known: readonly Known[]): string {
  const groups = groupsOf(known);
  const flags = known.map(
    ({ name, flags }) => [name, flags.map((flag) => `--${flag.name}`)] as const,
  );
  const values = known.flatMap(({ name, flags }) =>
    flags.map((flag) => [`${name} --${flag.name}`, flag.choices] as const),
  );
  const words = [
    ...['', ...groups].map((group) => [group, wordsAfter(known, group)] as const),
    ...known.map(({ name, choices }) => [name, choices] as const),
  ];
  return `__rnx_complete() {
  local current="\${COMP_WORDS[COMP_CWORD]}" flag="\${COMP_WORDS[COMP_CWORD - 1]}"
  local path='' word words='' at
  # bash takes --flag=value apart.
  [[ "$current" != = ]] || { current='' flag="\${COMP_WORDS[COMP_CWORD - 1]}"; }
  [[ "$flag" != = ]] || flag="\${COMP_WORDS[COMP_CWORD - 2]}"
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    case "$path" in
    '') [[ "$word" == -* ]] || path="$word" ;;
    ${groups.join('|')}) [[ "$word" == -* ]] || path="$path $word" ;;
    esac
  done
  if [[ "$current" == -* ]]; then
    case "$path" in
${cases(flags)}
    esac
  elif [[ "$flag" == -* ]]; then
    case "$path $flag" in
${cases(values)}
    esac
  fi
  if [[ -z "$words" && "$current" != -* ]]; then
    case "$path" in
${cases(words)}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ -n "$words" ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F __rnx_complete rnx
`;
}

/** Text between single quotes, as zsh reads it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function zshScript(known: readonly Known[]): string {
  const described = (entries: readonly (readonly [word: string, about: string])[]) =>
    entries.map(([word, about]) => quoted(about === '' ? word : `${word}:${about}`)).join(' ');
  const flags = known.map(
    ({ name, flags }) =>
      `    '${name}') choices=(${described(flags.map((flag) => [`--${flag.name}`, flag.help]))}) ;;`,
  );
  const values = known.flatMap(({ name, flags }) =>
    flags
      .filter(({ choices }) => choices.length > 0)
      .map((flag) => `  '${name} --${flag.name}') compadd ${flag.choices.join(' ')}; return ;;`),
  );
  const commands = ['', ...groupsOf(known)].map((group) => {
    const words = wordsAfter(known, group).map((word) => {
      const name = group === '' ? word : `${group} ${word}`;
      return [word, known.find((one) => one.name === name)?.summary ?? ''] as const;
    });
    return `  '${group}') choices=(${described(words)}); _describe command choices; return ;;`;
  });
  const words = known
    .filter(({ choices }) => choices.length > 0)
    .map(({ name, choices }) => `  '${name}') compadd ${choices.join(' ')}; return ;;`);
  return `#compdef rnx
_rnx() {
  local where='' word flag="\${words[CURRENT - 1]}"
  local -a choices
  for word in "\${(@)words[2, CURRENT - 1]}"; do
    case "$where" in
    ${['', ...groupsOf(known)].map(quoted).join('|')}) [[ "$word" == -* ]] || where="\${where:+$where }$word" ;;
    esac
  done
  if [[ "$PREFIX" == --*=* ]]; then
    flag="\${PREFIX%%=*}"
    compset -P '*='
  elif [[ "$PREFIX" == -* ]]; then
    case "$where" in
${flags.join('\n')}
    esac
    _describe -o flag choices
    return
  fi
  case "$where $flag" in
${values.join('\n')}
  esac
  case "$where" in
${[...commands, ...words].join('\n')}
  esac
  _files
}
# Loaded by the first key, the file has to answer it, too.
if [[ "\${funcstack[1]-}" == _rnx ]]; then _rnx "$@"; else compdef _rnx rnx; fi
`;
}

export function fishScript(known: readonly Known[]): string {
  const line = (condition: string, ...rest: readonly string[]) =>
    ['complete -c rnx', `-n '${condition}'`, ...rest].join(' ');
  const about = (text: string) => (text === '' ? [] : [`-d '${text.replace(/['\\]/g, '\\$&')}'`]);
  const seen = (words: readonly string[]) => `__fish_seen_subcommand_from ${words.join(' ')}`;
  const summaryOf = (name: string) => known.find((one) => one.name === name)?.summary ?? '';
  const lines = ['complete -c rnx -f'];
  for (const word of wordsAfter(known, '')) {
    lines.push(line('__fish_use_subcommand', `-a ${word}`, ...about(summaryOf(word))));
  }
  for (const group of groupsOf(known)) {
    const members = wordsAfter(known, group);
    for (const word of members) {
      const condition = `${seen([group])}; and not ${seen(members)}`;
      lines.push(line(condition, `-a ${word}`, ...about(summaryOf(`${group} ${word}`))));
    }
  }
  for (const { name, choices, flags } of known) {
    const here = name
      .split(' ')
      .map((word) => seen([word]))
      .join('; and ');
    if (choices.length > 0) lines.push(line(here, `-a '${choices.join(' ')}'`));
    for (const flag of flags) {
      const short = flag.short === undefined ? [] : [`-s ${flag.short}`];
      const values = flag.choices.length > 0 ? [`-a '${flag.choices.join(' ')}'`] : [];
      const takes = flag.takes === 'nothing' ? [] : flag.takes === 'path' ? ['-r', '-F'] : ['-x'];
      lines.push(line(here, `-l ${flag.name}`, ...short, ...takes, ...values, ...about(flag.help)));
    }
  }
  // Behind the flags of job run stands a command, which may be a file here.
  lines.push(line(`${seen(['job'])}; and ${seen(['run'])}`, '-F'));
  return `${lines.join('\n')}\n`;
}
