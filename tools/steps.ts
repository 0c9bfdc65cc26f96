// Programs that a command of ./dev runs one after the other.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..');

/**
 * Flags for a Node that runs sources as they are. It removes their types by WebAssembly, and V8 crashes
 * now and then when it replaces such code by optimised code while it runs ("it->second.Size() > offset",
 * Node 26.10). Nothing here runs WebAssembly for long enough to gain by that.
 */
export const NODE_FLAGS: readonly string[] = ['--liftoff-only'];

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
  return step(args.join(' '), [process.execPath, ...NODE_FLAGS, ...args]);
}
