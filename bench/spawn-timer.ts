// The bench's end of native/spawn-timer.c: runs a peer's command again and again, from a process so
// small that its own forks cost next to nothing.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import type { BenchCommand, Peer, Workshop } from './peers.ts';

const UNIFIED = '/sys/fs/cgroup/unified';

/** One run of a command, in nanoseconds of the monotonic clock. */
export interface Timed {
  readonly spawnedNs: number;
  /** The number that the command printed; 0 is none. */
  readonly printedNs: number;
  readonly endedNs: number;
}

export class SpawnTimer {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: PromiseWithResolvers<Timed>[] = [];

  constructor(workshop: Workshop, peer: Peer, command: BenchCommand) {
    const argv = timerArgv(workshop, peer, ['each', ...peer.argv(command, 0)]);
    const [program = '', ...args] = argv;
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('spawn-timer has no output');
    this.#lines = createInterface(this.#child.stdout);
    this.#lines.on('line', (line) => {
      const [spawnedNs = 0, printedNs = 0, endedNs = 0] = line.split(' ').map(Number);
      this.#waiting.shift()?.resolve({ spawnedNs, printedNs, endedNs });
    });
    this.#lines.on('close', () => {
      for (const each of this.#waiting) each.reject(new Error(`${peer.name} failed`));
    });
  }

  /** Runs the command once. Rejects when it fails. */
  run(): Promise<Timed> {
    const waiting = Promise.withResolvers<Timed>();
    this.#waiting.push(waiting);
    this.#child.stdin?.write('x');
    return waiting.promise;
  }

  stop(): void {
    this.#child.stdin?.end();
  }
}

/** Runs a peer's `true` in `workers` loops for some seconds. Answers runs a second. */
export async function runsPerSecond(
  workshop: Workshop,
  peer: Peer,
  workers: number,
  seconds: number,
): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: workers }, async (_, slot) => {
      const argv = timerArgv(workshop, peer, ['for', String(seconds), ...peer.argv('true', slot)]);
      const [program = '', ...args] = argv;
      const { stdout } = await promisify(execFile)(program, args);
      return Number(stdout);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / seconds;
}

/** The timer's argv, in a mount namespace without the unified tree for peers that refuse it. */
function timerArgv(workshop: Workshop, peer: Peer, args: readonly string[]): readonly string[] {
  const timer = [workshop.spawnTimer, ...args];
  if (!peer.hideUnified || !existsSync(UNIFIED)) return timer;
  const hide = `umount ${UNIFIED} && exec "$@"`;
  return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', hide, 'sh', ...timer];
}
