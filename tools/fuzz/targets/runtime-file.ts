// runtime.yml: every text is a runtime within its bounds, or is refused with places; and the names that
// clients ask for lead nowhere but to runtimes.

import assert from 'node:assert/strict';
import path from 'node:path/posix';
import { JobletError } from '../../../src/shared/errors.ts';
import {
  formatRuntimeFile,
  ownPlaces,
  parseRuntimeFile,
  type ReadRuntimeFile,
} from '../../../src/shared/runtime-file.ts';
import {
  compareVersions,
  matchRuntime,
  nearestRuntime,
  runtimeSpecProblem,
  wordsOfRuntime,
} from '../../../src/shared/runtime-names.ts';
import { target } from '../target.ts';

const FILE = 'runtime.yml';
const FOLDER = '/runtimes';

const installed = [
  { name: 'python-3.11-ml', version: '1.10.0', aliases: ['python:3.11-ml'], isCurrent: false },
  { name: 'python-3.11-ml', version: '1.9.0', aliases: [], isCurrent: false },
  { name: 'openjdk-21', version: '21.0', aliases: [], isCurrent: true },
  { name: 'go', version: '1.22.3', aliases: [], isCurrent: false },
  { name: 'go', version: '1.22.10', aliases: [], isCurrent: false },
];

export default target({
  seeds: [
    'name: "python-3.11-ml"\nversion: "3.11"\nmounts:\n  - source: "isolated/bin"\n    target: "/bin"\n    readonly: true\n',
    'name: a\nversion: "1"\nenvironment:\n  PATH_PREPEND: "/usr/local/bin"\n  N: 1\npackage_manager:\n  type: pip\n  cache_volume: pip-cache\n',
    'name: a\nversion: "1"\nrequirements: {min_memory: 512MB, recommended_memory: 2GB, architectures: [x86_64], gpu: false}\n',
    'name: a\nversion: "1"\naliases: ["java:21"]\ntests: [{name: x, command: [sh, -c, ":"], output: "^$"}]\n',
    'mounts: [{source: ../x, target: /proc, selective: [..]}]\n',
    'python:3.11-ml@1.10.0',
    'java:21@latest',
    'go:1.22',
    '1.0.0-rc1\n1.0.0',
    'name@../x',
  ],
  words: [
    'name: ',
    'version: ',
    'mounts:',
    'source: ',
    'target: ',
    'readonly: ',
    'selective: ',
    'environment:',
    'requirements:',
    'tests:',
    'aliases: ',
    'built:',
    '__proto__',
    'constructor',
    '..',
    '/',
    '\n  ',
    '- ',
    '{',
    '[',
    '"',
    '@',
    ':',
    '1e999',
  ],
  run(input) {
    const text = input.toString();
    readName(text);
    let read: ReadRuntimeFile;
    try {
      read = parseRuntimeFile(text, FILE);
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'invalid') throw error;
      assert.ok(error.problems.length > 0);
      for (const { field } of error.problems) assert.match(field, /^runtime\.yml(:\d+:\d+)?$/);
      return;
    }
    const { file } = read;
    for (const { source, target: place, selective } of file.mounts) {
      assert.equal(path.resolve(FOLDER, source), `${FOLDER}/${source}`);
      assert.equal(path.resolve('/', place), place);
      assert.ok(!ownPlaces.some((own) => `${place}/`.startsWith(`${own}/`)));
      for (const name of selective) assert.equal(path.resolve(FOLDER, name), `${FOLDER}/${name}`);
    }
    assert.equal(path.resolve(FOLDER, file.name), `${FOLDER}/${file.name}`);
    assert.equal(path.resolve(FOLDER, file.version), `${FOLDER}/${file.version}`);
    assert.deepEqual(parseRuntimeFile(formatRuntimeFile(file), FILE).file, file);
  },
});

function readName(text: string): void {
  wordsOfRuntime(text);
  const [one = '', other = ''] = text.split('\n');
  assert.equal(Math.sign(compareVersions(one, other)) + Math.sign(compareVersions(other, one)), 0);
  assert.equal(compareVersions(one, other) === 0, one === other);
  const found = matchRuntime(text, installed);
  assert.ok(found === undefined || installed.includes(found));
  const guess = nearestRuntime(text, installed);
  assert.ok(guess === undefined || matchRuntime(guess, installed) !== undefined);
  if (runtimeSpecProblem(text) !== undefined) return;
  for (const part of text.split(/[:@]/)) {
    assert.equal(path.resolve(FOLDER, part), `${FOLDER}/${part}`);
  }
}
