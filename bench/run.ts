// Runs trials one after the other, each in its own process, and writes what they measured to
// bench/results/. Needs root, as a daemon of its own is started for them.

import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../src/shared/errors.ts';
import { loadOfLastMinute, machineFacts, waitForQuiet } from './machine.ts';
import { formatResults, type Measured } from './report.ts';
import type { Trial, TrialOptions, TrialResult } from './trial.ts';

const HERE = import.meta.dirname;
const WAIT_FOR_QUIET_SECONDS = 60;

const known = readdirSync(path.join(HERE, 'trials')).map((file) => path.basename(file, '.ts'));
const USAGE = `./dev bench [TRIAL...] [--rounds N] [--seconds N] [--idle-jobs N] [--no-save]

Measures all trials, or some: ${known.join(', ')}.
What each of them asks is in bench/README.md.

Example:
  ./dev bench start rnx --rounds 50
`;

const { values, positionals } = readArgs();
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) refuse(`there is no trial ${unknown.join(', ')}`);
if (process.getuid?.() !== 0) {
  process.stderr.write('Error: the bench starts a daemon, which needs root; run it with sudo\n');
  process.exit(1);
}

const options: TrialOptions = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  idleJobs: Number(values['idle-jobs']),
};

const measured: Measured[] = [];
let failed = false;
for (const trial of positionals.length > 0 ? positionals : known) {
  const busyBefore = await waitForQuiet(WAIT_FOR_QUIET_SECONDS);
  process.stderr.write(
    `${trial}: others use ${Math.round(busyBefore * 100)} % of the processors,` +
      ` load ${loadOfLastMinute().toFixed(2)}\n`,
  );
  const found = await inOwnProcess(trial, options);
  if (found === undefined) failed = true;
  else measured.push({ trial, busyBefore, ...found });
}

const commit = execFileSync('git', ['rev-parse', '--short=8', 'HEAD'], {
  cwd: HERE,
  encoding: 'utf8',
}).trim();
const date = new Date().toISOString().slice(0, 10);
const results = { date, commit, machine: machineFacts(), measured };
process.stdout.write(formatResults(results));
if (!values['no-save'] && measured.length > 0) {
  const base = path.join(HERE, 'results', `${date}-${commit}`);
  mkdirSync(path.dirname(base), { recursive: true });
  writeFileSync(`${base}.json`, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(`${base}.md`, formatResults(results));
  process.stderr.write(`written to ${base}.md and .json\n`);
}
process.exitCode = failed ? 1 : 0;

function readArgs() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '200' },
        seconds: { type: 'string', default: '30' },
        'idle-jobs': { type: 'string', default: '200' },
        'no-save': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    return refuse(messageOf(error));
  }
}

function refuse(why: string): never {
  process.stderr.write(`Error: ${why}\n\n${USAGE}`);
  process.exit(2);
}

interface Found {
  readonly title: string;
  readonly result: TrialResult;
}

async function inOwnProcess(trial: string, asked: TrialOptions): Promise<Found | undefined> {
  const { hasOwnHost } = ((await import(`./trials/${trial}.ts`)) as { trial: Trial }).trial;
  const child = fork(path.join(HERE, 'one-trial.ts'), [trial, JSON.stringify(asked)], {
    ...(hasOwnHost && { execPath: 'unshare', execArgv: ['--net', '--', process.execPath] }),
  });
  let found: Found | undefined;
  child.on('message', (message) => {
    found = message as Found;
  });
  await once(child, 'close');
  if (found === undefined) process.stderr.write(`${trial}: failed\n`);
  return found;
}
