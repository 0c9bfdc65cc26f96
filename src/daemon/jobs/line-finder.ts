// Picks from what a job has written the lines in which an expression finds something, with lines around them.

import type { RE2JS } from 're2js';
import { fixedWord } from './fixed-word.ts';
import { LineAutomaton } from './line-automaton.ts';
import { beginOfLine, LineSplitter, lengthOf } from './line-splitter.ts';
import type { LogEntry } from './logs.ts';

export interface LogSearch {
  readonly pattern: RE2JS;
  /** Lines shown around each that is found. */
  readonly before: number;
  readonly after: number;
}

/** A longer line is looked at in parts of so much. */
const LINE_BYTES = 64 * 1024;

interface Line {
  readonly entry: LogEntry;
  readonly number: number;
}

export class LineFinder {
  readonly #automaton: LineAutomaton;
  readonly #word: string | undefined;
  readonly #before: number;
  readonly #after: number;
  readonly #lines = new LineSplitter(LINE_BYTES);
  readonly #earlier: Line[] = [];
  #number = 0;
  /** The last line that was shown, and how many more are wanted behind it. */
  #shown = -1;
  #left = 0;

  constructor({ pattern, before, after }: LogSearch) {
    this.#automaton = new LineAutomaton(pattern);
    this.#word = fixedWord(pattern.pattern());
    this.#before = before;
    this.#after = after;
  }

  /**
   * What is to be shown of the lines that are whole with an entry; what is missing from the log is told
   * as before. Undefined gives others their turn.
   */
  *look(entry: LogEntry): Generator<LogEntry | undefined, void> {
    if (entry.stream === 'gap') {
      yield entry;
      return;
    }
    const skip = (bytes: Buffer, from: number) => this.#skip(bytes, from);
    for (const line of this.#lines.split(entry, skip)) yield* this.#take(line);
    yield;
  }

  /** The same of what is not whole at the end of a log. */
  *rest(): Generator<LogEntry | undefined, void> {
    for (const line of this.#lines.rest()) yield* this.#take(line);
  }

  /** Passes over lines that nobody has to look at. */
  #skip(bytes: Buffer, from: number): number {
    if (this.#left > 0) return from;
    let at = this.#next(bytes, from);
    for (let lines = 0; lines < this.#before && at > from; lines += 1) {
      at = Math.max(from, beginOfLine(bytes, at - 1));
    }
    // However many they are, what stands behind them does not follow what stands before them.
    if (at > from) this.#number += 1;
    return at;
  }

  /** Where the first line begins in which something may be found, or that is not whole. */
  #next(bytes: Buffer, from: number): number {
    if (this.#word === undefined) return this.#automaton.nextLine(bytes, from);
    const found = bytes.indexOf(this.#word, from, 'latin1');
    return Math.max(from, beginOfLine(bytes, found < 0 ? bytes.length : found));
  }

  *#take(entry: LogEntry): Generator<LogEntry | undefined, void> {
    const { data } = entry;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const line = { entry, number: this.#number++ };
    const isFound = yield* this.#automaton.isFoundIn(bytes, 0, lengthOf(entry));
    if (isFound) this.#left = this.#after + 1;
    if (this.#left > 0) {
      this.#left -= 1;
      for (const each of [...this.#earlier.splice(0), line]) yield this.#show(each);
    } else if (this.#before > 0) {
      // It may be shown when the entry that it stands in is gone.
      this.#earlier.push({ ...line, entry: { ...entry, data: Buffer.from(bytes) } });
      if (this.#earlier.length > this.#before) this.#earlier.shift();
      yield;
    }
  }

  #show({ entry, number }: Line): LogEntry {
    const isBehindOther = this.#before + this.#after > 0 && this.#shown >= 0;
    const isApart = isBehindOther && number > this.#shown + 1;
    this.#shown = number;
    return isApart ? { ...entry, isApart } : entry;
  }
}
