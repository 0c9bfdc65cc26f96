// Searches the log of a job by a regular expression. The expression is a stranger's: it is matched in linear
// time, and other calls get their turn in between.

import { RE2JS } from 're2js';
import { invalid, messageOf } from '../../shared/errors.ts';
import { LineFinder, type LogSearch } from './line-finder.ts';
import type { LogEntry } from './logs.ts';

export const MAX_PATTERN_CHARS = 1000;
export const MAX_CONTEXT_LINES = 100;

const MAX_STATES = 2000;

/** What takes time to be read: ranges that end beyond ASCII, a millisecond or more each, and classes of Unicode. */
const WIDE_RANGE = /-(?:[^\0-\x7f]|\\)/g;
const MAX_WIDE_RANGES = 5;
const UNICODE_CLASS = /\\p/gi;
const MAX_UNICODE_CLASSES = 50;

/** Matching for so long, others get their turn. */
const TURN_MS = 5;

/**
 * Reads an expression in the syntax of RE2.
 * @throws JobletError invalid, with what is wrong with it
 */
export function parsePattern(text: string): RE2JS {
  const refuse = (message: string) => invalid([{ field: 'filter', message }]);
  if (text.length > MAX_PATTERN_CHARS) {
    throw refuse(`is longer than ${MAX_PATTERN_CHARS} characters`);
  }
  const isWide =
    (text.match(WIDE_RANGE)?.length ?? 0) > MAX_WIDE_RANGES ||
    (text.match(UNICODE_CLASS)?.length ?? 0) > MAX_UNICODE_CLASSES;
  if (isWide) throw refuse('has too many classes of characters beyond ASCII; write it with fewer');
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

/** The lines of a log that are found, each an entry of its own; what is missing is told as before. */
export async function* searchLines(
  entries: AsyncIterable<LogEntry>,
  search: LogSearch,
): AsyncGenerator<LogEntry> {
  let turn = performance.now();
  for await (const line of lookedAt(entries, new LineFinder(search))) {
    if (line !== undefined) yield line;
    if (performance.now() - turn < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    turn = performance.now();
  }
}

async function* lookedAt(
  entries: AsyncIterable<LogEntry>,
  finder: LineFinder,
): AsyncGenerator<LogEntry | undefined> {
  for await (const entry of entries) yield* finder.look(entry);
  yield* finder.rest();
}
