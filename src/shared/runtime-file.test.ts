import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from './errors.ts';
import { formatRuntimeFile, parseRuntimeFile, type RuntimeFile } from './runtime-file.ts';

const MB = 1024 ** 2;

const MACHINE_LEARNING = `name: "python-3.11-ml"
version: "3.11"
description: "Python with ML packages - self-contained (7785 files)"

# All mounts from isolated/ - no host dependencies
mounts:
  # System directories
  - source: "isolated/bin"
    target: "/bin"
    readonly: true
  - source: "isolated/lib64"
    target: "/lib64"
    readonly: true
  - source: "isolated/lib/x86_64-linux-gnu"
    target: "/lib/x86_64-linux-gnu"
    readonly: true
  - source: "isolated/etc/ssl"
    target: "/etc/ssl"
    readonly: true
  # Python-specific mounts
  - source: "isolated/usr/lib/python3/dist-packages"
    target: "/usr/local/lib/python3.11/site-packages"
    readonly: true

environment:
  PYTHON_HOME: "/usr/local"
  PYTHONPATH: "/usr/local/lib/python3.11/site-packages"
  PATH: "/usr/local/bin:/usr/bin:/bin"
  LD_LIBRARY_PATH: "/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:/lib64:/usr/lib:/lib"
`;

const CUSTOM = `name: "my-custom-runtime"
version: "1.0"
description: "Custom runtime - self-contained"

mounts:
  # All paths relative to isolated/
  - source: "isolated/bin"
    target: "/bin"
    readonly: true

environment:
  PATH: "/usr/bin:/bin"
  LD_LIBRARY_PATH: "/usr/lib:/lib"

requirements:
  min_memory: "256MB"
  recommended_memory: "1GB"
  architectures: [ "x86_64", "amd64" ]
`;

const NESTED = `name: "python-3.12-custom"
type: "managed"
version: "3.12.0"
description: "Python 3.12 with custom packages"

mounts:
  - source: "bin"
    target: "/usr/local/bin"
    readonly: true
    selective: ["python3", "pip", "pip3"]
  - source: "lib"
    target: "/usr/local/lib"
    readonly: true

environment:
  PYTHON_HOME: "/usr/local"
  PATH_PREPEND: "/usr/local/bin"

package_manager:
  type: "pip"
  cache_volume: "pip-cache"
`;

function read(content: string): RuntimeFile {
  const { file, unknownKeys } = parseRuntimeFile(content, 'runtime.yml');
  assert.deepEqual(unknownKeys, []);
  return file;
}

function problemsOf(content: string): string[] {
  try {
    parseRuntimeFile(content, 'runtime.yml');
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'invalid');
    return error.problems.map(({ field, message }) => `${field} ${message}`);
  }
  return [];
}

test('S0-41 a runtime.yml says what is mounted where, and which variables jobs get', () => {
  const file = read(MACHINE_LEARNING);
  assert.equal(`${file.name}@${file.version}`, 'python-3.11-ml@3.11');
  assert.equal(file.type, 'system');
  assert.equal(file.mounts.length, 5);
  assert.deepEqual(file.mounts.at(-1), {
    source: 'isolated/usr/lib/python3/dist-packages',
    target: '/usr/local/lib/python3.11/site-packages',
    selective: [],
  });
  assert.equal(file.environment['PYTHON_HOME'], '/usr/local');
});

test('S0-50 requirements are sizes and architectures', () => {
  assert.deepEqual(read(CUSTOM).requirements, {
    minMemoryBytes: 256 * MB,
    recommendedMemoryBytes: 1024 * MB,
    architectures: ['x86_64', 'amd64'],
    gpu: false,
  });
});

test('S0-51 a managed runtime selects programs, and names its package manager', () => {
  const file = read(NESTED);
  assert.equal(file.type, 'managed');
  assert.deepEqual(file.mounts[0]?.selective, ['python3', 'pip', 'pip3']);
  assert.deepEqual(file.packageManager, { type: 'pip', cacheVolume: 'pip-cache' });
  assert.equal(file.environment['PATH_PREPEND'], '/usr/local/bin');
});

test('everything wrong with a runtime.yml is said at once, each with its place', () => {
  assert.deepEqual(
    problemsOf(`name: ../x
version: 3.10
enviroment: {A: b}
mounts:
  - source: ../../etc
    target: etc
    readonly: false
  - {source: a, target: /proc/self, selective: ["../x"]}
  - {source: a, target: /, sourse: b}
environment: {"1A": x, B: [1]}
requirements: {min_memory: much}
tests: [{name: a, command: [], output: "("}]
`),
    [
      'runtime.yml:9:28 mounts[2].sourse: is not known; did you mean source?',
      'runtime.yml:3:1 enviroment: is not known; did you mean environment?',
      'runtime.yml:1:7 name: must start with a letter or a digit and go on with letters, digits, . and -',
      'runtime.yml:2:10 version: must be a text; write it in quotes',
      'runtime.yml:5:13 mounts[0].source: leads out of the runtime by ..',
      'runtime.yml:6:13 mounts[0].target: must be an absolute path',
      'runtime.yml:7:15 mounts[0].readonly: can only be true: all jobs of a runtime share its files',
      'runtime.yml:8:25 mounts[1].target: cannot be below /proc, which every job has of its own',
      'runtime.yml:8:49 mounts[1].selective[0]: must be a name in the source, without a slash',
      'runtime.yml:9:25 mounts[2].target: cannot be /; leave mounts out to show the whole tree',
      'runtime.yml:10:21 environment.1A: is no name of a variable',
      'runtime.yml:10:27 environment.B: must be a text; write it in quotes',
      'runtime.yml:11:28 requirements.min_memory: "much" is not a size; write it as 512MB, 1.5GB or 4096',
      'runtime.yml:12:28 tests[0].command: must name a program',
      'runtime.yml:12:40 tests[0].output: Invalid regular expression: /(/mu: Unterminated group',
    ],
  );
});

test('keys of other programs are no problem, and are named', () => {
  const { file, unknownKeys } = parseRuntimeFile(`${CUSTOM}init: /sbin/init\n`, 'runtime.yml');
  assert.equal(file.name, 'my-custom-runtime');
  assert.deepEqual(unknownKeys, [{ field: 'runtime.yml:19:1', message: 'init is not known' }]);
});

test('what is no map of keys is refused as such', () => {
  for (const content of ['', '5', '- a', 'name: [', 'a: &x 1\nb: *x']) {
    assert.notDeepEqual(problemsOf(content), [], content);
  }
});

const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const oneLine = fc.stringMatching(/^[ -~äß→]{0,20}$/);
const file: fc.Arbitrary<RuntimeFile> = fc.record({
  name: word,
  version: fc.stringMatching(/^\d{1,3}(\.\d{1,3}){0,2}$/),
  description: oneLine,
  type: fc.constantFrom('system' as const, 'managed' as const),
  aliases: fc.array(
    word.map((name) => `java:${name}`),
    { maxLength: 3 },
  ),
  language: word,
  languageVersion: oneLine,
  mounts: fc.array(
    fc.record({
      source: fc.array(word, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      target: fc
        .array(word, { minLength: 1, maxLength: 3 })
        .map((parts) => `/opt/${parts.join('/')}`),
      selective: fc.array(word, { maxLength: 2 }),
    }),
    { maxLength: 3 },
  ),
  environment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,8}$/), oneLine, {
    noNullPrototype: true,
  }),
  requirements: fc.record({
    minMemoryBytes: fc.nat(),
    recommendedMemoryBytes: fc.nat(),
    architectures: fc.array(word),
    gpu: fc.boolean(),
  }),
  packages: fc.array(oneLine),
  libraries: fc.array(oneLine),
  packageManager: fc.option(fc.record({ type: word, cacheVolume: word }), { nil: undefined }),
  tests: fc.array(
    fc.record({
      name: word,
      command: fc.array(
        fc.string().filter((text) => !text.includes('\0')),
        { minLength: 1 },
      ),
      output: fc.constantFrom('', '^ok$'),
    }),
    { maxLength: 3 },
  ),
  built: fc.option(fc.record({ at: word, with: oneLine, platform: word }), { nil: undefined }),
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(file, (written) => {
      assert.deepEqual(read(formatRuntimeFile(written)), structuredClone(written));
    }),
  );
});
