import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePattern, searchLines } from './log-search.ts';
import type { LogEntry } from './logs.ts';

async function* entriesOf(
  written: readonly (readonly ['stdout' | 'stderr', string])[],
): AsyncGenerator<LogEntry> {
  let position = 0;
  for (const [stream, text] of written) {
    const data = Buffer.from(text);
    yield { stream, timeNs: 1n, position, data, droppedBytes: 0, reason: '' };
    position += data.length;
    // By now somebody else may have written there.
    data.fill('R');
  }
}

async function textOf(entries: AsyncIterable<LogEntry>): Promise<string[]> {
  const lines: string[] = [];
  for await (const { data, isApart } of entries) {
    if (isApart) lines.push('--');
    lines.push(Buffer.from(data).toString().trimEnd());
  }
  return lines;
}

const numbers = Array.from({ length: 20 }, (_, at) => `line ${at}\n`).join('');

test('lines that are found come one by one, with those around them where wanted', async () => {
  const search = (text: string, before: number, after: number) =>
    textOf(
      searchLines(entriesOf([['stdout', numbers]]), { pattern: parsePattern(text), before, after }),
    );
  assert.deepEqual(await search('1[03]$', 0, 0), ['line 10', 'line 13']);
  assert.deepEqual(await search(' 5$', 1, 2), ['line 4', 'line 5', 'line 6', 'line 7']);
  assert.deepEqual(await search(' [29]$', 1, 1), [
    'line 1',
    'line 2',
    'line 3',
    '--',
    'line 8',
    'line 9',
    'line 10',
  ]);
  assert.deepEqual(await search('nothing', 5, 5), []);
});

test('a search finds what a plain look at the lines finds, however they were written', async () => {
  const word = fc.constantFrom('a', 'b', 'ERROR', '\n', '\n\n', ' x\ny', 'ä');
  const writes = fc.array(fc.tuple(fc.constantFrom('stdout', 'stderr'), word), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(writes, async (written) => {
      const found = await textOf(
        searchLines(entriesOf(written), { pattern: parsePattern('R|x'), before: 0, after: 0 }),
      );
      const expected = ['stdout', 'stderr'].flatMap((stream) => {
        const all = written.filter(([name]) => name === stream).map(([, text]) => text);
        return all
          .join('')
          .split('\n')
          .filter((line) => /R|x/.test(line));
      });
      assert.deepEqual(found.toSorted(), expected.map((line) => line.trimEnd()).toSorted());
    }),
  );
});

test('an expression that is none, or would take for ever, is refused or takes its time in pieces', async () => {
  for (const text of [
    '[a',
    '(?=a)',
    '\\1',
    'a{1000}{1000}',
    `${'(.?){200}'.repeat(40)}`,
    'x'.repeat(2000),
    '(?i)[a-\u{10ffff}]'.repeat(50),
    '\\pL'.repeat(300),
  ]) {
    assert.throws(() => parsePattern(text), /filter/, text);
  }
  // Others get their turn while it is looked at.
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const text = createHash('shake256', { outputLength: 240_000 }).update('').digest('hex');
  const evil = entriesOf([['stdout', text]]);
  const pattern = parsePattern('[0-7]([0-9a-f]?){200}z');
  assert.deepEqual(await textOf(searchLines(evil, { pattern, before: 0, after: 0 })), []);
  isDone = true;
  assert.ok(turns > 3, `${turns} turns`);
});
