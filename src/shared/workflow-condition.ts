// `if` of a job: whether it runs when it could. States of the jobs that it requires, as there, and
// texts with values put in:
//
//   build=COMPLETED AND "${region}" IN (eu, us) AND NOT "${outputs.test.flaky}"
//
// A word on the left is a job; a text stands in quotes, or is a `${...}`, true or false. What is put into a text is
// compared, and never read as a part of the condition.

import {
  type Condition,
  type Joined,
  type Note,
  parseJoined,
  type Seen,
  statusLeaf,
  type TextLeaf,
  type Words,
} from './workflow-expression.ts';
import { fillLate, type OutputRef, partsOf, refsOf } from './workflow-outputs.ts';

/** Reads a condition; `fill` puts values into each of its texts. Throws `invalid`, as parseExpression. */
export function parseCondition(
  text: string,
  fill: (text: string) => string,
  note?: Note,
): Condition {
  const leaf = (words: Words<ConditionLeaf>) => {
    const isText = ['word', 'reference', 'TRUE', 'FALSE'].includes(words.next.sign);
    return isText ? textLeaf(words, fill) : statusLeaf(words);
  };
  return parseJoined(text, leaf, note);
}

type ConditionLeaf = Extract<Condition, { kind: 'is' | 'text' }>;

function textLeaf(words: Words<ConditionLeaf>, fill: (text: string) => string): Joined<TextLeaf> {
  const next = () => fill(words.take('reference') ? words.last.text : words.word('a text'));
  const text = next();
  if (words.take('=', '==')) return { kind: 'text', text, others: [next()] };
  if (words.take('!=', '<>')) return { kind: 'not', of: { kind: 'text', text, others: [next()] } };
  if (words.take('IN')) return { kind: 'text', text, others: words.list(next) };
  if (words.take('NOT_IN')) {
    return { kind: 'not', of: { kind: 'text', text, others: words.list(next) } };
  }
  return { kind: 'text', text };
}

/** Texts that say no where one stands alone. */
const NO: readonly string[] = ['', 'false', '0'];

/** Whether a condition holds, while jobs are as `see` says and have said the outputs that `find` knows. */
export function holds(
  condition: Condition,
  see: (job: string) => Seen,
  find: (ref: OutputRef) => string | undefined,
): boolean {
  switch (condition.kind) {
    case 'all':
      return condition.of.every((one) => holds(one, see, find));
    case 'any':
      return condition.of.some((one) => holds(one, see, find));
    case 'not':
      return !holds(condition.of, see, find);
    case 'is':
      return isSeen(condition.statuses, see(condition.job));
    case 'text': {
      const filled = (text: string) =>
        fillLate(partsOf(text), (ref) => find(ref) ?? ref.fallback ?? '');
      const text = filled(condition.text);
      const { others } = condition;
      return others === undefined
        ? !NO.includes(text)
        : others.some((other) => filled(other) === text);
    }
  }
}

function isSeen(statuses: readonly Seen['status'][], { status, hasRun }: Seen): boolean {
  return statuses.includes(status) || (hasRun && statuses.includes('RUNNING'));
}

/** The outputs that a condition asks for. */
export function outputsIn(condition: Condition): OutputRef[] {
  switch (condition.kind) {
    case 'is':
      return [];
    case 'not':
      return outputsIn(condition.of);
    case 'text':
      return [condition.text, ...(condition.others ?? [])].flatMap((text) => refsOf(partsOf(text)));
    default:
      return condition.of.flatMap(outputsIn);
  }
}
