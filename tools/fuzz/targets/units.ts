// Sizes and durations: what is understood is a whole number, and is written and read back the same.

import assert from 'node:assert/strict';
import {
  formatBytes,
  formatDuration,
  parseBytes,
  parseDuration,
} from '../../../src/shared/units.ts';
import { orRefused, target } from '../target.ts';

const readers = [
  { parse: parseBytes, format: formatBytes },
  { parse: parseDuration, format: formatDuration },
] as const;

export default target({
  seeds: ['512MB', '1.5 GiB', '4096', '1h30m', '1.5s', '100ms', '1500us', '2d', '7µs', ''],
  words: [
    'KB',
    'MiB',
    'GB',
    'T',
    'd',
    'h',
    'm',
    's',
    'ms',
    'us',
    'µs',
    '.',
    '0',
    '9007199254740991',
  ],
  run(input) {
    const text = input.toString();
    for (const { parse, format } of readers) {
      const value = orRefused(() => parse(text), 'invalid');
      if (value === undefined) continue;
      assert.ok(Number.isSafeInteger(value) && value >= 0);
      assert.equal(parse(format(value)), value);
    }
  },
});
