// `joblet config`: says what is wrong with a configuration, and what holds.

import { parseArgs } from 'node:util';
import { Document, type Scalar, type YAMLMap } from 'yaml';
import { JobletError } from '../shared/errors.ts';
import { type Environment, loadConfig, readConfig } from './config.ts';
import { type Key, sections, type Values } from './config-keys.ts';

const USAGE = `joblet config checks and shows the daemon's configuration.

Usage:
  joblet config check [FILE]   list every problem with its line and column
  joblet config show [FILE]    print every key with its value and its meaning

Without FILE the file is taken that \`joblet serve\` would take.

Example:
  joblet config check /opt/joblet/config/joblet-config.yml
`;

type Command = (file: string | undefined, environment: Environment) => string;

const commands: Readonly<Record<string, Command>> = {
  check(file, environment) {
    const config = loadConfig(file, environment);
    const { address, port } = config.server;
    return `${config.file} is valid: the daemon will listen on ${address}:${port}\n`;
  },
  show(file, environment) {
    const read = readConfig(file, environment);
    return `# ${read.file}\n${formatValues(read.values)}`;
  },
};

/** Runs `joblet config ARGV`. The exit code: 0 is valid, 1 has problems, 2 was called wrongly. */
export async function configCommand(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const [word = '', file = values.config, ...more] = positionals;
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
  if (values.help || command === undefined || more.length > 0) {
    process[values.help ? 'stdout' : 'stderr'].write(USAGE);
    return values.help ? 0 : 2;
  }
  try {
    process.stdout.write(command(file, process.env));
    return 0;
  } catch (error) {
    if (!(error instanceof JobletError) || error.problems.length === 0) throw error;
    for (const { field, message } of error.problems) process.stderr.write(`${field}: ${message}\n`);
    return 1;
  }
}

/** All keys as a configuration file of its own, each with its meaning; certificates are left out. */
export function formatValues(values: Values): string {
  const shown = Object.entries(sections).map(([name, section]) => {
    const held: Readonly<Record<string, unknown>> = values[name as keyof Values];
    const lines = Object.entries<Key<unknown>>(section)
      .map(([word, { kind }]) => [word, kind.format(held[word])] as const)
      .filter(([, value]) => value !== undefined);
    return [name, Object.fromEntries(lines)];
  });
  const document = new Document(Object.fromEntries(shown));
  for (const [name, section] of Object.entries(sections)) {
    const { items } = document.get(name) as YAMLMap<Scalar<string>>;
    const keys: Readonly<Record<string, Key<unknown>>> = section;
    for (const { key } of items) key.commentBefore = ` ${keys[key.value]?.meaning ?? ''}`;
  }
  return document.toString({ lineWidth: 100 });
}
