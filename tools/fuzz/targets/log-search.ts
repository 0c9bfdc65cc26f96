// An expression that a stranger looks for in a log: the first line of the input. It is refused, or finds
// what a plain look at each line finds, however the log was written.

import assert from 'node:assert/strict';
import { fixedWord } from '../../../src/daemon/jobs/fixed-word.ts';
import { parsePattern, searchLines } from '../../../src/daemon/jobs/log-search.ts';
import { collect, orRefused, streamOf, target } from '../target.ts';

/** Bytes of each piece that the log was written in. */
const PIECE_BYTES = 7;

export default target({
  seeds: [
    'needle\nhay\nneedle\nneed\nle\n',
    'time(out|d out)\nit timed out\na timeout\n',
    '(?i)ERROR$\nerror\nerrors\n',
    '^$\n\n\nx',
    'a{2,5}b?\naab\nab\naaaaaaa',
    '[^\\x00-\\x7f]\nü\nu\n\u{1f600}\n',
    '\\bx\\b|\\d+\nx\n12\nax',
    '(a*)*b\naaaaaaaaaaaaaaaaaaaaaaaa\n',
  ],
  words: [
    '(?i)',
    '.*',
    '[^',
    ']',
    '\\b',
    '\\pL',
    '|',
    '{1,9}',
    '$',
    '^',
    '(?s:',
    ')',
    '\\n',
    '\xff',
  ],
  async run(input) {
    const end = input.indexOf('\n');
    const text = input.subarray(0, end < 0 ? input.length : end).toString();
    const pattern = orRefused(() => parsePattern(text), 'invalid');
    if (pattern === undefined) return;
    const word = fixedWord(pattern.pattern());
    assert.ok(word === undefined || word !== '');
    // The log is text: of other bytes the two may think differently.
    const log = end < 0 ? '' : input.subarray(end + 1).toString();
    const bytes = Buffer.from(log);
    const pieces = Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, at) => ({
      stream: 'stdout' as const,
      timeNs: BigInt(at),
      position: at * PIECE_BYTES,
      data: bytes.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES),
      droppedBytes: 0,
      reason: '',
    }));
    const search = { pattern, before: 0, after: 0 };
    const found = await collect(searchLines(streamOf(pieces), search));
    const lines = log.split(/(?<=\n)/).filter((line) => line !== '');
    const wanted = lines.filter((line) => pattern.matcher(line.replace(/\n$/, '')).find());
    assert.deepEqual(
      found.map(({ data }) => Buffer.from(data).toString()),
      wanted,
    );
  },
});
