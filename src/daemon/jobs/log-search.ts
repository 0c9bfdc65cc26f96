// Finds lines in the log of a job by a regular expression, with lines around them. The expression is a
// stranger's: it is matched in linear time, on pieces that are the shorter the bigger it is, and other
// calls get their turn in between.

import { RE2JS } from 're2js';
import { invalid, messageOf } from '../../shared/errors.ts';
import { fixedWord } from './fixed-word.ts';
import type { LogEntry } from './logs.ts';

export interface LogSearch {
  readonly pattern: RE2JS;
  /** Lines shown around each that is found. */
  readonly before: number;
  readonly after: number;
}

export const MAX_PATTERN_CHARS = 1000;
export const MAX_CONTEXT_LINES = 100;

/** States of an expression times characters that it is matched against at once: some 30 ms. */
const MATCH_BUDGET = 1_000_000;
const MAX_STATES = 2000;
const MAX_PIECE_CHARS = 16 * 1024;

/** Matching for so long, others get their turn. */
const TURN_MS = 10;

/**
 * Reads an expression in the syntax of RE2.
 * @throws JobletError invalid, with what is wrong with it
 */
export function parsePattern(text: string): RE2JS {
  const refuse = (message: string) => invalid([{ field: 'filter', message }]);
  if (text.length > MAX_PATTERN_CHARS) {
    throw refuse(`is longer than ${MAX_PATTERN_CHARS} characters`);
  }
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(text);
  } catch (error) {
    throw refuse(`is no regular expression: ${messageOf(error)}`);
  }
  if (pattern.programSize() > MAX_STATES) {
    throw refuse('repeats too much; write it with fewer or smaller repetitions');
  }
  return pattern;
}

/** A line, or a part of one that is very long. */
interface Line extends LogEntry {
  readonly number: number;
}

/** The lines of a log that are found, each an entry of its own; what is missing is told as before. */
export async function* searchLines(
  entries: AsyncIterable<LogEntry>,
  { pattern, before, after }: LogSearch,
): AsyncGenerator<LogEntry> {
  const pieceBytes = Math.min(MAX_PIECE_CHARS, Math.floor(MATCH_BUDGET / pattern.programSize()));
  const earlier: Line[] = [];
  let shown = -1;
  let left = 0;
  let turn = performance.now();
  // Lines around those that are found are wanted whatever is in them.
  const word = before + after > 0 ? undefined : fixedWord(pattern.pattern());
  for await (const line of numbered(splitLines(entries, pieceBytes, word))) {
    if (line.stream === 'gap') {
      yield line;
      continue;
    }
    const isFound = pattern.matcher(textOf(line)).find();
    if (isFound) left = after + 1;
    if (left > 0) {
      left -= 1;
      for (const each of [...earlier.splice(0), line]) {
        const isApart = before + after > 0 && shown >= 0 && each.number > shown + 1;
        yield isApart ? { ...each, isApart } : each;
        shown = each.number;
      }
    } else if (before > 0) {
      earlier.push(line);
      if (earlier.length > before) earlier.shift();
    }
    if (performance.now() - turn < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    turn = performance.now();
  }
}

async function* numbered(entries: AsyncIterable<LogEntry>): AsyncGenerator<Line> {
  let number = 0;
  for await (const entry of entries) yield { ...entry, number: number++ };
}

/** A line without its end. */
function textOf({ data }: LogEntry): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  return bytes.toString('utf8', 0, end);
}

const NEWLINE = 0x0a;

/** A line that is not whole yet. */
interface Begun {
  readonly entry: LogEntry;
  readonly pieces: Buffer[];
  bytes: number;
}

/**
 * Each line as an entry, with the place and the time of its beginning, when it is whole. What is not
 * whole at the end is one too. Lines without `word` may be left out.
 */
export async function* splitLines(
  entries: AsyncIterable<LogEntry>,
  pieceBytes: number,
  word?: string,
): AsyncGenerator<LogEntry> {
  const begun = new Map<LogEntry['stream'], Begun>();
  for await (const entry of entries) {
    if (entry.stream === 'gap') {
      yield entry;
      continue;
    }
    const bytes = Buffer.from(entry.data.buffer, entry.data.byteOffset, entry.data.byteLength);
    for (let at = 0; at < bytes.length; ) {
      let line = begun.get(entry.stream);
      if (line === undefined && word !== undefined) {
        at = nextWith(word, bytes, at);
        if (at === bytes.length) break;
      }
      if (line === undefined) {
        line = { entry: { ...entry, position: entry.position + at }, pieces: [], bytes: 0 };
        begun.set(entry.stream, line);
      }
      const newline = bytes.indexOf(NEWLINE, at);
      const end = Math.min(newline < 0 ? bytes.length : newline + 1, at + pieceBytes - line.bytes);
      line.pieces.push(bytes.subarray(at, end));
      line.bytes += end - at;
      at = end;
      if (bytes[end - 1] !== NEWLINE && line.bytes < pieceBytes) continue;
      begun.delete(entry.stream);
      yield wholeLine(line);
    }
  }
  for (const line of begun.values()) yield wholeLine(line);
}

/** Where the first line from `from` on begins that has a word in it, or that is not whole. */
function nextWith(word: string, bytes: Buffer, from: number): number {
  const rest = bytes.lastIndexOf(NEWLINE) + 1;
  const found = bytes.indexOf(word, from, 'latin1');
  if (found < 0 || found >= rest) return Math.max(from, rest);
  return Math.max(from, bytes.lastIndexOf(NEWLINE, found) + 1);
}

function wholeLine({ entry, pieces }: Begun): LogEntry {
  const [only] = pieces;
  return {
    ...entry,
    data: pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces),
  };
}
