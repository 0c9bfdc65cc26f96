// Compiles the C probes in test/probes: static, so that they run wherever they are put.

import { execFileSync } from 'node:child_process';
import { accessSync, chmodSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PROBES = path.join(import.meta.dirname, 'probes');
const NATIVE = path.join(import.meta.dirname, '../native');

/** Why no probe can be compiled here, or false: the `skip` of a test. */
export function cannotCompile(): string | false {
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    try {
      accessSync(path.join(directory, 'gcc'), constants.X_OK);
      return false;
    } catch {
      // The next one may have it.
    }
  }
  return 'there is no gcc to compile the probes with; apt-get install gcc libc6-dev';
}

/** A directory of compiled probes. */
export class Probes {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'joblet-probes-'));

  constructor() {
    // Some probes run as somebody without rights.
    chmodSync(this.directory, 0o755);
  }

  /** Compiles `test/probes/NAME.c`, with further sources of the launcher; answers the program. */
  build(name: string, ...nativeSources: readonly string[]): string {
    const program = path.join(this.directory, name);
    const sources = [
      path.join(PROBES, `${name}.c`),
      ...nativeSources.map((source) => path.join(NATIVE, source)),
    ];
    const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-static', '-Wall', '-Wextra', '-Werror'];
    execFileSync('gcc', [...flags, '-o', program, ...sources], { stdio: 'pipe' });
    return program;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
