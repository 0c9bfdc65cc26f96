import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineFinder, type LogSearch } from './line-finder.ts';
import { parsePattern } from './log-search.ts';
import type { LogEntry } from './logs.ts';

type Written = readonly (readonly ['stdout' | 'stderr', string])[];

function found(written: Written, search: LogSearch): LogEntry[] {
  const finder = new LineFinder(search);
  const entries: LogEntry[] = [];
  const keep = (each: LogEntry | undefined) => {
    if (each !== undefined) entries.push({ ...each, data: Buffer.from(each.data) });
  };
  let position = 0;
  for (const [stream, text] of written) {
    const data = Buffer.from(text);
    const entry = { stream, timeNs: BigInt(position), position, data, droppedBytes: 0, reason: '' };
    for (const each of finder.look(entry)) keep(each);
    position += data.length;
    // By now somebody else may have written there.
    data.fill('x');
  }
  for (const each of finder.rest()) keep(each);
  return entries;
}

function textsOf(entries: readonly LogEntry[]): string[] {
  return entries.flatMap(({ data, isApart }) => [
    ...(isApart === true ? ['--'] : []),
    Buffer.from(data).toString(),
  ]);
}

/** The same by a plain look at each line, in the order in which they became whole. */
function expected(written: Written, regexp: RegExp, before: number, after: number): string[] {
  const begun = { stdout: '', stderr: '' };
  const lines: string[] = [];
  for (const [stream, text] of written) {
    const [last = '', ...whole] = (begun[stream] + text).split(/(?<=\n)/).reverse();
    const isWhole = last.endsWith('\n');
    lines.push(...whole.reverse(), ...(isWhole ? [last] : []));
    begun[stream] = isWhole ? '' : last;
  }
  // Of what is not whole, that comes first which was begun first.
  const rest = firstBegun(written).map((stream) => begun[stream]);
  lines.push(...rest.filter((text) => text !== ''));
  const hits = lines.flatMap((line, at) => (regexp.test(line.replace(/\n$/, '')) ? [at] : []));
  const shown = lines
    .keys()
    .filter((at) => hits.some((hit) => at >= hit - before && at <= hit + after));
  let previous = -1;
  return [...shown].flatMap((at) => {
    const isApart = before + after > 0 && previous >= 0 && at > previous + 1;
    previous = at;
    return [...(isApart ? ['--'] : []), lines[at] ?? ''];
  });
}

/** The streams that end within a line, by where those lines begin. */
function firstBegun(written: Written): ('stdout' | 'stderr')[] {
  const at = new Map<'stdout' | 'stderr', number>();
  written.forEach(([stream, text], number) => {
    if (text === '') return;
    const isNew = !at.has(stream) || text.includes('\n');
    if (isNew) at.delete(stream);
    if (isNew && !text.endsWith('\n')) at.set(stream, number);
  });
  return [...at.keys()];
}

const pieces = [
  'need',
  'le',
  'needle',
  ' 1',
  '\n',
  '\n\n',
  'x',
  '\nneedle 12\n',
  'ä',
  '\n1\n2\n3\n4\n',
];
const writes = fc.array(
  fc.tuple(fc.constantFrom<'stdout' | 'stderr'>('stdout', 'stderr'), fc.constantFrom(...pieces)),
  { maxLength: 60 },
);

test('lines are found as by a plain look at each, with those around them, however they were written', () => {
  const around = fc.integer({ min: 0, max: 3 });
  // With a word to look for, and without one.
  const expressions = fc.constantFrom('needle [0-9]+', '(?:need|x)', 'ä$');
  fc.assert(
    fc.property(writes, expressions, around, around, (written, text, before, after) => {
      assert.deepEqual(
        textsOf(found(written, { pattern: parsePattern(text), before, after })),
        expected(written, new RegExp(text), before, after),
      );
    }),
    { numRuns: 300 },
  );
});
