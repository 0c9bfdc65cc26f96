// What a build says and leaves, and the lock that a client sends: any bytes are lines, an outcome and a
// lock within their bounds, or are refused.

import assert from 'node:assert/strict';
import { Lines } from '../../../src/daemon/builder/lines.ts';
import { parseOutcome } from '../../../src/daemon/builder/outcome.ts';
import { formatLock, parseLock } from '../../../src/shared/build-lock.ts';
import { parseBuildLine } from '../../../src/shared/build-phases.ts';
import { orRefused, target } from '../target.ts';

const lock = {
  schema_version: '1.0',
  base: 'Debian bookworm',
  platform: 'linux/amd64',
  time: '2030-01-01T00:00:00.000Z',
  apt: [
    { name: 'a', version: '1:2', architecture: 'all', sha256: 'a'.repeat(64), essential: true },
  ],
  pip: [{ name: 'b', version: '1', sha256: 'b'.repeat(64) }],
  npm: [{ name: '@c/d', version: '1.0.0' }],
};

export default target({
  seeds: [
    JSON.stringify(lock),
    JSON.stringify({ ok: true, lock }),
    JSON.stringify({ ok: false, phase: 'Copy libraries', message: 'x' }),
    '[ 7/14] Install base packages: 3\n  [ 8/14] not one\n! careful\n* bad\n',
  ],
  words: [
    '[ 1/14] ',
    '[14/14] Final validation',
    '"__proto__":',
    '"ok":true',
    '"apt":[',
    'essential',
  ],
  run(input) {
    const text = input.toString();
    const read = orRefused(() => parseLock(text), 'invalid');
    if (read !== undefined) assert.equal(formatLock(parseLock(formatLock(read))), formatLock(read));
    parseOutcome(text);
    const lines = new Lines();
    const half = Math.floor(input.length / 2);
    const all = [
      ...lines.push(input.subarray(0, half)),
      ...lines.push(input.subarray(half)),
      ...lines.end(),
    ];
    for (const line of all) {
      assert.ok(!line.includes('\n'));
      parseBuildLine(line);
    }
  },
});
