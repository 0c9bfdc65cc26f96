// Prints a job's output as it arrives: exact bytes into pipes and files, harmless text on terminals,
// with the time of each line or as JSON where asked for.

import type { LogChunk } from '../client/messages.ts';
import type { Output } from './output.ts';
import { jsonLine, visible } from './print.ts';
import { TerminalText } from './terminal-text.ts';

export interface LogStyle {
  /** The bytes as they are, on a terminal too. */
  readonly raw: boolean;
  readonly timestamps: boolean;
  readonly json: boolean;
  /** Where standard error of the job goes; undefined is where its standard output goes. */
  readonly stderr?: Output | undefined;
}

/** One stream of a job on its way to one of ours. */
interface Line {
  readonly out: Output;
  readonly text: TerminalText;
  /** The next byte begins a line. */
  atStart: boolean;
}

export class LogPrinter {
  readonly #out: Output;
  readonly #err: Output;
  readonly #style: LogStyle;
  readonly #lines = new Map<string, Line>();

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
    if (this.#style.json) return this.#json(chunk, line.text.decode(chunk.payload));
    const exact = this.#style.raw || !line.out.terminal;
    if (exact && !this.#style.timestamps) return line.out.write(chunk.payload);
    // With times in between bytes are no longer exact, but in a pipe they are still the job's own.
    if (exact) return line.out.write(this.#stampBytes(chunk, line));
    return line.out.write(this.#stamp(line.text.push(chunk.payload), chunk, line));
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
      line = { out, text: new TerminalText(), atStart: true };
      this.#lines.set(stream, line);
    }
    return line;
  }

  #json(chunk: LogChunk, data: string): Promise<void> | undefined {
    if (data === '') return undefined;
    return this.#out.write(jsonLine({ timestamp: timeOf(chunk), stream: chunk.stream, data }));
  }

  #gap(chunk: LogChunk): Promise<void> | undefined {
    const bytes = Number(chunk.droppedBytes);
    const reason = chunk.gapReason;
    if (this.#style.json) {
      return this.#out.write(jsonLine({ timestamp: timeOf(chunk), gap: { bytes, reason } }));
    }
    return this.#err.write(`rnx: ${bytes} bytes of output are missing here (${visible(reason)})\n`);
  }

  #stamp(text: string, chunk: LogChunk, line: Line): string {
    if (!this.#style.timestamps || text === '') return text;
    const prefix = `${timeOf(chunk)} `;
    const first = line.atStart ? prefix : '';
    line.atStart = text.endsWith('\n');
    const body = line.atStart ? text.slice(0, -1) : text;
    return `${first}${body.replaceAll('\n', `\n${prefix}`)}${line.atStart ? '\n' : ''}`;
  }

  #stampBytes(chunk: LogChunk, line: Line): Buffer {
    // Latin-1 keeps every byte what it is.
    const text = Buffer.from(chunk.payload).toString('latin1');
    return Buffer.from(this.#stamp(text, chunk, line), 'latin1');
  }
}

function timeOf(chunk: LogChunk): string {
  return new Date(Number(chunk.timeNs / 1_000_000n)).toISOString();
}
