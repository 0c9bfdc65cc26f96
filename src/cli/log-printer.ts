// Prints a job's output as it arrives: exact bytes into pipes and files, harmless text on terminals,
// or as JSON where asked for.

import type { LogChunk } from '../client/messages.ts';
import { LogPlaces } from './log-places.ts';
import type { Output } from './output.ts';
import { jsonLine, visible } from './print.ts';
import { TerminalText } from './terminal-text.ts';

export interface LogStyle {
  /** The bytes as they are, on a terminal too. */
  readonly raw: boolean;
  readonly json: boolean;
  /** Where standard error of the job goes; undefined is where its standard output goes. */
  readonly stderr?: Output | undefined;
}

/** One stream of a job on its way to one of ours. */
interface Line {
  readonly out: Output;
  readonly text: TerminalText;
}

export class LogPrinter {
  readonly #out: Output;
  readonly #err: Output;
  readonly #style: LogStyle;
  readonly #lines = new Map<string, Line>();
  readonly #places = new LogPlaces();

  /** Output goes to `out`; what we have to say about it ourselves goes to `err`. */
  constructor(out: Output, err: Output, style: LogStyle) {
    this.#out = out;
    this.#err = err;
    this.#style = style;
  }

  /** Prints the next piece; a promise when it has to wait for room. */
  print(chunk: LogChunk): Promise<void> | undefined {
    if (chunk.stream === 'gap') return this.#gap(chunk);
    const line = this.#lineOf(chunk.stream);
    if (chunk.apart && !this.#style.json) line.out.write('--\n');
    if (this.#style.json) return this.#json(chunk, line.text);
    if (this.#style.raw || !line.out.terminal) return line.out.write(chunk.payload);
    const text = line.text.push(chunk.payload);
    this.#places.take(chunk, line.text.heldBytes);
    return line.out.write(text);
  }

  /** Where to go on behind a piece that was printed. */
  behind(chunk: LogChunk): number {
    return this.#places.behind(chunk);
  }

  /** Prints what was held back of characters that never were whole. */
  async end(): Promise<void> {
    for (const line of this.#lines.values()) {
      if (line.out.terminal && !this.#style.raw && !this.#style.json) {
        await line.out.write(line.text.end());
      }
    }
  }

  #lineOf(stream: string): Line {
    let line = this.#lines.get(stream);
    if (line === undefined) {
      const out = stream === 'stderr' ? (this.#style.stderr ?? this.#out) : this.#out;
      line = { out, text: new TerminalText() };
      this.#lines.set(stream, line);
    }
    return line;
  }

  #json(chunk: LogChunk, text: TerminalText): Promise<void> | undefined {
    const data = text.decode(chunk.payload);
    const place = this.#places.take(chunk, text.heldBytes);
    if (data === '') return undefined;
    const timestamp = timeOf(chunk);
    return this.#out.write(jsonLine({ timestamp, ...place, stream: chunk.stream, data }));
  }

  #gap(chunk: LogChunk): Promise<void> | undefined {
    if (this.#style.json) {
      const gap = { bytes: Number(chunk.droppedBytes), reason: chunk.gapReason };
      const place = this.#places.take(chunk, 0);
      return this.#out.write(jsonLine({ timestamp: timeOf(chunk), ...place, gap }));
    }
    return this.#err.write(`rnx: ${gapText(chunk)}\n`);
  }
}

/** What is said of output that is missing. */
export function gapText({ droppedBytes, gapReason }: LogChunk): string {
  return `${droppedBytes} bytes of output are missing here (${visible(gapReason)})`;
}

export function timeOf(chunk: LogChunk): string {
  return new Date(Number(chunk.timeNs / 1_000_000n)).toISOString();
}
