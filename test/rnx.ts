// rnx as a user calls it, against a daemon of the harness.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Role } from '../src/daemon/jobs/job.ts';
import type { Daemon } from './harness.ts';

export const MAIN = path.join(import.meta.dirname, '../src/cli/main.ts');

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end, in the daemon's directory. */
export async function runRnx(daemon: Daemon, role: Role, ...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: daemon.directory,
    env: { PATH: process.env['PATH'] ?? '', TZ: 'UTC', RNX_CONFIG: daemon.nodesFile(role) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = ['', ''];
  for (const [at, stream] of [child.stdout, child.stderr].entries()) {
    stream.setEncoding('utf8').on('data', (text) => {
      texts[at] += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  const [out = '', err = ''] = texts;
  return { code, out, err };
}
