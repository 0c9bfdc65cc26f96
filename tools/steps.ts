// Programs that a command of ./dev runs one after the other.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..');

/** Runs a program in the repository with this terminal; the answer is its exit code. */
export async function step(
  name: string,
  [program = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (code !== 0) process.stderr.write(`dev: ${name} failed (${signal ?? code})\n`);
  return code ?? 1;
}

export function node(...args: string[]): Promise<number> {
  return step(args.join(' '), [process.execPath, ...args]);
}
