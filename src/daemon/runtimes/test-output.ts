// Whether the output of a runtime's test is as it should be. Its author wrote both, and a pattern can be such
// that trying it takes for ever: so it is tried in a thread of its own, which is then ended.

import { Worker } from 'node:worker_threads';

export interface Comparison {
  readonly pattern: string;
  readonly output: string;
}

/** A thousand times what a plain pattern takes, on a busy host too. */
const MOST_MS = 10_000;

/** What is wrong with an output, or an empty text. An empty pattern stands for any output. */
export async function outputProblem(
  pattern: string,
  output: string,
  mostMs = MOST_MS,
): Promise<string> {
  if (pattern === '') return '';
  const workerData: Comparison = { pattern, output: output.trimEnd() };
  const thread = new Worker(new URL('output-thread.ts', import.meta.url), { workerData });
  const answer = Promise.withResolvers<boolean | undefined>();
  const late = setTimeout(() => answer.resolve(undefined), mostMs);
  thread.once('message', answer.resolve);
  thread.once('error', answer.reject);
  try {
    const matches = await answer.promise;
    if (matches === undefined) {
      return `whether its output matches ${pattern} takes more than ${mostMs / 1000} s to say; write a simpler pattern`;
    }
    return matches ? '' : `its output does not match ${pattern}`;
  } finally {
    clearTimeout(late);
    await thread.terminate();
  }
}
