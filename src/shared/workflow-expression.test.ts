import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from './errors.ts';
import { hasEnded, type StepStatus } from './step-status.ts';
import {
  type Expression,
  jobsOf,
  parseExpression,
  type Seen,
  type Standing,
  standingOf,
} from './workflow-expression.ts';

const finals = ['COMPLETED', 'FAILED', 'STOPPED', 'CANCELED', 'SKIPPED'] as const;
const names = ['a', 'b', 'c'] as const;

/** Everything that a job may become, from a status on; it has run when it runs. */
function futures({ status, hasRun }: Seen): Seen[] {
  const now = { status, hasRun };
  if (hasEnded(status)) return [now];
  const ends = finals.map((end) => ({ status: end, hasRun: false }));
  const ran = [
    { status: 'RUNNING' as const, hasRun: true },
    ...finals
      .filter((end) => end !== 'CANCELED' && end !== 'SKIPPED')
      .map((end) => ({ status: end, hasRun: true })),
  ];
  if (status === 'RUNNING' || hasRun) return [now, ...ran];
  if (status === 'INITIALIZING') return [now, ...ends, ...ran];
  const waiting = (['PENDING', 'SCHEDULED', 'INITIALIZING'] as const).map((one) => ({
    status: one,
    hasRun: false,
  }));
  return [now, ...waiting, ...ends, ...ran];
}

const status = fc.constantFrom<StepStatus>(...finals, 'RUNNING', 'PENDING', 'SCHEDULED');
const seen = status.map((one): Seen => ({ status: one, hasRun: one === 'RUNNING' }));

const tree = fc.letrec<{ tree: Expression; leaf: Expression }>((tie) => ({
  leaf: fc.record(
    {
      kind: fc.constant('is' as const),
      job: fc.constantFrom(...names),
      statuses: fc.uniqueArray(status, { minLength: 1, maxLength: 3 }),
    },
    { noNullPrototype: true },
  ),
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    tie('tree').map((of): Expression => ({ kind: 'not', of })),
    fc
      .array(tie('tree'), { minLength: 2, maxLength: 3 })
      .map((of): Expression => ({ kind: 'all', of })),
    fc
      .array(tie('tree'), { minLength: 2, maxLength: 3 })
      .map((of): Expression => ({ kind: 'any', of })),
  ),
})).tree;

/** Plain truth, as an evaluator has it that knows only how jobs stand in the end. */
function isTrue(expression: Expression, see: (job: string) => Seen): boolean {
  switch (expression.kind) {
    case 'is': {
      const { status: one, hasRun } = see(expression.job);
      const { statuses } = expression;
      return statuses.includes(one) || (hasRun && statuses.includes('RUNNING'));
    }
    case 'not':
      return !isTrue(expression.of, see);
    case 'all':
      return expression.of.every((one) => isTrue(one, see));
    case 'any':
      return expression.of.some((one) => isTrue(one, see));
  }
}

test('when all jobs have ended, an expression is settled, and as a plain evaluator has it', () => {
  const ended = fc.record({
    status: fc.constantFrom<StepStatus>(...finals),
    hasRun: fc.boolean(),
  });
  fc.assert(
    fc.property(tree, ended, ended, ended, (expression, a, b, c) => {
      const at = { a, b, c };
      const see = (job: string) => at[job as keyof typeof at];
      assert.equal(standingOf(expression, see), isTrue(expression, see) ? 'always' : 'never');
    }),
  );
});

test('what is settled stays so whatever jobs become, and what is true now is true', () => {
  fc.assert(
    fc.property(tree, seen, seen, seen, (expression, a, b, c) => {
      const at = { a, b, c };
      const standing = standingOf(expression, (job) => at[job as keyof typeof at]);
      if (standing === 'now') assert.ok(isTrue(expression, (job) => at[job as keyof typeof at]));
      if (standing === 'open' || standing === 'now') return;
      for (const x of futures(a)) {
        for (const y of futures(b)) {
          for (const z of futures(c)) {
            const then = { a: x, b: y, c: z };
            const truth = isTrue(expression, (job) => then[job as keyof typeof then]);
            assert.equal(truth, standing === 'always');
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** The expression in the grammar, every group in parentheses. */
function print(expression: Expression, words: 0 | 1): string {
  const between = { all: [' AND ', '&&'], any: [' or ', ' || '] } as const;
  switch (expression.kind) {
    case 'is':
      return words === 0
        ? `${expression.job} IN (${expression.statuses.join(', ')})`
        : `"${expression.job}" in(${expression.statuses.map((one) => one.toLowerCase()).join()})`;
    case 'not':
      return `${words === 0 ? 'NOT ' : '!'}(${print(expression.of, words)})`;
    default:
      return `(${expression.of.map((one) => print(one, words)).join(between[expression.kind][words])})`;
  }
}

test('what is written in either spelling is read back', () => {
  fc.assert(
    fc.property(tree, fc.constantFrom<0 | 1>(0, 1), (expression, words) => {
      assert.deepEqual(parseExpression(print(expression, words)), expression);
    }),
  );
});

const meanings: readonly (readonly [text: string, same: string])[] = [
  ['a=COMPLETED OR b=FAILED AND c=STOPPED', 'a=COMPLETED OR (b=FAILED AND c=STOPPED)'],
  ['NOT a=FAILED AND b=COMPLETED', '(NOT (a=FAILED)) AND (b=COMPLETED)'],
  ['!a=FAILED || b==COMPLETED && c<>STOPPED', '(NOT a=FAILED) OR (b=COMPLETED AND c!=STOPPED)'],
  ['a NOT_IN (FAILED, STOPPED)', 'NOT a IN (FAILED, STOPPED)'],
  ["'a'='completed' and \"b\"=FAILED", 'a=COMPLETED AND b=FAILED'],
  ['a', 'a=COMPLETED'],
  ['a=FINISHED', 'a IN (COMPLETED, FAILED, STOPPED, CANCELED, SKIPPED)'],
];

for (const [text, same] of meanings) {
  test(`${text} means ${same}`, () =>
    assert.deepEqual(parseExpression(text), parseExpression(same)));
}

const refused: readonly (readonly [text: string, why: RegExp])[] = [
  ['', /it ends where the name of a job/],
  ['a=', /it ends where a status/],
  ['a=COMPLETD', /did you mean COMPLETED/],
  ['(a=COMPLETED', /where \) is expected/],
  ['a=COMPLETED b=FAILED', /"b" stands at character 13 where AND, OR or the end/],
  ['a ~ b', /character 3: "~"/],
  ['a IN COMPLETED', /where \( is expected/],
  ['AND', /"AND" stands at character 1/],
  ['('.repeat(1000), /nested deeper/],
  ['!'.repeat(1000), /nested deeper/],
  [`a=${' '.repeat(10_000)}FAILED`, /more than 8192 characters/],
];

for (const [text, why] of refused) {
  test(`${JSON.stringify(text.slice(0, 30))} is refused: ${why.source}`, () => {
    assert.throws(
      () => parseExpression(text),
      (error) => {
        assert.ok(error instanceof JobletError && error.kind === 'invalid');
        assert.match(error.message, why);
        return true;
      },
    );
  });
}

const standings: readonly (readonly [
  text: string,
  a: StepStatus,
  hasRun: boolean,
  is: Standing,
])[] = [
  ['a=COMPLETED', 'PENDING', false, 'open'],
  ['a!=FAILED', 'RUNNING', true, 'open'],
  ['a!=FAILED', 'COMPLETED', true, 'always'],
  ['a=RUNNING', 'RUNNING', true, 'always'],
  ['a=RUNNING', 'FAILED', true, 'always'],
  ['a=RUNNING', 'CANCELED', false, 'never'],
  ['a=PENDING', 'PENDING', false, 'now'],
  ['a=PENDING', 'SCHEDULED', false, 'open'],
  ['a=SCHEDULED', 'PENDING', false, 'open'],
  ['a=PENDING', 'RUNNING', true, 'never'],
  ['a=COMPLETED', 'FAILED', true, 'never'],
];

for (const [text, one, hasRun, is] of standings) {
  test(`${text} is ${is} while a is ${one}${hasRun ? ' and has run' : ''}`, () => {
    assert.equal(
      standingOf(parseExpression(text), () => ({ status: one, hasRun })),
      is,
    );
  });
}

test('an expression names its jobs once each', () => {
  assert.deepEqual(jobsOf(parseExpression('b=FAILED OR (a AND NOT b=STOPPED)')), ['b', 'a']);
});
