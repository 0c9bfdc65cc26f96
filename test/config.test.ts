// What a running daemon takes over from its configuration, and how `joblet config` speaks.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../tools/steps.ts';
import { cannotRun, startDaemon } from './harness.ts';

const skip = cannotRun();

function joblet(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = path.join(ROOT, 'src/daemon/main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env: {} }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

/** Waits until a file holds a text. */
async function holds(file: string, text: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (readFileSync(file, 'utf8').includes(text)) resolve();
  };
  const watcher = watch(file, look);
  look();
  await promise;
  watcher.close();
}

test('the level of the log follows the configuration of a running daemon', { skip }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-level-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const output = path.join(directory, 'joblet.log');
  writeFileSync(output, '');
  const daemon = await startDaemon({ logging: { level: 'WARN', output } });
  t.after(() => daemon.stop());
  const file = path.join(daemon.directory, 'joblet-config.yml');
  const settings = JSON.parse(readFileSync(file, 'utf8'));
  settings.logging.level = 'INFO';
  writeFileSync(file, JSON.stringify(settings));
  await holds(output, '[INFO]');
});

test('config check lists every problem by its place, and says when there is none', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-check-'));
  t.after(() => rmSync(directory, { recursive: true }));
  assert.equal((await joblet('certs', 'init', '--dir', directory)).code, 0);
  const file = path.join(directory, 'joblet-config.yml');
  const good = await joblet('config', 'check', file);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /joblet-config\.yml is valid: the daemon will listen on/);

  writeFileSync(file, `${readFileSync(file, 'utf8')}\njoblet:\n  jobTimeout: soon\n  maxJobs: 5\n`);
  const bad = await joblet('config', 'check', file);
  assert.equal(bad.code, 1);
  assert.equal(bad.stdout, '');
  assert.match(
    bad.stderr,
    /joblet-config\.yml:\d+:15: joblet\.jobTimeout: "soon" is not a duration/,
  );
  assert.match(bad.stderr, /joblet-config\.yml:\d+:3: joblet\.maxJobs: is not known/);
  const serve = await joblet('serve', '--config', file);
  assert.equal(serve.code, 1);
  assert.match(serve.stderr, /is not a duration/);
  // The original's spelling.
  assert.deepEqual(await joblet(`--config=${file}`, '--validate'), bad);
});

test('a wrong option of the daemon is a sentence, and no stack trace', async () => {
  for (const line of ['--nope', 'serve --nope', 'config check --nope', 'certs list --nope']) {
    const { code, stderr } = await joblet(...line.split(' '));
    assert.ok(code === 1 || code === 2, line);
    assert.match(stderr, /^Error: .*--nope/, line);
    assert.doesNotMatch(stderr, /\n +at /, line);
  }
  assert.match((await joblet('--version')).stdout, /^joblet \d+\.\d+\.\d+/);
  assert.match((await joblet('serve', '--help')).stdout, /Example:\n {2}joblet serve/);
});

test('the help of the daemon names each of its commands', async () => {
  const source = readFileSync(path.join(import.meta.dirname, '../src/daemon/main.ts'), 'utf8');
  const words = [...source.matchAll(/^ {2}(\w+): async \(/gm)].map(([, word]) => word);
  assert.ok(words.length > 5);
  const { stdout } = await joblet('--help');
  for (const word of words.filter((one) => one !== 'help')) {
    assert.match(stdout, new RegExp(`^ {2}joblet \\[?${word}\\b`, 'm'));
  }
});

test('config show prints every key with its meaning, and no key material', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-show-'));
  t.after(() => rmSync(directory, { recursive: true }));
  await joblet('certs', 'init', '--dir', directory);
  const { code, stdout } = await joblet(
    'config',
    'show',
    path.join(directory, 'joblet-config.yml'),
  );
  assert.equal(code, 0);
  assert.match(stdout, /# Jobs that run at once.*\n {2}maxConcurrentJobs: 100\n/);
  assert.doesNotMatch(stdout, /PRIVATE KEY/);
});
