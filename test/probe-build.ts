// Compiles the C probes in test/probes: static, so that they run wherever they are put. What was
// compiled stays beside the launcher, so that a guest without a compiler finds it.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

const PROBES = path.join(import.meta.dirname, 'probes');
const NATIVE = path.join(import.meta.dirname, '../native');
const BUILD = path.join(NATIVE, 'build/probes');

/** Sources of the launcher that a probe is linked with. */
const probes = {
  syscalls: [],
  'seccomp-table': [],
  'under-filter': ['seccomp.c'],
} as const satisfies Record<string, readonly string[]>;

type Probe = keyof typeof probes;

/** Why nothing can be compiled here, or false: the `skip` of a test. */
export function cannotCompile(): string | false {
  const directories = (process.env['PATH'] ?? '').split(':');
  const found = directories.some((directory) => existsSync(path.join(directory, 'gcc')));
  return found ? false : 'there is no gcc; apt-get install gcc libc6-dev';
}

/** Why the probes are not to be had here, or false: the `skip` of a test. */
export function cannotBuildProbes(): string | false {
  return names().every((name) => isFresh(name)) ? false : cannotCompile();
}

/** Compiles `test/probes/NAME.c` unless that was done; answers the program. */
export function buildProbe(name: Probe): string {
  const program = path.join(BUILD, name);
  if (isFresh(name)) return program;
  mkdirSync(BUILD, { recursive: true });
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-static', '-Wall', '-Wextra', '-Werror'];
  // Another test may be at it, too.
  const made = `${program}.${process.pid}`;
  execFileSync('gcc', [...flags, '-o', made, ...sourcesOf(name)], { stdio: 'pipe' });
  renameSync(made, program);
  return program;
}

function names(): Probe[] {
  return Object.keys(probes) as Probe[];
}

function sourcesOf(name: Probe): string[] {
  return [
    path.join(PROBES, `${name}.c`),
    ...probes[name].map((source) => path.join(NATIVE, source)),
  ];
}

/** Whether it is newer than itself and everything that it may include. */
function isFresh(name: Probe): boolean {
  const built = statSync(path.join(BUILD, name), { throwIfNoEntry: false });
  if (built === undefined) return false;
  const included = readdirSync(NATIVE).filter((file) => file.startsWith('seccomp'));
  return [...sourcesOf(name), ...included.map((file) => path.join(NATIVE, file))].every(
    (file) => statSync(file).mtimeMs <= built.mtimeMs,
  );
}
