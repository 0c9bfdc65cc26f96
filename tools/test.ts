// `./dev test`: all tests in one report with one summary at its end, as Node's runner writes it.

import { globSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { ROOT } from './steps.ts';

/** Tests that measure, or fill the machine: nothing else runs beside them. */
const ALONE = ['limits', 'load', 'power-cut', 'vm'] as const;

/** Test files at once otherwise; more than there are cores would only make them wait for each other. */
const CONCURRENCY = 2;

/** A test that hangs ends the run with its name, long before anybody's patience or CI's clock does. */
const TIMEOUT_MS = 15 * 60_000;

/** Words of the summary in its order, and what they count. */
const summary = {
  tests: 'tests',
  suites: 'suites',
  pass: 'passed',
  fail: 'failed',
  cancelled: 'cancelled',
  skipped: 'skipped',
  todo: 'todo',
} as const;
const counted = Object.values(summary);
type Counts = Record<(typeof counted)[number], number>;

/** Runs the named test files, or all of them. The exit code is 0 when none failed. */
export async function test(named: readonly string[]): Promise<number> {
  process.chdir(ROOT);
  const files =
    named.length > 0 ? named : globSync(['{src,tools,bench}/**/*.test.ts', 'test/*.test.ts']);
  const isAlone = (file: string) => ALONE.some((name) => path.basename(file) === `${name}.test.ts`);
  const phases = [
    { files: files.filter((file) => !isAlone(file)).toSorted(), concurrency: CONCURRENCY },
    { files: files.filter(isAlone).toSorted(), concurrency: 1 },
  ];
  const counts = Object.fromEntries(counted.map((name) => [name, 0])) as Counts;
  const report = Readable.from(eventsOf(phases, counts)).compose(new spec());
  for await (const text of report) process.stdout.write(text as string);
  const failed = counts.failed + counts.cancelled;
  process.stdout.write(`\n${counts.passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

interface Phase {
  readonly files: readonly string[];
  readonly concurrency: number;
}

/** The events of all phases as if they were one run; `counts` is filled on the way. */
async function* eventsOf(phases: readonly Phase[], counts: Counts) {
  const began = performance.now();
  for (const { files, concurrency } of phases) {
    if (files.length === 0) continue;
    for await (const event of run({ files: [...files], concurrency, timeout: TIMEOUT_MS })) {
      // Without a file it is about the run as a whole, and there are two of them.
      if (event.type === 'test:summary' && event.data.file === undefined) {
        for (const name of counted) counts[name] += event.data.counts[name];
      } else if (event.type !== 'test:diagnostic' || event.data.file !== undefined) {
        yield event;
      }
    }
  }
  for (const [word, name] of Object.entries(summary)) {
    yield diagnostic(`${word} ${counts[name]}`);
  }
  yield diagnostic(`duration_ms ${(performance.now() - began).toFixed(0)}`);
}

function diagnostic(message: string) {
  return { type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } } as const;
}
