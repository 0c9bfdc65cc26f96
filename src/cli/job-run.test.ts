import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArgv } from './command.ts';
import { jobRun, toRequest } from './job-run.ts';

function request(...argv: string[]) {
  const { values, words, problem } = parseArgv(argv, jobRun.flags, 'first-word');
  if (problem !== undefined) throw problem;
  return toRequest(values as never, words, Date.UTC(2026, 0, 1));
}

/** What of a request is not empty. */
function said(...argv: string[]): object {
  return Object.fromEntries(
    Object.entries(request(...argv)).filter(
      ([, value]) =>
        value !== undefined &&
        value !== false &&
        value !== 0n &&
        (typeof value !== 'object' || Object.keys(value).length > 0),
    ),
  );
}

test('S4-37 S4-39 the command and its arguments are passed on byte for byte', () => {
  assert.deepEqual(said('bash', '-c', 'sleep 10 && echo done', '', '--', '--help'), {
    command: 'bash',
    args: ['-c', 'sleep 10 && echo done', '', '--', '--help'],
  });
});

test('S0-3 one word with a whole shell line stays one word', () => {
  assert.deepEqual(said('echo a && echo b'), { command: 'echo a && echo b' });
});

test('every flag arrives in its field, in both spellings', () => {
  const expected = {
    command: 'x',
    name: 'n',
    maxCpu: 50,
    maxMemory: 512,
    maxIoBps: 1000,
    maxProcesses: 7,
    cpuCores: '0-3',
    timeoutMs: 90_000n,
    graceMs: 5000n,
    environment: { A: '1=2', B: '' },
    secretEnvironment: { S: 's' },
    workDir: 'sub',
    workBytes: 1_073_741_824n,
    schedule: '2026-01-01T01:00:00.000Z',
    runtime: 'python-3.11',
    network: 'none',
    volumes: ['v:/data:ro'],
    noInit: true,
    allow: ['ptrace', 'userns'],
    gpuCount: 1,
    gpuMemoryMb: 8192,
  };
  const flags: readonly (readonly [string, string])[] = [
    ['--name', 'n'],
    ['--max-cpu', '50'],
    ['--max-memory', '512'],
    ['--max-iobps', '1000'],
    ['--max-processes', '7'],
    ['--cpu-cores', '0-3'],
    ['--timeout', '90s'],
    ['--grace', '5s'],
    ['--env', 'A=1=2'],
    ['-e', 'B='],
    ['--secret-env', 'S=s'],
    ['--workdir', 'sub'],
    ['--work-size', '1GB'],
    ['--schedule', '1hour'],
    ['--runtime', 'python-3.11'],
    ['--network', 'none'],
    ['--volume', 'v:/data:ro'],
    ['--allow', 'ptrace,userns'],
    ['--gpu', '1'],
    ['--gpu-memory', '8GB'],
  ];
  const joined = flags.map(([name, value]) => `${name}=${value}`);
  assert.deepEqual(said(...joined, '--no-init', 'x'), expected);
  assert.deepEqual(said(...flags.flat(), '--no-init', 'x'), expected);
});

test('GPU memory without a unit is MB', () => {
  assert.equal(request('--gpu-memory=2048', 'x').gpuMemoryMb, 2048);
  assert.equal(request('--gpu-memory=8192MB', 'x').gpuMemoryMb, 8192);
});

test('a variable without a value is refused, and what may be a secret is not repeated', () => {
  assert.throws(
    () => request('--secret-env', 'hunter2', 'x'),
    (error: Error) => {
      assert.match(error.message, /^--secret-env: write it as NAME=VALUE/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    },
  );
});

test('a line without a command says what is missing', () => {
  for (const argv of [[], ['--wait'], ['']]) {
    assert.throws(() => request(...argv), /must specify a command to run/);
  }
});
