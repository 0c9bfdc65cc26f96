// Lines out of what a job has written, as it comes.

import type { LogEntry } from './logs.ts';

const NEWLINE = 0x0a;

/** A line that is not whole yet. */
interface Begun {
  readonly entry: LogEntry;
  readonly pieces: Buffer[];
  bytes: number;
}

/** Passes over lines: answers where to go on, from where a line begins. */
type Skip = (bytes: Buffer, from: number) => number;

export class LineSplitter {
  readonly #mostBytes: number;
  readonly #begun = new Map<LogEntry['stream'], Begun>();

  /** Longer lines come in parts of so many bytes. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /**
   * The lines that are whole with an entry, each with the place and the time of its beginning. Their bytes are
   * gone with those of the entry.
   */
  *split(entry: LogEntry, skip: Skip = (_, from) => from): Generator<LogEntry, void> {
    const bytes = Buffer.from(entry.data.buffer, entry.data.byteOffset, entry.data.byteLength);
    for (let at = 0; at < bytes.length; ) {
      if (!this.#begun.has(entry.stream)) at = skip(bytes, at);
      if (at === bytes.length) return;
      const line = this.#begun.get(entry.stream) ?? this.#begin(entry, at);
      const newline = bytes.indexOf(NEWLINE, at);
      const most = at + this.#mostBytes - line.bytes;
      const end = Math.min(newline < 0 ? bytes.length : newline + 1, most);
      line.pieces.push(bytes.subarray(at, end));
      line.bytes += end - at;
      at = end;
      if (bytes[end - 1] !== NEWLINE && line.bytes < this.#mostBytes) {
        // The rest comes with another entry, and by then this one is gone.
        line.pieces.push(Buffer.from(line.pieces.pop() ?? ''));
        return;
      }
      this.#begun.delete(entry.stream);
      yield wholeLine(line);
    }
  }

  /** What is not whole at the end of a log is a line too. */
  *rest(): Generator<LogEntry, void> {
    for (const line of this.#begun.values()) yield wholeLine(line);
  }

  #begin(entry: LogEntry, at: number): Begun {
    const line = { entry: { ...entry, position: entry.position + at }, pieces: [], bytes: 0 };
    this.#begun.set(entry.stream, line);
    return line;
  }
}

function wholeLine({ entry, pieces }: Begun): LogEntry {
  const [only] = pieces;
  return {
    ...entry,
    data: pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces),
  };
}

/** Where the line begins in which a byte stands, or that begins there. */
export function beginOfLine(bytes: Buffer, at: number): number {
  return at === 0 ? 0 : bytes.lastIndexOf(NEWLINE, at - 1) + 1;
}

/** The bytes of a line without its end. */
export function lengthOf({ data }: LogEntry): number {
  return data.at(-1) === NEWLINE ? data.length - 1 : data.length;
}
