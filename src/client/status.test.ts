import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { errorKinds, JobletError } from '../shared/errors.ts';
import { CallError, codeNames, codeOf, errorOfStatus, percentDecode } from './status.ts';

test('a failed call keeps its code and its sentence', () => {
  const error = errorOfStatus('5', 'job not found: f47ac10b');
  assert.equal(error?.kind, 'not-found');
  assert.equal(error?.code, 'NOT_FOUND');
  assert.equal(error?.message, 'job not found: f47ac10b');
});

test('success is no error', () => {
  assert.equal(errorOfStatus('0', undefined), undefined);
});

test('every number is understood, those from the future as UNKNOWN', () => {
  for (const [number, name] of codeNames.entries()) {
    if (number > 0) assert.equal(errorOfStatus(String(number), '')?.code, name);
  }
  assert.equal(errorOfStatus('99', 'x')?.code, 'UNKNOWN');
});

test('an error of our own has the code a daemon would have given it', () => {
  for (const kind of errorKinds) {
    const code = codeOf(new JobletError(kind, 'x'));
    assert.equal(new CallError(code, 'x').kind, kind);
  }
  assert.equal(codeOf(new Error('bug')), 'INTERNAL');
});

test('any text survives its percent encoding, and broken encoding does no harm', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      assert.equal(percentDecode(encodeURIComponent(text)), text);
    }),
  );
  assert.equal(percentDecode('50% of it'), '50% of it');
});
