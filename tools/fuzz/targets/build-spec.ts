// Build specifications: every text is one within its bounds, or is refused with places.

import assert from 'node:assert/strict';
import { type BuildSpec, parseBuildSpec, warningsOf } from '../../../src/shared/build-spec.ts';
import { JobletError } from '../../../src/shared/errors.ts';
import { target } from '../target.ts';

const FILE = 'runtime.yaml';
const HEAD = 'schema_version: "1.0"\nname: a\nversion: 1.0.0\n';

export default target({
  seeds: [
    `${HEAD}base: {debian: bookworm}\napt: [python3]\npip: ["numpy>=1.24.3,<2.0"]\n`,
    `${HEAD}base: {language: python, version: "3.11"}\nnpm: ["typescript@5"]\n`,
    `${HEAD}base: {none: true}\nfiles:\n  - {target: /bin/a, mode: "0755", content: x}\n`,
    `${HEAD}base: {ubuntu: noble}\nlinks: [{target: /a, to: b}]\nremove: [/usr/share/**]\n`,
    `${HEAD}base: {debian: sid}\nhooks: {timeout: 5m, post_install: "true"}\ntests:\n  - {name: a, command: [a], output: "^$"}\n`,
    `${HEAD}base: {none: true}\nrequirements: {min_memory: 512MB}\nplatforms: [linux/amd64]\naliases: ["a:1"]\n`,
  ],
  words: [
    'base: ',
    'language: ',
    'version: ',
    'pip_options: ',
    'archives: ',
    'sha256: ',
    'strip: ',
    'closure: {ignore: ',
    'environment: ',
    'cuda_version: ',
    '__proto__',
    'constructor',
    '..',
    '/../',
    '[',
    '{',
    '&a ',
    '*a',
    '<<: ',
    '|\n',
    '---',
    'null',
    '.nan',
  ],
  run(input) {
    let spec: BuildSpec;
    try {
      spec = parseBuildSpec(input.toString(), FILE);
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'invalid') throw error;
      assert.ok(error.problems.length > 0);
      for (const { field } of error.problems) assert.match(field, /^runtime\.yaml:\d+:\d+$/);
      return;
    }
    assert.match(spec.name, /^[a-z0-9][a-z0-9.-]{0,63}$/);
    for (const { target: place } of [...spec.files, ...spec.links, ...spec.archives]) {
      assert.ok(!place.split('/').includes('..') && place.startsWith('/'));
    }
    for (const word of [...spec.pip, ...spec.npm, ...spec.apt]) assert.ok(!word.startsWith('-'));
    warningsOf(spec);
  },
});
