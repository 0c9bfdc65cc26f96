// Inputs on disk. Those that once broke something are kept with the code (tools/fuzz/found,
// native/fuzz/corpus), and the ordinary tests replay them; what a run kept because it reached something
// new lies in .fuzz, which is nobody's but this machine's.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../steps.ts';

export const KEPT = '.fuzz';
export const FOUND = 'tools/fuzz/found';

/** The inputs in a directory of the repository, by name; none when it is not there. */
export function inputsIn(directory: string): Buffer[] {
  const whole = path.join(ROOT, directory);
  if (!existsSync(whole)) return [];
  const names = readdirSync(whole).toSorted();
  return names.map((name) => readFileSync(path.join(whole, name)));
}

/** Writes an input, named by its content; answers its path in the repository. */
export function keepInput(directory: string, input: Uint8Array, prefix = ''): string {
  const name = prefix + createHash('sha256').update(input).digest('hex').slice(0, 16);
  mkdirSync(path.join(ROOT, directory), { recursive: true });
  writeFileSync(path.join(ROOT, directory, name), input);
  return path.join(directory, name);
}
