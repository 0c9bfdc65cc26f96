// `./dev fuzz`: looks for inputs that break a promise, in one target or in each of them in turn.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isNative, nativeTargets, replayNative, runNative } from './native.ts';
import { type Result, type RunOptions, replay, runTarget } from './run.ts';
import { targets } from './targets.ts';

const MINUTE_MS = 60_000;

const names = [...nativeTargets, ...Object.keys(targets)];

const USAGE = `./dev fuzz TARGET [--minutes M] [--seed N]   look for inputs that break a promise
./dev fuzz TARGET FILE...                    try these inputs again
./dev fuzz all [--minutes M]                 each target in turn, M minutes each

Inputs that reached something new are kept in .fuzz/TARGET/kept, and the next run begins with them.

Targets: ${names.join(', ')}
`;

/** The command. The exit code is 0 when nothing was found. */
export async function fuzz(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
    },
  });
  const [name, ...files] = positionals;
  if (name === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const options = { seed: Number(values.seed), ms: Number(values.minutes) * MINUTE_MS };
  if (!Number.isInteger(options.seed) || !(options.ms > 0))
    throw new Error(`not a number\n${USAGE}`);
  const chosen = name === 'all' ? names : [name];
  let failed = 0;
  for (const each of chosen) {
    if (!names.includes(each)) throw new Error(`no target is called ${each}\n${USAGE}`);
    failed |= await fuzzOne(each, options, files);
  }
  return failed === 0 ? 0 : 1;
}

function fuzzOne(name: string, options: RunOptions, files: readonly string[]): Promise<number> {
  if (isNative(name)) {
    return files.length > 0
      ? replayNative(
          name,
          files.map((file) => path.resolve(file)),
        )
      : runNative(name, options);
  }
  return files.length > 0
    ? replay(
        name,
        files.map((file) => readFileSync(file)),
      ).then((result) => tell(name, result))
    : runTarget(name, options).then((result) => tell(name, result));
}

function tell(name: string, { executions, ms, kept, findings, totals, missed }: Result): number {
  for (const { error, file } of findings) {
    process.stdout.write(`${name}: FOUND\n${error}\n  again: ./dev fuzz ${name} ${file}\n`);
  }
  const rate = Math.round(executions / (ms / 1000));
  const covered =
    totals === undefined
      ? ''
      : `, ${totals.functionsHit} of ${totals.functions} functions, ${totals.blocksHit} of ${totals.blocks} blocks`;
  process.stdout.write(
    `${name}: ${executions} executions in ${(ms / 1000).toFixed(0)} s (${rate}/s), ${kept} inputs kept${covered}\n`,
  );
  if (missed.length > 0) process.stdout.write(`${name}: never called: ${missed.join(', ')}\n`);
  return findings.length === 0 ? 0 : 1;
}
