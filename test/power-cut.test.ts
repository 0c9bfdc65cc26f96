// The power of a machine fails in mid-load: a guest is killed at a random moment and booted again on
// the same disk. What was acknowledged by then is there.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { cannotEmulate, startGuest } from '../tools/vm/vm.ts';
import { cannotRun } from './harness.ts';

const skip = cannotRun() || (cannotEmulate() ?? false);

/** Booting twice, on a processor that is ten times slower than this one. */
const TIMEOUT_MS = 12 * 60_000;
const DISK_BYTES = 256 << 20;

/** Jobs that have ended before the power fails, and how much later it does so at most. */
const LEAST_ENDS = 8;
const LONGEST_MOMENT_MS = 2000;

/** What the guest tells of a job. */
export interface Line {
  /** `safe`: what has so many lines in a volume, each of them safe by what fsync said. */
  readonly what: 'started' | 'ended' | 'safe';
  readonly uuid: string;
  readonly name: string;
  readonly status: string;
  /** Of `safe`, the number of lines. */
  readonly exitCode: number;
}

test('what was acknowledged survives a power cut in mid-load', {
  skip,
  timeout: TIMEOUT_MS,
}, async (t) => {
  const disk = makeDisk(t);
  const lines = await loadUntilCut(disk);
  t.diagnostic(`the power failed after ${lines.length} lines`);
  const { code, stdout, stderr } = await runToEnd(disk, 'check', JSON.stringify(lines));
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  t.diagnostic(stdout.trim());
});

function makeDisk(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'joblet-power-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const disk = path.join(directory, 'disk.ext4');
  writeFileSync(disk, '');
  truncateSync(disk, DISK_BYTES);
  execFileSync('mkfs.ext4', ['-q', disk]);
  return disk;
}

/** Answers what was acknowledged when the power failed. */
async function loadUntilCut(disk: string): Promise<Line[]> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const said = text(stderr);
  const guest = await startGuest(inGuest('load'), { stdout, stderr, disk });
  const lines: Line[] = [];
  let ends = 0;
  let isCut = false;
  createInterface(stdout).on('line', (line) => {
    lines.push(JSON.parse(line) as Line);
    if (lines.at(-1)?.what === 'ended') ends += 1;
    if (isCut || ends < LEAST_ENDS || !lines.some(({ what }) => what === 'safe')) return;
    isCut = true;
    setTimeout(() => guest.cutPower(), Math.random() * LONGEST_MOMENT_MS);
  });
  await guest.code;
  stderr.end();
  assert.ok(ends >= LEAST_ENDS, `the guest ended by itself:\n${await said}`);
  return lines;
}

async function runToEnd(disk: string, ...args: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const both = Promise.all([text(stdout), text(stderr)]);
  const guest = await startGuest(inGuest(...args), { stdout, stderr, disk });
  const code = await guest.code;
  stdout.end();
  stderr.end();
  const [out, err] = await both;
  return { code, stdout: out, stderr: err };
}

/** The third disk is mounted, and the program started. */
function inGuest(...args: string[]): string[] {
  const script = 'mkdir /data && mount /dev/vdc /data && exec node test/power-cut-guest.ts "$@"';
  return ['sh', '-c', script, 'sh', ...args];
}
