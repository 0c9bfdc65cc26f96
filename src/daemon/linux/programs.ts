// Programs of the host that are run for a moment: what formats, mounts and checks file systems.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What they say is read, so it is in one language. */
const options = { env: { ...process.env, LC_ALL: 'C' } };

/** Runs a program to its end; rejects when it fails, with what it said in `stderr` and its `code`. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, options);
  return stdout;
}

/** Runs a program that dies with this daemon: its successor clears up, and nobody may still be at it. */
export function runWhileAlive(program: string, ...args: string[]): Promise<string> {
  return run('setpriv', '--pdeathsig=KILL', program, ...args);
}

/** Unmounts what is mounted at a directory; does no harm when nothing is. */
export async function unmount(directory: string, ...flags: string[]): Promise<void> {
  await run('umount', ...flags, directory).catch((error: { stderr?: string }) => {
    if (!/not mounted|no mount point|not found/.test(error.stderr ?? '')) throw error;
  });
}

interface ProgramError {
  readonly stderr?: string;
  readonly message?: string;
  readonly code?: number | string;
}

/** What is longer has a path in its middle that is as long as a job likes, and its reason at its end. */
const MAX_WORDS_CHARS = 300;

/** What a program said last, as the reason of a failure. */
export function lastWords(error: unknown): string {
  const { stderr = '', message = '', code } = error as ProgramError;
  // One that said more than is kept was ended amid a line.
  const whole = code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' ? /^.*\n/s.exec(stderr)?.[0] : stderr;
  const words = (whole ?? stderr).trim().split('\n').at(-1) || message;
  if (words.length <= MAX_WORDS_CHARS) return words;
  return `${words.slice(0, MAX_WORDS_CHARS / 2)} ... ${words.slice(-MAX_WORDS_CHARS / 2)}`;
}
