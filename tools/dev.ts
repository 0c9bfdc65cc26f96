// The developer's commands, one function each. ./dev has installed and built what they need.

import { existsSync } from 'node:fs';
import { homeAt } from './home.ts';

const USAGE = `./dev is the one entry point of a developer.

  ./dev run           start a daemon, run a first job and show its log
  ./dev up            start the daemon in the background
  ./dev down          end the daemon and its jobs, and leave nothing of them on the host
  ./dev rnx ARGS      call the client against it
  ./dev joblet ARGS   call a command of the daemon's program for it: certs, config, backup
  ./dev doctor        say what this host lacks, and check the sandbox in a real job
  ./dev test [FILE]   everything that is tested, or some test files
  ./dev check         types, style, dead code, the API's rules, the launcher under sanitizers
  ./dev fuzz ARGS     look for inputs that break a promise; without ARGS, what there is
  ./dev bench ARGS    measure against other sandboxes
  ./dev vm [-- CMD]   run a command (or doctor and limits tests) in a guest with cgroup v2 only
  ./dev fmt           format the sources

The daemon's state lies in JOBLET_HOME (.joblet by default); several stand side by side.

Example:
  ./dev run && ./dev rnx job list
`;

type Command = (args: string[], home: ReturnType<typeof homeAt>) => Promise<number>;

// Each command loads only what it needs.
const commands: Readonly<Record<string, Command>> = {
  run: async (_, home) => (await import('./run.ts')).run(home),
  up: async (_, home) => {
    const port = await (await import('./daemon.ts')).up(home);
    process.stdout.write(`joblet is up on 127.0.0.1:${port}; nodes file ${home.nodesFile}\n`);
    return 0;
  },
  down: async (_, home) => {
    await (await import('./daemon.ts')).down(home);
    process.stdout.write('joblet is down\n');
    return 0;
  },
  doctor: async (args, { configFile }) => {
    // What `up` starts with. Where it never did, the doctor says that it looks at the defaults.
    const config = existsSync(configFile) ? [`--config=${configFile}`] : [];
    return (await import('./steps.ts')).node('src/daemon/main.ts', 'doctor', ...config, ...args);
  },
  test: async (args) => (await import('./test.ts')).test(args),
  check: async () => (await import('./check.ts')).check(),
  fuzz: async (args) => (await import('./fuzz/fuzz.ts')).fuzz(args),
  bench: async (args) => (await import('./steps.ts')).node('bench/run.ts', ...args),
  vm: async (args) => (await import('./vm/vm.ts')).vm(args),
  fmt: async () =>
    (await import('./steps.ts')).step('format', ['npx', 'biome', 'check', '--write']),
  help: async () => {
    process.stdout.write(USAGE);
    return 0;
  },
};

/** Commands that take nothing: who asks `down` for help does not want it done. */
const bare: ReadonlySet<string> = new Set(['run', 'up', 'down', 'check', 'fmt']);

const [first = 'help', ...args] = process.argv.slice(2);
const isQuestion = [first, ...args].some((each) => each === '-h' || each === '--help');
const word = isQuestion && (bare.has(first) || first.startsWith('-')) ? 'help' : first;
const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
if (command === undefined) {
  process.stderr.write(`Error: unknown command: ${word}\n\n${USAGE}`);
  process.exitCode = 2;
} else if (bare.has(word) && args.length > 0) {
  process.stderr.write(
    `Error: ./dev ${word} takes no arguments, and was given: ${args.join(' ')}\n`,
  );
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await command(args, homeAt(process.env['JOBLET_HOME'] ?? '.joblet'));
  } catch (error) {
    process.stderr.write(`dev: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
