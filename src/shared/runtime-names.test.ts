import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareVersions,
  matchRuntime,
  type NamedRuntime,
  nearestRuntime,
  runtimeCandidates,
  runtimeSpecProblem,
  wordsOfRuntime,
} from './runtime-names.ts';

function runtime(name: string, version: string, more: Partial<NamedRuntime> = {}): NamedRuntime {
  return { name, version, aliases: [], isCurrent: false, ...more };
}

const installed = [
  runtime('python-3.11', '1.0.0'),
  runtime('python-3.11-ml', '1.2.0'),
  runtime('python-3.11-ml', '1.10.0'),
  runtime('python-3.11-ml', '2.0.0-rc1'),
  runtime('python-2.7-legacy', '1.0.0', { aliases: ['python:2.7'] }),
  runtime('openjdk-17', '17.0.9'),
  runtime('openjdk-21', '21.0'),
  runtime('graalvmjdk-21', '21.0'),
  runtime('node-22', '1.0.0', { aliases: ['node:18', 'node:22'] }),
  runtime('go', '1.22.3'),
  runtime('go', '1.3.0'),
];

// S0-37
test('S2-16 S0-10 every form of a name means the runtime that people mean by it', () => {
  const meant: Readonly<Record<string, string>> = {
    'python-3.11-ml': 'python-3.11-ml@1.10.0',
    'python:3.11-ml': 'python-3.11-ml@1.10.0',
    'python-3.11-ml@latest': 'python-3.11-ml@1.10.0',
    'python:3.11-ml@1.2.0': 'python-3.11-ml@1.2.0',
    'python:3.11': 'python-3.11@1.0.0',
    'python-3.11-ml@2.0.0-rc1': 'python-3.11-ml@2.0.0-rc1',
    'python-2.7': 'undefined',
    'python:2.7': 'python-2.7-legacy@1.0.0',
    'java:17': 'openjdk-17@17.0.9',
    'java:21': 'openjdk-21@21.0',
    'java-21': 'openjdk-21@21.0',
    'openjdk:21': 'openjdk-21@21.0',
    'Java:21': 'openjdk-21@21.0',
    'graalvm:21': 'graalvmjdk-21@21.0',
    'node:18': 'node-22@1.0.0',
    'nodejs-22': 'node-22@1.0.0',
    'go:1.22': 'go@1.22.3',
    'golang:1.22.3': 'go@1.22.3',
    go: 'go@1.22.3',
    'go@1.3.0': 'go@1.3.0',
    'java:8': 'undefined',
    'python-3.11-ml@9.9.9': 'undefined',
    'ruby:3.2': 'undefined',
    '': 'undefined',
  };
  for (const [text, wanted] of Object.entries(meant)) {
    const found = matchRuntime(text, installed);
    assert.equal(
      found === undefined ? 'undefined' : `${found.name}@${found.version}`,
      wanted,
      text,
    );
  }
});

test('the version that counts as current is the latest, whatever its number', () => {
  const two = [runtime('a', '2.0.0'), runtime('a', '1.0.0', { isCurrent: true })];
  assert.equal(matchRuntime('a', two)?.version, '1.0.0');
  assert.equal(matchRuntime('a@2.0.0', two)?.version, '2.0.0');
});

test('a runtime is always found by its own name, whatever others call themselves', () => {
  const others = [...installed, runtime('x', '1', { aliases: ['openjdk-21', 'java:21'] })];
  assert.equal(matchRuntime('openjdk-21', others)?.name, 'openjdk-21');
});

test('S0-56 a near miss is answered by the right name', () => {
  const guesses: Readonly<Record<string, string | undefined>> = {
    'pyton-3.11': 'python-3.11',
    'python-3.11ml': 'python-3.11-ml',
    'Python-3.11': 'python-3.11',
    'java:20': 'openjdk-21',
    openjdk21: 'openjdk-21',
    'node:16': 'node:18',
    'python:3.99': 'python-3.11',
    'perl:5': undefined,
    nonsense: undefined,
  };
  for (const [text, wanted] of Object.entries(guesses)) {
    assert.equal(nearestRuntime(text, installed), wanted, text);
  }
});

test('a name is taken apart into language, version, variants and architecture', () => {
  assert.deepEqual(wordsOfRuntime('python:3.11-ml'), {
    language: 'python',
    version: '3.11',
    variants: ['ml'],
    architecture: '',
  });
  assert.deepEqual(wordsOfRuntime('openjdk-21-headless-arm64@1.0'), {
    language: 'java',
    version: '21',
    variants: ['headless'],
    architecture: 'arm64',
  });
  assert.equal(wordsOfRuntime('my-tools').language, '');
  assert.equal(runtimeCandidates('java:21')[0], 'openjdk-21');
});

test('versions are ordered by their numbers, not by their letters', () => {
  const ordered = [
    '1',
    '1.0.0-alpha',
    '1.0.0-rc2',
    '1.0.0-rc10',
    '1.0.0',
    '1.0.0+b1',
    '1.9',
    '1.10',
    '2.0-rc1',
    '2.0',
    '10',
  ];
  for (const seed of [1, 2, 3]) {
    const shuffled = ordered.map((version, at) => ({ version, at: (at * 7 * seed) % 11 }));
    shuffled.sort((a, b) => a.at - b.at);
    const sorted = shuffled.map(({ version }) => version).sort(compareVersions);
    assert.deepEqual(sorted, ordered);
  }
});

test('the order of versions is one order: nobody comes before himself, and no three go round', () => {
  const version = fc
    .array(fc.constantFrom('1', '2', '10', '01', 'a', 'rc', '.', '-', '+'), { maxLength: 8 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(compareVersions(a, a), 0);
      assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
      if (compareVersions(a, b) === 0) assert.equal(a, b);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
        assert.ok(compareVersions(a, c) <= 0, `${a} ${b} ${c}`);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a name that passes leads nowhere but into the folder of runtimes', () => {
  for (const text of [
    '../x',
    'name@../x',
    'a/b',
    '.hidden',
    'a@',
    'a@b@c',
    'a:b:c',
    'x..y',
    ':',
    'a\n',
  ]) {
    assert.notEqual(runtimeSpecProblem(text), undefined, JSON.stringify(text));
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab1.-_/@:+\0 ') }), (text) => {
      if (runtimeSpecProblem(text) === undefined) assert.match(text, /^[\w.:@+-]+$/);
    }),
  );
});
