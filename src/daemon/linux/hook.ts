// Programs of the operator's that are told something: run as a user who may do nothing, with what is
// told on standard input and next to nothing in the environment.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { readSmallFile } from './job-usage.ts';

export interface Hook {
  readonly program: string;
  readonly args: readonly string[];
  /** The name of a user of the host. */
  readonly user: string;
  readonly input: string;
  /** What runs longer is killed, with the processes that it has started. */
  readonly timeoutMs: number;
}

const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
const MAX_SAID_CHARS = 500;
const WRITABLE_BY_OTHERS = 0o022;

/** Runs a program to its end. Rejects when it fails, with the last that it said. */
export async function runHook(hook: Hook, signal: AbortSignal): Promise<void> {
  requireOwn(hook.program);
  const { uid, gid } = findUser(hook.user);
  const child = spawn(hook.program, hook.args, {
    uid,
    gid,
    cwd: '/',
    env: ENVIRONMENT,
    // A group of its own, so that it can be ended with all that it has started.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(hook.timeoutMs)]);
  const kill = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  limit.addEventListener('abort', kill, { once: true });
  // It may end without having read.
  child.stdin.on('error', () => {});
  child.stdin.end(hook.input);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_SAID_CHARS);
  });
  try {
    const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
    if (code === 0) return;
    if (limit.aborted) throw new Error(`${hook.program} ran longer than ${hook.timeoutMs} ms`);
    const how = code === null ? `was ended by ${killedBy}` : `ended with exit code ${code}`;
    const why = said.trim().split('\n').at(-1) ?? '';
    throw new Error(`${hook.program} ${how}${why === '' ? '' : `: ${why}`}`);
  } finally {
    limit.removeEventListener('abort', kill);
    // What it has left running may hold it open.
    child.stderr.destroy();
  }
}

/** The daemon has all rights: who can change what it runs would have them too. */
function requireOwn(program: string): void {
  const found = statSync(program, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`${program} is not there`);
  if (found.uid === 0 && (found.mode & WRITABLE_BY_OTHERS) === 0) return;
  throw new Error(`${program} is not run: it must belong to root, and nobody else may write it`);
}

function findUser(name: string): { readonly uid: number; readonly gid: number } {
  for (const line of readSmallFile('/etc/passwd').split('\n')) {
    const [word, , uid, gid] = line.split(':');
    if (word === name) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`there is no user ${name} on this host`);
}
