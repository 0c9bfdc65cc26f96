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
    if (chunk.apart && !this.#style.json) line.out.write('--\n');
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

const colors = [36, 33, 32, 35, 34, 31];

export interface LabelStyle extends LogStyle {
  readonly uuid: string;
  /** What stands in front of each line. */
  readonly label: string;
  /** Which of the colours it has. */
  readonly color: number;
}

/** Prints the output of one job among several: whole lines, each behind the label of its job. */
export class LabelledLog {
  readonly #out: Output;
  readonly #err: Output;
  readonly #style: LabelStyle;
  readonly #prefix: string;
  /** What has no line end yet, by stream. */
  readonly #begun = new Map<string, { text: TerminalText; rest: string; time: string }>();

  constructor(out: Output, err: Output, style: LabelStyle) {
    this.#out = out;
    this.#err = err;
    this.#style = style;
    const label = visible(style.label);
    const color = colors[style.color % colors.length];
    this.#prefix = out.color ? `\u001b[${color}m${label} |\u001b[0m ` : `${label} | `;
  }

  async print(chunk: LogChunk): Promise<void> {
    const { json, uuid } = this.#style;
    if (chunk.stream === 'gap') {
      const bytes = Number(chunk.droppedBytes);
      const reason = chunk.gapReason;
      if (json) {
        await this.#out.write(jsonLine({ uuid, timestamp: timeOf(chunk), gap: { bytes, reason } }));
      } else {
        const missing = `${bytes} bytes of output are missing here (${visible(reason)})`;
        await this.#err.write(`rnx: ${visible(uuid)}: ${missing}\n`);
      }
      return;
    }
    const begun = this.#begun.get(chunk.stream) ?? { text: new TerminalText(), rest: '', time: '' };
    this.#begun.set(chunk.stream, begun);
    if (json) {
      const data = begun.text.decode(chunk.payload);
      const { stream } = chunk;
      if (data === '') return;
      await this.#out.write(jsonLine({ uuid, timestamp: timeOf(chunk), stream, data }));
      return;
    }
    if (chunk.apart) await this.#out.write(`${this.#prefix}--\n`);
    if (begun.rest === '') begun.time = timeOf(chunk);
    const lines = (begun.rest + this.#textOf(chunk.payload, begun.text)).split('\n');
    begun.rest = lines.pop() ?? '';
    for (const line of lines) {
      await this.#line(line, begun.time);
      begun.time = timeOf(chunk);
    }
  }

  /** Prints what never got a line end. */
  async end(): Promise<void> {
    for (const { rest, time } of this.#begun.values())
      if (rest !== '') await this.#line(rest, time);
  }

  async #line(line: string, time: string): Promise<void> {
    const stamp = this.#style.timestamps ? `${time} ` : '';
    const text = `${this.#prefix}${stamp}${line}\n`;
    const isExact = this.#style.raw || !this.#out.terminal;
    // Latin-1 keeps every byte what it is.
    await this.#out.write(isExact ? Buffer.from(text, 'latin1') : text);
  }

  #textOf(payload: Uint8Array, text: TerminalText): string {
    const isExact = this.#style.raw || !this.#out.terminal;
    return isExact ? Buffer.from(payload).toString('latin1') : text.push(payload);
  }
}

function timeOf(chunk: LogChunk): string {
  return new Date(Number(chunk.timeNs / 1_000_000n)).toISOString();
}
