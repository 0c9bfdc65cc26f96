import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatLog, formatPhase, lineLevels, parseBuildLine, phases } from './build-phases.ts';

const text = fc
  .oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('a\u2028b', '\u2029', '\u0085'))
  .map((word) => word.replaceAll(/[\r\n]/g, ''));

test('a phase of a build is read as it was written', () => {
  fc.assert(
    fc.property(fc.constantFrom(...phases), text, (phase, message) => {
      assert.deepEqual(parseBuildLine(formatPhase(phase, message)), {
        kind: 'phase',
        phase,
        message,
      });
    }),
  );
});

test('what a program prints while it builds is never taken for a phase', () => {
  const lines = fc.oneof(
    text,
    fc.tuple(fc.constantFrom(...phases), text).map(([phase, word]) => formatPhase(phase, word)),
  );
  fc.assert(
    fc.property(fc.constantFrom(...lineLevels), lines, (level, message) => {
      assert.deepEqual(parseBuildLine(formatLog(level, message)), { kind: 'log', level, message });
    }),
  );
});
