// The daemon is killed at any moment of a build or an installation, which takes the place of a runtime that is
// there: afterwards there is the old one or the new one, whole, and nothing else.
// JOBLET_RUNTIME_CRASH_ROUNDS=20 for a long campaign.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { MAIN, runRnx } from './rnx.ts';

const ROUNDS = Number(process.env['JOBLET_RUNTIME_CRASH_ROUNDS'] ?? 3);
const FILES = 40;
const FILE_BYTES = 100_000;
/** Moments go up to two to the power of this, which is more than a build has. */
const MOST_DOUBLINGS = 11;

const skip = cannotRun();
const kinds = ['build', 'install'] as const;

let daemon: Daemon;
before(async () => {
  if (!skip) daemon = await startDaemon({ runtime: { buildBytes: '64MB' } });
});
after(async () => {
  await daemon?.stop();
});

const runtimes = () => path.join(daemon.directory, 'runtimes');

/** A folder that is built or installed as `mine@1.0.0`, with the number of its round in it. */
function writeSource(kind: (typeof kinds)[number], round: number): string {
  const source = path.join(daemon.directory, `${kind}-${round}`);
  const content = path.join(source, kind === 'build' ? 'content' : 'isolated/content');
  mkdirSync(content, { recursive: true });
  writeFileSync(path.join(content, 'round'), `${round}`);
  const names = ['round', ...Array(FILES).keys()].map(String);
  for (const name of names.slice(1)) {
    writeFileSync(path.join(content, name), randomBytes(FILE_BYTES));
  }
  const files = names.map((name) => `{source: content/${name}, target: /content/${name}}`);
  const words = ['name: mine', 'version: 1.0.0'];
  const how = ['schema_version: "1.0"', 'base: {none: true}', `files: [${files.join(', ')}]`];
  const [file, lines] =
    kind === 'build' ? ['runtime.yaml', [...words, ...how]] : ['runtime.yml', words];
  writeFileSync(path.join(source, file), `${lines.join('\n')}\n`);
  return source;
}

/** Resolves when as much has happened as was said, or the command is over. */
async function upTo(moment: number, kind: string, source: string): Promise<void> {
  const child = spawn(process.execPath, [MAIN, 'runtime', kind, '--force', source], {
    env: { PATH: process.env['PATH'] ?? '', RNX_CONFIG: daemon.nodesFile('admin') },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const reached = Promise.withResolvers<void>();
  let seen = 0;
  const look = () => {
    seen += 1;
    if (seen === moment) reached.resolve();
  };
  const watcher = watch(runtimes(), { recursive: true }, look);
  child.stderr.on('data', look);
  await Promise.race([reached.promise, once(child, 'close')]);
  await daemon.kill();
  watcher.close();
  child.kill('SIGKILL');
}

/** The round of the runtime that is there, after looking that it is whole and alone. */
async function roundThatIsThere(): Promise<number> {
  const verified = await runRnx(daemon, 'admin', 'runtime', 'verify', 'mine');
  assert.equal(verified.code, 0, verified.err);
  for (const folder of ['.builds', '.staging', '.retired']) {
    assert.deepEqual(readdirSync(path.join(runtimes(), folder)), [], folder);
  }
  const store = path.join(runtimes(), '.store');
  const kept = readdirSync(store, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .filter((entry) => statSync(path.join(entry.parentPath, entry.name)).nlink < 2);
  assert.deepEqual(kept, [], 'contents that no tree has');
  assert.deepEqual(readdirSync(path.join(daemon.directory, 'jobs/jobs')), []);
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(daemon.directory));
  return Number(readFileSync(path.join(runtimes(), 'mine/1.0.0/isolated/content/round'), 'utf8'));
}

test('a daemon killed at any moment of a build or an installation leaves the old runtime or the new one', {
  skip,
}, async (t) => {
  const first = await runRnx(daemon, 'admin', 'runtime', 'install', writeSource('install', 0));
  assert.equal(first.code, 0, first.err);
  let there = 0;
  let taken = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const kind = kinds[round % kinds.length] ?? 'build';
    const moment = Math.round(2 ** (randomInt(10 * MOST_DOUBLINGS) / 10));
    const source = writeSource(kind, round);
    await upTo(moment, kind, source);
    await daemon.restart();
    const now = await roundThatIsThere();
    assert.ok([there, round].includes(now), `${kind} up to moment ${moment}: round ${now}`);
    if (now === round) taken += 1;
    there = now;
  }
  t.diagnostic(`${ROUNDS} rounds, of which ${taken} had taken the place of the one before`);
  const last = await runRnx(
    daemon,
    'admin',
    'runtime',
    'build',
    '--force',
    writeSource('build', 99),
  );
  assert.equal(last.code, 0, last.err);
  assert.equal(await roundThatIsThere(), 99);
});
