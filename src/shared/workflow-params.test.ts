// Parameters with types: what they may be, and what is said of what they may not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobletError } from './errors.ts';
import { parseWorkflow } from './workflow-file.ts';

/** The value of the parameter p in a file that declares it so. */
function valueOfP(declared: string, params: Readonly<Record<string, string>> = {}): string {
  const text = `params: {p: ${declared}}\njobs: {a: {command: x, args: ["\${p}"]}}`;
  const [job] = parseWorkflow(text, 'w.yaml', { params }).jobs;
  return job?.args[0] ?? '';
}

const fine: readonly (readonly [declared: string, given: string | undefined, value: string])[] = [
  ['unit', undefined, 'unit'],
  ['unit', 'system', 'system'],
  ['{default: 4, type: integer}', undefined, '4'],
  ['{type: integer}', '-12', '-12'],
  ['{type: number}', '1.5e3', '1.5e3'],
  ['{type: boolean}', 'false', 'false'],
  ['{enum: [eu, us], default: eu}', 'us', 'us'],
  ['{required: false}', undefined, ''],
  ['{description: what it is for, default: x}', undefined, 'x'],
];

for (const [declared, given, value] of fine) {
  test(`${declared} given ${given ?? 'nothing'} is ${JSON.stringify(value)}`, () => {
    assert.equal(valueOfP(declared, given === undefined ? {} : { p: given }), value);
  });
}

const wrong: readonly (readonly [declared: string, given: string | undefined, why: RegExp])[] = [
  ['{type: integer, default: 1}', '1.5', /^w\.yaml:1:10: params: .* for p is no integer: "1\.5"/],
  ['{type: number, default: 1}', 'NaN', /is no number: "NaN"/],
  ['{type: boolean, default: true}', 'yes', /is no boolean: "yes"/],
  ['{type: integer, default: many}', undefined, /:\d+: params: the default of p is no integer/],
  ['{type: integr, default: 1}', undefined, /no type 'integr'; did you mean 'integer'\?/],
  ['{enum: [nightly, stable]}', 'stabel', /is "stabel"; did you mean 'stable'\?/],
  ['{enum: [eu, us], default: uk}', undefined, /the default of p is "uk"; there are eu, us/],
  ['{type: string}', undefined, /p has to be given: --param p=VALUE/],
  ['{required: true, default: x}', undefined, /is required and has a default/],
  ['{requird: true}', 'x', /requird is not known here; did you mean required\?/],
  ['[a, b]', undefined, /p must be its default, or a map/],
  ['x', '\0', /holds a NUL character/],
];

for (const [declared, given, why] of wrong) {
  test(`${declared} given ${JSON.stringify(given ?? 'nothing')} is refused: ${why.source}`, () => {
    assert.throws(
      () => valueOfP(declared, given === undefined ? {} : { p: given }),
      (error) =>
        error instanceof JobletError && error.kind === 'invalid' && why.test(error.message),
    );
  });
}
