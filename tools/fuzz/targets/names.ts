// Names and paths that clients choose: one that passes leads nowhere but where it belongs.

import assert from 'node:assert/strict';
import path from 'node:path/posix';
import { checkName, MAX_NAME_CHARS } from '../../../src/shared/names.ts';
import { nearest } from '../../../src/shared/nearest.ts';
import { pathProblem } from '../../../src/shared/upload-path.ts';
import { target } from '../target.ts';

const ROOT = '/work';

export default target({
  seeds: [
    'nightly_build-7',
    'src/lib/main.c',
    '..',
    'a/../b',
    '/etc/passwd',
    'a//b',
    './a',
    'a\0b',
  ],
  words: ['..', '/', '.', '../', '\\', '\0', 'maxCpuLimit', '%2e', '\u2025'],
  run(input) {
    const text = input.toString();
    if (checkName(text) === undefined) {
      assert.ok(text.length > 0 && text.length <= MAX_NAME_CHARS);
      assert.equal(path.basename(path.join(ROOT, text)), text);
      assert.match(text, /^[\w.-]+$/);
    }
    if (pathProblem(text) === undefined) {
      const whole = path.resolve(ROOT, text);
      assert.ok(whole.startsWith(`${ROOT}/`));
      assert.equal(whole, `${ROOT}/${text}`);
      assert.ok(!text.includes('\0') && Buffer.byteLength(text) <= 1024);
    }
    const known = ['maxCpuLimit', 'maxMemoryLimit', 'address'];
    const guess = nearest(text, known);
    assert.ok(guess === undefined || known.includes(guess));
  },
});
