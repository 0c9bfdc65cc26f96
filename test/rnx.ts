// rnx as a user calls it, against a daemon of the harness.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { Role } from '../src/daemon/jobs/job.ts';
import type { Daemon } from './harness.ts';

export const MAIN = path.join(import.meta.dirname, '../src/cli/main.ts');

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end, in the daemon's directory. */
export function runRnx(daemon: Daemon, role: Role, ...args: string[]): Promise<Ran> {
  return runRnxIn(daemon.directory, daemon, role, ...args);
}

/** The same in a folder of the caller's, which is its home too. */
export async function runRnxIn(
  folder: string,
  daemon: Daemon,
  role: Role,
  ...args: readonly string[]
): Promise<Ran> {
  const config = daemon.nodesFile(role);
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, TZ: 'UTC', RNX_CONFIG: config },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await closed) as [number | null];
  return { code, out, err };
}
