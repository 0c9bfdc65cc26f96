// What machine a bench ran on, and whether it had the machine to itself.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as elapse } from 'node:timers/promises';

export interface MachineFacts {
  readonly kernel: string;
  readonly distribution: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly node: string;
  readonly cgroups: string;
  readonly versions: Readonly<Record<string, string>>;
}

const versionCommands = {
  bwrap: ['bwrap', '--version'],
  crun: ['crun', '--version'],
  podman: ['podman', '--version'],
} as const satisfies Record<string, readonly [string, ...string[]]>;

export function machineFacts(): MachineFacts {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  const versions = Object.entries(versionCommands).map(([name, [program, ...args]]) => {
    try {
      const [line = ''] = execFileSync(program, args, { encoding: 'utf8' }).split('\n');
      return [name, line];
    } catch {
      return [name, 'not installed'];
    }
  });
  return {
    kernel: release(),
    distribution:
      /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '',
    processor: cpus()[0]?.model ?? '',
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / (1 << 20)),
    node: process.version,
    cgroups: / cgroup rw\S*memory/.test(mounts) ? 'v1 controllers' : 'v2',
    versions: Object.fromEntries(versions),
  };
}

/** Below this share of all processors the machine counts as quiet. */
const QUIET_SHARE = 0.1;
const WINDOW_MS = 1000;

/**
 * Measures how busy the machine is, second by second, until it is quiet or `atMostSeconds` are over.
 * Answers the last busy share (0 to 1): it is printed with the result, whatever it is.
 */
export async function waitForQuiet(atMostSeconds: number): Promise<number> {
  let busy = 1;
  let before = processorTicks();
  for (let seconds = 0; seconds < atMostSeconds && busy >= QUIET_SHARE; seconds += 1) {
    await elapse(WINDOW_MS);
    const now = processorTicks();
    busy = (now.busy - before.busy) / Math.max(1, now.all - before.all);
    before = now;
  }
  return busy;
}

/** The load of the last minute, as the kernel has it. */
export function loadOfLastMinute(): number {
  return loadavg()[0] ?? 0;
}

function processorTicks(): { busy: number; all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, each) => sum + each, 0);
  const [, , , idle = 0, waiting = 0] = ticks;
  return { busy: all - idle - waiting, all };
}
