// What a failed test needs beside its assertion: what the daemon wrote, and its latest jobs.

import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, type TestContext } from 'node:test';
import { readLog } from './launching.ts';

interface Watched {
  readonly directory: string;
  log(): string;
}

const JOBS = 3;
const LINES = 40;

const watched = new Set<Watched>();

/** From now on the log of this daemon and of its latest jobs is printed whenever a test fails. */
export function reportFailuresOf(daemon: Watched): void {
  watched.add(daemon);
}

/** No longer: its directory is about to go. */
export function forgetFailuresOf(daemon: Watched): void {
  watched.delete(daemon);
}

// Of the file that imports this; a test of any depth comes by here before its daemon is stopped. A
// bench imports it, too, and would become a test run by this.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  afterEach((context) => {
    // The type knows suites as well, which have no outcome of their own here.
    if ((context as TestContext).passed !== false) return;
    for (const daemon of watched) console.log(describe(daemon));
  });
}

function describe(daemon: Watched): string {
  return [
    `--- the daemon in ${daemon.directory} wrote, last:`,
    tail(daemon.log()),
    ...latestJobs(path.join(daemon.directory, 'logs')).flatMap((directory) => {
      const { stdout, stderr, end } = readLog(directory);
      return [`--- job ${path.basename(directory)}: ${ending(end)}`, tail(stdout), tail(stderr)];
    }),
  ]
    .filter((text) => text !== '')
    .join('\n');
}

function ending(end: ReadonlyMap<string, string> | undefined): string {
  if (end === undefined) return 'no end yet';
  return [...end].map(([key, value]) => `${key}=${value}`).join(' ');
}

function latestJobs(logs: string): string[] {
  return readdirSync(logs)
    .map((name) => path.join(logs, name))
    .filter((directory) => statSync(directory).isDirectory())
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
    .slice(0, JOBS);
}

function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-LINES).join('\n');
}
