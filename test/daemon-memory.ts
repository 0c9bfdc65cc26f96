// What a daemon under test holds of memory. It gives back what a burst has left when the burst is over,
// and says so in its log.

import { readFileSync } from 'node:fs';
import type { Daemon } from './harness.ts';

const GIVEN_BACK = /memory was given back/;

export function residentBytes({ pid }: Pick<Daemon, 'pid'>): number {
  const [, kB] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kB) * 1024;
}

/** Resolves with what it holds when it has given back memory, from now on. */
export async function quietBytes(daemon: Daemon): Promise<number> {
  await daemon.logged(GIVEN_BACK);
  return residentBytes(daemon);
}

/** What a daemon holds that has just been started, once it has given back what its start took. */
export async function idleBytes(daemon: Daemon): Promise<number> {
  const quiet = quietBytes(daemon);
  return GIVEN_BACK.test(daemon.log()) ? residentBytes(daemon) : quiet;
}

/** Resolves when the daemon holds no more than so much; one that never does is waited for. */
export async function shrunkTo(daemon: Daemon, mostBytes: number): Promise<void> {
  for (;;) {
    const quiet = quietBytes(daemon);
    if (residentBytes(daemon) <= mostBytes) return;
    await quiet;
  }
}
