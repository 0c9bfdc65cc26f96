// What the output of a runtime's test has to match: a regular expression, in which ^ and $ are those of
// a line.

import { messageOf } from './errors.ts';

/** @throws SyntaxError */
export function readPattern(pattern: string): RegExp {
  return new RegExp(pattern, 'mu');
}

export function patternProblem(pattern: string): string | undefined {
  try {
    readPattern(pattern);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
