// Files of outputs: any bytes are values that were declared, or a sentence about what is wrong.

import assert from 'node:assert/strict';
import { parseOutputs } from '../../../src/daemon/workflows/output-file.ts';
import { target } from '../target.ts';

const DECLARED = ['version', 'notes'];

export default target({
  seeds: [
    'version=1.2.3\n',
    'notes<<END\nfirst\nsecond\nEND\nversion=2\n',
    'version=\r\n\nnotes=a=b\n',
    'notes<<E\nE\n',
  ],
  words: ['version=', 'notes<<', '<<END\n', '\nEND\n', '\r\n', '\0', '__proto__='],
  run(input) {
    const reading = parseOutputs(input, DECLARED);
    if ('problem' in reading) {
      assert.match(reading.problem, /^(its outputs|line \d+ of its outputs) /);
      return;
    }
    for (const [name, value] of Object.entries(reading.outputs)) {
      assert.ok(DECLARED.includes(name));
      assert.ok(input.includes(value));
    }
  },
});
