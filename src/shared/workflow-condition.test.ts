// `if` of jobs: what holds, against a plain evaluator; and that what is put in is never read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type StepStatus, stepStatuses } from './step-status.ts';
import { holds, parseCondition } from './workflow-condition.ts';

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested

const values: Readonly<Record<string, string>> = { env: 'prod', no: 'false', odd: '" OR "a" = "a' };
const fill = (text: string) => text.replace(/\$\{(\w+)\}/g, (_, name) => values[name] ?? '');

function isTrue(text: string, statuses: Readonly<Record<string, StepStatus>> = {}): boolean {
  const see = (job: string) => ({ status: statuses[job] ?? ('PENDING' as const), hasRun: false });
  return holds(parseCondition(text, fill), see, () => undefined);
}

const cases: readonly (readonly [text: string, holds: boolean])[] = [
  ['${env} = prod', true],
  ['"${env}-1" == "prod-1"', true],
  ["'${env}' IN (dev, prod)", true],
  ['${env} NOT_IN (dev, prod)', false],
  ['${env} != dev AND NOT ${no}', true],
  ['${no}', false],
  ['""', false],
  ['false OR true', true],
  ['"0" OR "x"', true],
  ['a = FAILED', true],
  ['b', true],
  ['a IN (COMPLETED, SKIPPED) OR ${env} = dev', false],
  ['c = FINISHED && (a = COMPLETED || b != FAILED)', true],
  // As a text it is but a text, whatever stands in it.
  ['"${odd}" = "x"', false],
  ['${odd} = ${odd}', true],
];

for (const [text, wanted] of cases) {
  test(`${text} is ${wanted}`, () => {
    assert.equal(isTrue(text, { a: 'FAILED', b: 'COMPLETED', c: 'SKIPPED' }), wanted);
  });
}

interface Tree {
  readonly text: string;
  readonly value: (statuses: Readonly<Record<string, StepStatus>>) => boolean;
}

const words = ['eu', 'us', 'prod', 'false'] as const;
const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom(...stepStatuses)).map(([job, status]) => ({
    text: `${job}=${status}`,
    value: (statuses: Readonly<Record<string, StepStatus>>) => statuses[job] === status,
  })),
  fc
    .tuple(fc.constantFrom(...words), fc.array(fc.constantFrom(...words), { minLength: 1 }))
    .map(([word, others]) => ({
      text: `"${word}" IN (${others.join(', ')})`,
      value: () => others.includes(word),
    })),
  fc.constantFrom(...words).map((word) => ({ text: `'${word}'`, value: () => word !== 'false' })),
);

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('tree').map(
      ({ text, value }): Tree => ({ text: `NOT (${text})`, value: (s) => !value(s) }),
    ),
    fc.tuple(tie('tree'), tie('tree')).map(
      ([one, two]): Tree => ({
        text: `(${one.text}) AND (${two.text})`,
        value: (s) => one.value(s) && two.value(s),
      }),
    ),
    fc.tuple(tie('tree'), tie('tree')).map(
      ([one, two]): Tree => ({
        text: `(${one.text}) OR (${two.text})`,
        value: (s) => one.value(s) || two.value(s),
      }),
    ),
  ),
}));

test('any condition holds when a plain evaluator says so', () => {
  const statuses = fc.record({
    a: fc.constantFrom(...stepStatuses),
    b: fc.constantFrom(...stepStatuses),
  });
  fc.assert(
    fc.property(tree, statuses, ({ text, value }, seen) => {
      assert.equal(isTrue(text, seen), value(seen));
    }),
  );
});

test('no value that is put into a text changes what is compared', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const condition = parseCondition('"${v}" = "x" OR "${v}" = "y"', (text) =>
        text.replace('${v}', () => value.replaceAll('\0', '')),
      );
      const isEither = ['x', 'y'].includes(value.replaceAll('\0', ''));
      assert.equal(
        holds(
          condition,
          () => assert.fail('no job is asked for'),
          () => undefined,
        ),
        isEither,
      );
    }),
  );
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested
