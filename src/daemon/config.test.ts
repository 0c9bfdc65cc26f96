import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import { type Environment, loadConfig, parseConfig, readConfig } from './config.ts';
import { formatValues } from './config-command.ts';
import { refusals, sections } from './config-keys.ts';

const FILE = '/etc/joblet/joblet-config.yml';

/** The problems of a configuration, one line each, as `joblet config check` prints them. */
function problemsOf(text: string, environment: Environment = {}): string[] {
  try {
    parseConfig(text, FILE, environment);
    return [];
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'invalid');
    return error.problems.map(({ field, message }) => `${path.basename(field)} ${message}`);
  }
}

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('an empty configuration has the documented defaults (S4-24)', () => {
  const config = parseConfig('', FILE);
  assert.equal(config.joblet.defaultCpuLimitPercent, 100);
  assert.equal(config.joblet.defaultMemoryLimitBytes, 512 * 1024 * 1024);
  assert.equal(config.joblet.defaultIoLimitBps, 0);
  assert.equal(config.joblet.maxConcurrentJobs, 100);
  assert.equal(config.joblet.graceMs, 100);
  assert.equal(config.server.port, 50_051);
  assert.equal(config.security.revokedFile, '/etc/joblet/revoked');
});

test('the sample of the API reference loads (S4-43, S4-44)', () => {
  const config = parseConfig(
    `joblet:
  defaultCpuLimit: 100
  defaultMemoryLimit: 512
  defaultIoLimit: 0
  maxConcurrentJobs: 100
  jobTimeout: "1h"
  cleanupTimeout: "5s"
grpc:
  maxRecvMsgSize: 524288
  maxSendMsgSize: 4194304
  keepAliveTime: "30s"
`,
    FILE,
  );
  assert.equal(config.joblet.jobTimeoutMs, 3_600_000);
  assert.equal(config.joblet.cleanupTimeoutMs, 5000);
  assert.equal(config.grpc.maxRecvBytes, 524_288);
  assert.equal(config.grpc.maxSendBytes, 4_194_304);
  assert.equal(config.grpc.keepAliveMs, 30_000);
});

test('the example loads, and the guide shows it as it is', () => {
  const repository = path.resolve(import.meta.dirname, '../..');
  const example = readFileSync(path.join(repository, 'examples/joblet-config.yml'), 'utf8');
  const guide = readFileSync(path.join(repository, 'docs/guide/configuration.md'), 'utf8');
  assert.ok(guide.includes(`\`\`\`yaml\n${example}\`\`\``));
  assert.equal(parseConfig(example, FILE).joblet.maxMemoryLimitBytes, 8 * 1024 ** 3);
});

test('the newer layout loads, with what cannot be otherwise written out', () => {
  const config = parseConfig(
    `version: "3.0"
server: { address: 127.0.0.1, port: 0, mode: server, nodeId: 0d6b5d7e-8f0b-4c0e-9d5e-3b1f0c6a7e11 }
filesystem: { blockDevices: false }
gpu: { enabled: false }
ipc: { enabled: true }
network:
logging: { level: debug, format: TEXT, output: stderr }
`,
    FILE,
  );
  assert.equal(config.server.port, 0);
  assert.deepEqual(config.logging, { level: 'DEBUG', format: 'text', output: 'stderr' });
});

test('all problems are named at once, each with line and column', () => {
  const problems = problemsOf(
    `server:
  port: 99999
  adress: 0.0.0.0
joblet:
  defaultMemoryLimit: lots
  maxConcurrentJobs: "5"
  jobTimeout: 1 hour
filesystem:
  allowedMounts: [/usr, bin]
Logs: 1
`,
  );
  assert.deepEqual(problems.sort(), [
    'joblet-config.yml:10:1 Logs: is not known; did you mean logs?',
    'joblet-config.yml:2:9 server.port: must be a whole number from 0 to 65535',
    'joblet-config.yml:3:3 server.adress: is not known; did you mean address?',
    'joblet-config.yml:5:23 joblet.defaultMemoryLimit: "lots" is not a size; write it as 512MB, 1.5GB or 4096',
    'joblet-config.yml:6:22 joblet.maxConcurrentJobs: must be a whole number from 0 to 100000',
    'joblet-config.yml:7:15 joblet.jobTimeout: "1 hour" is not a duration; write it as 1h30m, 30s or 100ms',
    'joblet-config.yml:9:25 filesystem.allowedMounts.1: must be an absolute path',
  ]);
});

test('whatever a key is set to counts, or is refused at its place in words of ours', () => {
  const values = [
    '[1]',
    '{ a: 1 }',
    '-1',
    'true',
    'x',
    '""',
    '1e99',
    'null',
    '1.5',
    '9'.repeat(18),
  ];
  for (const [name, section] of Object.entries(sections)) {
    for (const word of Object.keys(section)) {
      for (const value of values) {
        for (const problem of problemsOf(`${name}:\n  ${word}: ${value}\n`)) {
          assert.match(problem, new RegExp(`^joblet-config.yml:2:\\d+ ${name}.${word}`));
          assert.doesNotMatch(problem, /Invalid input|expected/);
        }
      }
    }
  }
});

test('a bare number of a size counts its unit, quoted or not, and has no fraction', () => {
  const memoryOf = (value: string) =>
    parseConfig(`joblet: { defaultMemoryLimit: ${value} }`, FILE).joblet.defaultMemoryLimitBytes;
  const values = ['512', '"512"', '512MB', '0.5GB'];
  assert.deepEqual(
    values.map(memoryOf),
    values.map(() => 512 * 1024 ** 2),
  );
  assert.match(problemsOf('joblet: { defaultMemoryLimit: 1.5 }')[0] ?? '', /"1.5" is not a size/);
});

test('of a file that is wrong in every line the first hundred problems are named, and soon', () => {
  const lines = Array.from({ length: 3_000 }, (_, at) => `k${at}: 1`);
  const cpu = process.cpuUsage();
  assert.equal(problemsOf(lines.join('\n')).length, 100);
  const { user, system } = process.cpuUsage(cpu);
  assert.ok((user + system) / 1e6 < 10, `${(user + system) / 1e6} s`);
});

test('values that cannot both hold are refused', () => {
  const [bounds, ids, ...more] = problemsOf(
    'joblet: { minCpuLimit: 50, maxCpuLimit: 20, idRangeFirst: 2000000000, idRanges: 10000 }',
  );
  assert.match(bounds ?? '', /:1:24 joblet.minCpuLimit: is more than joblet.maxCpuLimit/);
  assert.match(ids ?? '', /joblet.idRanges: .* go past 2147483648/);
  assert.deepEqual(more, []);
});

test('text that is no YAML is refused at its place', () => {
  assert.match(problemsOf('a: [1\nb: 2\n')[0] ?? '', /^joblet-config.yml:2:1 /);
  assert.match(problemsOf('server: {port: 1}\nserver: {port: 2}')[0] ?? '', /:2:1 .*unique/);
  assert.match(problemsOf('[]')[0] ?? '', /must be a map of sections/);
  assert.match(problemsOf('server: 5')[0] ?? '', /:1:9 server:/);
  assert.match(problemsOf('version: "2.0"')[0] ?? '', /:1:10 version: must be "3.0"/);
});

test('every key of other versions is refused with its reason', () => {
  for (const [dotted, { because }] of Object.entries(refusals)) {
    const [name = '', word] = dotted.split('.');
    const text = word === undefined ? `${name}: { x: 1 }` : `${name}:\n  ${word}: something\n`;
    const [problem = '', ...more] = problemsOf(text);
    assert.ok(problem.includes(`${dotted}: is not offered because ${because}`), problem);
    assert.ok(problem.endsWith('; remove it'), problem);
    assert.deepEqual(more, []);
  }
});

test('the environment goes before the file, and its problems name the variable', () => {
  const environment = { JOBLET_SERVER_PORT: '7', JOBLET_LOG_LEVEL: 'WARN', JOBLET_MAX_JOBS: '3' };
  const config = parseConfig('server: { port: 9 }', FILE, environment);
  assert.equal(config.server.port, 7);
  assert.equal(config.logging.level, 'WARN');
  assert.equal(config.joblet.maxConcurrentJobs, 3);
  assert.deepEqual(problemsOf('', { JOBLET_SERVER_PORT: 'many', RUNTIME_MANAGER_PATH: 'x' }), [
    'JOBLET_SERVER_PORT server.port: must be a whole number from 0 to 65535',
    'RUNTIME_MANAGER_PATH runtime.base_path: must be an absolute path',
  ]);
});

test('isolation cannot be switched off by the environment', () => {
  assert.deepEqual(problemsOf('', { JOBLET_CI_MODE: 'true' }), [
    'JOBLET_CI_MODE isolation is never off; unset this variable',
  ]);
  assert.deepEqual(problemsOf('', { JOBLET_CI_MODE: 'false' }), []);
});

test('a private key never stands in a message', () => {
  const secret = 'MC4CAQAwBQYDK2VwBCIEIHfd';
  const text = `security:\n  serverKey: |\n    ${secret}\n  serverCert: ${secret}\n`;
  const problems = problemsOf(text);
  assert.equal(problems.length, 2);
  assert.ok(!problems.join().includes(secret));
});

test('a configuration without certificates says how to make them', (t) => {
  const file = path.join(temporaryDirectory(t), 'joblet-config.yml');
  writeFileSync(file, '');
  assert.throws(
    () => loadConfig(file, {}),
    (error: JobletError) => error.problems.length === 3 && /joblet certs init/.test(error.message),
  );
});

test('a missing configuration is named with the way out', (t) => {
  const file = path.join(temporaryDirectory(t), 'none.yml');
  assert.throws(() => loadConfig(file, {}), {
    kind: 'not-found',
    message: /none.yml cannot be read/,
  });
  mkdirSync(file);
  assert.throws(
    () => loadConfig(undefined, { JOBLET_CONFIG_PATH: file }),
    /none.yml cannot be read/,
  );
});

test('what `config show` prints is a configuration with the same values', (t) => {
  const file = path.join(temporaryDirectory(t), 'joblet-config.yml');
  writeFileSync(file, 'joblet: { jobTimeout: 1h1ms, defaultMemoryLimit: 1000B }');
  const { values } = readConfig(file, {});
  const shown = formatValues(values);
  writeFileSync(file, shown);
  assert.deepEqual(readConfig(file, {}).values, values);
  for (const section of Object.values(sections)) {
    for (const { meaning } of Object.values(section)) assert.ok(meaning.length > 0);
  }
});

test('any text is either a configuration or refused as invalid', () => {
  const word = fc.constantFrom(
    'server',
    'port',
    'joblet',
    'jobTimeout',
    'gpu',
    '?',
    '&a',
    '*a',
    '-',
  );
  const line = fc.tuple(fc.nat(4), word, fc.oneof(fc.string(), fc.constant(''), word));
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(line, { maxLength: 8 })
      .map((lines) => lines.map(([indent, a, b]) => `${' '.repeat(indent)}${a}: ${b}`).join('\n')),
  );
  fc.assert(
    fc.property(texts, (text) => {
      problemsOf(text);
    }),
  );
});
