// The targets of the C program (native/fuzz), which libFuzzer drives.

import { globSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { ROOT, step } from '../steps.ts';
import { KEPT } from './inputs.ts';
import type { RunOptions } from './run.ts';

const PREFIX = 'native/';
const TIMEOUT_SECONDS = 10;
const MEMORY_MB = 1024;
const MAX_BYTES = 8192;

/** Their names: `native/plan` and so on. */
export const nativeTargets: readonly string[] = globSync('native/fuzz/*.dict', { cwd: ROOT })
  .map((file) => PREFIX + path.basename(file, '.dict'))
  .toSorted();

export function isNative(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Searches; libFuzzer says what it finds. The exit code is 0 when that is nothing. */
export async function runNative(name: string, { seed, ms }: RunOptions): Promise<number> {
  const target = name.slice(PREFIX.length);
  const kept = path.join(KEPT, name, 'kept');
  mkdirSync(path.join(ROOT, kept), { recursive: true });
  return (
    (await build('fuzz')) ||
    step(name, [
      `native/build/fuzz/${target}`,
      `-seed=${seed}`,
      `-max_total_time=${Math.ceil(ms / 1000)}`,
      `-timeout=${TIMEOUT_SECONDS}`,
      `-rss_limit_mb=${MEMORY_MB}`,
      `-max_len=${MAX_BYTES}`,
      `-dict=native/fuzz/${target}.dict`,
      `-artifact_prefix=${path.join(KEPT, name)}/`,
      '-print_final_stats=1',
      kept,
      `native/fuzz/corpus/${target}`,
    ])
  );
}

/** Runs inputs from files; the exit code is 0 when nothing breaks. */
export async function replayNative(name: string, files: readonly string[]): Promise<number> {
  const target = name.slice(PREFIX.length);
  return (await build('replay')) || step(name, [`native/build/replay/${target}`, ...files]);
}

function build(goal: string): Promise<number> {
  return step('build', ['make', '-s', '-j2', '-C', 'native', goal]);
}
