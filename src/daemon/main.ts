#!/usr/bin/env -S node --liftoff-only
// joblet, the daemon's command line.

import { JobletError, messageOf } from '../shared/errors.ts';

const USAGE = `joblet runs commands as isolated, limited, observed jobs.

Usage:
  joblet [serve] [--config FILE]   run the daemon in the foreground
  joblet certs ...                 make, add, rotate and revoke certificates
  joblet config check|show [FILE]  say what is wrong with a configuration, or what holds
  joblet audit verify [DIRECTORY]  say whether the audit log is as it was written
  joblet backup TARGET             copy the state of the running daemon into one file
  joblet restore BACKUP            put such a copy in the place of the state
  joblet runtime ...               list, verify, pack and install runtimes without a daemon
  joblet registry make|sign DIR    make a registry of a folder of packed runtimes
  joblet doctor                    say what this host lacks, and check the sandbox in a real job
  joblet version

Example:
  joblet certs init --dir /opt/joblet/config && joblet serve --config /opt/joblet/config/joblet-config.yml
`;

type Command = (argv: string[]) => Promise<number>;

// Each command loads only what it needs.
const commands: Readonly<Record<string, Command>> = {
  serve: async (argv) => (await import('./serve.ts')).serveCommand(argv),
  certs: async (argv) => (await import('./certs-command.ts')).certsCommand(argv),
  audit: async (argv) => (await import('./audit-command.ts')).auditCommand(argv),
  backup: async (argv) => (await import('./backup-command.ts')).backupCommand(argv),
  restore: async (argv) => (await import('./backup-command.ts')).restoreCommand(argv),
  config: async (argv) => (await import('./config-command.ts')).configCommand(argv),
  runtime: async (argv) => (await import('./runtime-command.ts')).runtimeCommand(argv),
  registry: async (argv) => (await import('./registry-command.ts')).registryCommand(argv),
  doctor: async (argv) => (await import('./doctor-command.ts')).doctorCommand(argv),
  version: async () => {
    const { version } = await import('./version.ts');
    process.stdout.write(`joblet ${version.version} (${version.gitCommit.slice(0, 8)})\n`);
    return 0;
  },
  help: async () => {
    process.stdout.write(USAGE);
    return 0;
  },
};

async function main(argv: string[]): Promise<number> {
  const [word = 'serve', ...rest] = argv;
  if (word === '--help' || word === '-h') return main(['help']);
  if (word === '--version' || word === '-v') return main(['version']);
  // Options without a command word belong to serve, as a service unit would write them.
  if (word.startsWith('-')) return main(['serve', ...argv]);
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
  if (command === undefined) {
    process.stderr.write(`Error: unknown command: ${word}\n\n${USAGE}`);
    return 2;
  }
  try {
    return await command(rest);
  } catch (error) {
    if (isMisuse(error)) {
      // Its first sentence says what is wrong; the rest advises what nobody here wants.
      process.stderr.write(`Error: ${messageOf(error).split('. ')[0]}; see \`joblet --help\`\n`);
      return 2;
    }
    if (!(error instanceof JobletError)) throw error;
    process.stderr.write(`Error: ${messageOf(error)}\n`);
    return 1;
  }
}

/** Whether Node found fault with the options of a command. */
function isMisuse(error: unknown): boolean {
  return String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS_');
}

process.exitCode = await main(process.argv.slice(2));
