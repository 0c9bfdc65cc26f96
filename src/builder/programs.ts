// Runs other programs, with their output as lines of ours.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BuildError, say } from './output.ts';

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What it and whatever it started are killed after. */
  readonly timeoutMs?: number;
  /** What an error calls it, instead of the program. */
  readonly name?: string;
  /** Output is not shown; it is the answer. */
  readonly quiet?: boolean;
}

/** Lines of a failed program that its error repeats. */
const LAST_LINES = 8;
/** Output that an answer can be. */
const MAX_OUTPUT_BYTES = 64 * 1024 ** 2;

const base = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  ...proxies(),
};

/** The way through a proxy is the same for every program. */
function proxies(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy'];
  const entries = names.map((name) => [name, process.env[name] ?? ''] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== ''));
}

/**
 * Runs a program to its end; answers its standard output when it is quiet.
 * @throws BuildError when it does not end with 0, with its last lines
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { env = {}, cwd = '/', timeoutMs = 0, name = program, quiet = false } = options;
  const child = spawn(program, args, {
    cwd,
    env: { ...base, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that all of it can be killed.
    detached: true,
  });
  const last: string[] = [];
  const output: Buffer[] = [];
  let outputBytes = 0;
  const note = (line: string) => {
    if (!quiet) say(line);
    last.push(line);
    if (last.length > LAST_LINES) last.shift();
  };
  if (quiet) {
    child.stdout.on('data', (data: Buffer) => {
      outputBytes += data.length;
      if (outputBytes <= MAX_OUTPUT_BYTES) output.push(data);
    });
  } else {
    createInterface(child.stdout).on('line', note);
  }
  createInterface(child.stderr).on('line', note);
  const ended = Promise.withResolvers<string>();
  child.once('error', (error: NodeJS.ErrnoException) => {
    ended.resolve(error.code === 'ENOENT' ? 'is not there' : `cannot be run: ${error.message}`);
  });
  child.once('exit', () => killGroup(child.pid));
  child.once('close', (code, signal) => {
    if (code === 0) ended.resolve('');
    else ended.resolve(signal === null ? `ended with code ${code}` : `was killed by ${signal}`);
  });
  let isLate = false;
  const timer =
    timeoutMs === 0
      ? undefined
      : setTimeout(() => {
          isLate = true;
          killGroup(child.pid);
        }, timeoutMs);
  const problem = await ended.promise;
  clearTimeout(timer);
  if (problem === '') return Buffer.concat(output).toString();
  const why = isLate ? `did not end within ${timeoutMs / 1000} s` : problem;
  const said = last.length === 0 ? '' : `:\n${last.join('\n')}`;
  throw new BuildError(`${name} ${why}${said}`);
}

/** Whatever it left running holds open what is being built. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is over.
  }
}
