import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BuildSpec, parseBuildSpec, warningsOf } from './build-spec.ts';
import { JobletError } from './errors.ts';

const FILE = 'runtime.yaml';
const SHA256 = 'a'.repeat(64);

const least = 'schema_version: "1.0"\nname: tiny\nversion: 1.0.0\nbase:\n  none: true\n';

const whole = `
schema_version: "1.0"
name: python-3.11-ml
version: 1.0.0
description: Python with packages for machine learning
base:
  debian: bookworm
apt: [python3, python3-numpy, libc6=2.36-9+deb12u10]
pip: ["numpy>=1.24.3,<2.0", "requests[socks]", 'tomli; python_version<"3.11"']
pip_options: [--no-deps]
npm: ["typescript@5", "@types/node@^26.0.0"]
archives:
  - {path: graalvm.tar.gz, sha256: ${SHA256}, target: /usr/lib/jvm/graalvm, strip: 1}
  - {url: "https://example.org/x.tar.xz", sha256: ${SHA256}, target: /opt/x}
files:
  - {target: /usr/local/bin/hello, mode: "0755", content: "#!/bin/sh\\necho hello\\n"}
  - {target: /etc/motd, source: motd}
links: [{target: /usr/local/bin/python, to: /usr/bin/python3}]
libraries: [/usr/lib/**/*.so*]
remove: [/usr/share/doc/**]
closure: {ignore: [libcuda.so.1]}
environment: {JAVA_HOME: /usr/lib/jvm/graalvm}
requirements: {min_memory: 512MB, recommended_memory: 2GB, architectures: [x86_64, amd64], gpu: false}
platforms: [linux/amd64]
hooks: {timeout: 5m, pre_install: "true", post_install: "echo done"}
tests:
  - {name: imports, command: [python3, -c, "import numpy"], output: "^$"}
aliases: ["python:3.11-ml"]
`;

function problemsOf(text: string): string[] {
  try {
    parseBuildSpec(text, FILE);
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'invalid', String(error));
    return error.problems.map(({ field, message }) => `${field}: ${message}`);
  }
  return [];
}

test('a build specification is read with all its keys', () => {
  const spec = parseBuildSpec(whole, FILE);
  assert.equal(spec.name, 'python-3.11-ml');
  const { base } = spec;
  assert.deepEqual(base, {
    kind: 'suite',
    distribution: 'debian',
    suite: 'bookworm',
    packages: [],
  });
  assert.equal(spec.apt.length + spec.pip.length + spec.npm.length, 8);
  assert.deepEqual(spec.archives[1]?.strip, 0);
  assert.deepEqual(spec.files[1]?.mode, '0644');
  assert.deepEqual(spec.requirements, {
    min_memory: 512 * 1024 ** 2,
    recommended_memory: 2 * 1024 ** 3,
    architectures: ['x86_64', 'amd64'],
    gpu: false,
  });
  assert.equal(spec.hooks.timeout, 5 * 60_000);
  assert.deepEqual(spec.tests[0]?.command, ['python3', '-c', 'import numpy']);
  assert.deepEqual(spec.closure.ignore, ['libcuda.so.1']);
});

test('what is left out of a build specification has a default', () => {
  const spec = parseBuildSpec(least, FILE);
  assert.deepEqual(spec.base, { kind: 'none' });
  assert.deepEqual(spec.apt, []);
  assert.deepEqual(spec.platforms, ['linux/amd64', 'linux/arm64']);
  assert.equal(spec.hooks.timeout, 20 * 60_000);
  assert.deepEqual(spec.requirements, { architectures: [], gpu: false });
});

test('a language with a version stands for a suite and packages', () => {
  const base = (words: string): BuildSpec['base'] =>
    parseBuildSpec(least.replace('none: true', words), FILE).base;
  assert.deepEqual(base('language: python\n  version: "3.11"'), {
    kind: 'suite',
    distribution: 'debian',
    suite: 'bookworm',
    packages: ['python3', 'python3-pip'],
    language: { name: 'python', version: '3.11' },
  });
  const java = base('language: java\n  version: 21');
  assert.ok(java.kind === 'suite' && java.suite === 'trixie');
  const ubuntu = base('language: python\n  version: "3.12.3"');
  assert.ok(ubuntu.kind === 'suite' && ubuntu.distribution === 'ubuntu');
});

test('all problems of a build specification are named at once, each with line and column', () => {
  const text = [
    'schema_version: "2.0"',
    'name: Bad_Name',
    'version: 1.0',
    'base:',
    '  debain: bookworm',
    'atp: [python3]',
    'pip: ["--index-url=x"]',
    'archives:',
    '  - {path: ../x.tar, sha256: abc, target: usr/x, strp: 1}',
    'files:',
    '  - {target: /a/../b, content: x}',
    'hooks: {timeout: 3 moons}',
    '',
  ].join('\n');
  assert.deepEqual(problemsOf(text), [
    'runtime.yaml:1:17: schema_version: must be "1.0", the version of this grammar',
    'runtime.yaml:2:7: name: must be lowercase letters, digits, - and ., beginning with a letter or digit, at most 64',
    'runtime.yaml:3:10: version: must be X.Y.Z, three numbers',
    'runtime.yaml:5:3: base.debain: is not known; did you mean debian?',
    'runtime.yaml:7:7: pip[0]: must be a requirement such as numpy>=1.24.3,<2.0',
    'runtime.yaml:9:12: archives[0].path: must be a relative path beside this file, without empty parts, . and ..',
    'runtime.yaml:9:30: archives[0].sha256: must be the SHA-256 of the archive: 64 digits, 0 to f',
    'runtime.yaml:9:43: archives[0].target: must be an absolute path in the tree, without empty parts, . and ..',
    'runtime.yaml:9:50: archives[0].strp: is not known; did you mean strip?',
    'runtime.yaml:11:14: files[0].target: must be an absolute path in the tree, without empty parts, . and ..',
    'runtime.yaml:12:18: hooks.timeout: "3 moons" is not a duration; write it as 1h30m, 30s or 100ms',
    'runtime.yaml:6:1: atp: is not known; did you mean apt?',
    'runtime.yaml:5:3: base: must have exactly one of debian, ubuntu, language and none; it has no such key',
  ]);
});

const between: readonly (readonly [title: string, change: (text: string) => string, RegExp])[] = [
  [
    'two bases',
    (t) => t.replace('none: true', 'none: true\n  debian: sid'),
    /it has debian and none/,
  ],
  ['a language alone', (t) => t.replace('none: true', 'language: go'), /needs a version: 1.15/],
  [
    'a version that no suite has',
    (t) => t.replace('none: true', 'language: node\n  version: "19"'),
    /no Debian suite with node 19; there is 12, 18, 20/,
  ],
  [
    'a version that YAML reads as another one',
    (t) => t.replace('none: true', 'language: python\n  version: 3.10'),
    /must be a version in quotes/,
  ],
  [
    'a version without a language',
    (t) => t.replace('none: true', 'debian: sid\n  version: 3'),
    /goes with language/,
  ],
  ['packages without a base', (t) => `${t}apt: [bash]\n`, /apt: needs a base/],
  ['a hook without a base', (t) => `${t}hooks: {pre_install: "true"}\n`, /has no shell/],
  ['pip’s options without packages', (t) => `${t}pip_options: [--no-deps]\n`, /goes with pip/],
  ['a file without content', (t) => `${t}files: [{target: /a}]\n`, /either content or source/],
  [
    'a file and a link in one place',
    (t) => `${t}files: [{target: /a, content: ""}]\nlinks: [{target: /a, to: b}]\n`,
    /links\[0\].target: "\/a" stands twice/,
  ],
  [
    'an archive from two places',
    (t) => `${t}archives: [{path: a, url: "https://a", sha256: ${SHA256}, target: /a}]\n`,
    /either path or url/,
  ],
  [
    'less memory recommended than needed',
    (t) => `${t}requirements: {min_memory: 2GB, recommended_memory: 1GB}\n`,
    /is more than recommended_memory/,
  ],
  ['an alias of YAML', (t) => `${t}apt: &a [bash]\npip: *a\n`, /is an alias/],
  [
    'a pattern that is none',
    (t) => `${t}tests: [{name: a, command: [a], output: "("}]\n`,
    /regular expression/,
  ],
  [
    'a platform that nothing is built for',
    (t) => `${t}platforms: [linux/mips]\n`,
    /must be one of linux\/amd64, linux\/arm64/,
  ],
  ['no map', () => '- 1\n', /must be a map/],
  ['nothing', () => '', /must be a map/],
];

for (const [title, change, expected] of between) {
  test(`a build specification is refused for ${title}`, () => {
    assert.match(problemsOf(change(least)).join('\n'), expected);
  });
}

test('a specification that can be built has warnings for what may surprise', () => {
  assert.deepEqual(warningsOf(parseBuildSpec(whole, FILE)), [
    'pip: requests[socks] has no version; a later build takes the newest',
    'pip: tomli; python_version<"3.11" has no version; a later build takes the newest',
  ]);
  assert.equal(warningsOf(parseBuildSpec(least, FILE)).length, 2);
});

test('whatever a build specification says, it is refused with places or stays within its bounds', () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.string(), fc.constant(null));
  const key = fc.constantFrom('name', 'base', 'apt', 'archives', 'files', 'hooks', 'tests', 'zz');
  fc.assert(
    fc.property(fc.dictionary(key, value), (words) => {
      const text = least + JSON.stringify(words).slice(1, -1);
      for (const each of [text, `${least.slice(0, 40)}${JSON.stringify(words)}`]) {
        for (const problem of problemsOf(each)) assert.match(problem, /^runtime\.yaml:\d+:\d+: /);
      }
      const flow = { schema_version: '1.0', name: 'a', version: '1.0.0', base: { none: true } };
      for (const problem of problemsOf(JSON.stringify({ ...flow, ...words }))) {
        assert.match(problem, /^runtime\.yaml:\d+:\d+: /);
      }
    }),
  );
});
