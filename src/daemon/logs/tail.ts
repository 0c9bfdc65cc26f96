// Where the last lines of a log begin, found from its end: only the run in which that is, and the last
// one, are opened.

import { carriesOutput, type StreamName } from '../../shared/log-record.ts';
import type { Run } from './records.ts';
import type { Part, SegmentPlace } from './segment-file.ts';
import type { Contents } from './summary.ts';

const NEWLINE = 0x0a;

/** Whether a stream is wanted; none named is all. */
export type Streams = ReadonlySet<StreamName>;

/** Position of the first of the last lines; 0 when there are no more than those. */
export async function tailPosition(
  place: SegmentPlace,
  streams: Streams,
  lines: number,
  signal: AbortSignal,
): Promise<number> {
  const tail = new Tail(streams, lines);
  const segments = await place.list();
  for (const { base } of segments.toReversed()) {
    const segment = await place.open(base);
    if (segment === undefined) continue;
    try {
      for (const part of (await segment.parts()).toReversed()) {
        if (signal.aborted) return 0;
        const position = await tail.look(part);
        if (position !== undefined) return position;
      }
    } finally {
      await segment.close();
    }
  }
  return 0;
}

class Tail {
  readonly #streams: Streams;
  readonly #lines: number;
  /** Line ends still to be met on the way to the one before the first wanted line. */
  #left = 0;
  #hasOutput = false;

  constructor(streams: Streams, lines: number) {
    this.#streams = streams;
    this.#lines = lines;
  }

  /** Goes over the next run towards the start; answers where the lines begin when that is in it. */
  async look(part: Part): Promise<number | undefined> {
    if (!hasOutput(part.contents, this.#streams)) return undefined;
    if (!this.#hasOutput) {
      const run = await part.load();
      if (run === undefined) return undefined;
      this.#hasOutput = true;
      // The last line has an end of its own, or none yet.
      this.#left = this.#lines + (endsLine(run, this.#streams) ? 1 : 0);
    }
    const ends = linesOf(part.contents, this.#streams);
    if (ends < this.#left) {
      this.#left -= ends;
      return undefined;
    }
    const run = await part.load();
    return run && this.#find(run);
  }

  #find({ records }: Run): number | undefined {
    for (const { header, payload } of records.toReversed()) {
      if (!isWanted(header.stream, this.#streams)) continue;
      let at = payload.length;
      while (at > 0) {
        at = payload.lastIndexOf(NEWLINE, at - 1);
        if (at < 0) break;
        this.#left -= 1;
        if (this.#left === 0) return header.position + at + 1;
      }
    }
    return undefined;
  }
}

function isWanted(stream: StreamName, streams: Streams): boolean {
  return carriesOutput(stream) && (streams.size === 0 || streams.has(stream));
}

/** Whether a run has output of a stream that is wanted. */
export function hasOutput(contents: Contents, streams: Streams): boolean {
  return sumOf(streams, contents.stdoutBytes, contents.stderrBytes) > 0;
}

function linesOf(contents: Contents, streams: Streams): number {
  return sumOf(streams, contents.stdoutLines, contents.stderrLines);
}

function sumOf(streams: Streams, stdout: number, stderr: number): number {
  const all = streams.size === 0;
  return (all || streams.has('stdout') ? stdout : 0) + (all || streams.has('stderr') ? stderr : 0);
}

/** Whether the last output in a run is the end of a line. */
function endsLine({ records }: Run, streams: Streams): boolean {
  const last = records.findLast(
    ({ header, payload }) => payload.length > 0 && isWanted(header.stream, streams),
  );
  return last?.payload.at(-1) === NEWLINE;
}
