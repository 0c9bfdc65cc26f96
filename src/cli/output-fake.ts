// An output for tests: it keeps what is written.

import type { Output } from './output.ts';

export interface FakeOutput extends Output {
  readonly bytes: () => Buffer;
  readonly text: () => string;
}

/** An output that is a pipe without colours, unless told otherwise. */
export function fakeOutput(
  given: Partial<Pick<Output, 'terminal' | 'color' | 'columns' | 'rows'>>,
): FakeOutput {
  const written: Buffer[] = [];
  const bytes = () => Buffer.concat(written);
  return {
    terminal: given.terminal ?? false,
    color: given.color ?? false,
    columns: given.columns,
    rows: given.rows,
    write: (data) => {
      written.push(Buffer.from(data as string));
      return undefined;
    },
    bytes,
    text: () => bytes().toString(),
  };
}
