// The progress of long work as a stream: what happened while the client did not read is told by its
// latest state.

/** Work that tells its steps; the stream ends with its result. */
export async function* stepsOf<S extends { readonly number: number }, R>(
  work: (report: (step: S) => void) => Promise<R>,
): AsyncGenerator<S, R> {
  const waiting: S[] = [];
  let news = Promise.withResolvers<void>();
  const report = (step: S) => {
    // Of one step only the latest counts, so there are never more than there are steps.
    if (waiting.at(-1)?.number === step.number) waiting.pop();
    waiting.push(step);
    news.resolve();
  };
  let isOver = false;
  const result = work(report).finally(() => {
    isOver = true;
    news.resolve();
  });
  // Its failure is thrown where it is awaited.
  result.catch(() => {});
  for (;;) {
    await news.promise;
    news = Promise.withResolvers();
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) yield step;
    if (isOver) return await result;
  }
}
