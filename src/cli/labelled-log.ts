// Prints output of jobs line by line: behind the label of its job where there are several, and behind
// its time where that is asked for. A line is printed when it is whole, so that what the other stream or
// another job writes meanwhile does not end up within it.

import type { LogChunk } from '../client/messages.ts';
import { LogPlaces } from './log-places.ts';
import { gapText, type LogStyle, timeOf } from './log-printer.ts';
import type { Output } from './output.ts';
import { jsonLine, visible } from './print.ts';
import { TerminalText } from './terminal-text.ts';

const colors = [36, 33, 32, 35, 34, 31];

/** What is longer is printed before it is whole. */
const MOST_HELD_CHARS = 64 * 1024;

export interface LabelStyle extends LogStyle {
  readonly timestamps: boolean;
  readonly uuid: string;
  /** What stands in front of each line; empty for the only job. */
  readonly label: string;
  /** Which of the colours it has. */
  readonly color: number;
}

/** What has no line end yet of one stream of a job. */
interface Begun {
  readonly text: TerminalText;
  rest: string;
  /** Of its first byte. */
  time: string;
}

/** An output that lines of several streams and jobs go to. */
export class Page {
  readonly out: Output;
  /** Whose line was printed before it was whole. */
  #open: Begun | undefined;
  /** What waits for room: whatever were written now would get into it. */
  #waiting: Promise<void> | undefined;

  constructor(out: Output) {
    this.out = out;
  }

  /** Prints a line behind its head, or goes on with one that was begun. */
  async print(
    begun: Begun,
    line: string,
    end: '\n' | '',
    head: string,
    isExact: boolean,
  ): Promise<void> {
    const goesOn = this.#open === begun;
    const before = this.#open === undefined || goesOn ? '' : '\n';
    this.#open = end === '' ? begun : undefined;
    const text = `${before}${goesOn ? '' : head}${line}${end}`;
    // Latin-1 keeps every byte what it is.
    await this.write(isExact ? Buffer.from(text, 'latin1') : text);
  }

  /** Writes behind all that was to be written before; a promise when that has to wait for room. */
  write(data: string | Uint8Array): Promise<void> | undefined {
    const writing =
      this.#waiting === undefined
        ? this.out.write(data)
        : this.#waiting.then(() => this.out.write(data));
    if (writing === undefined) return undefined;
    const waiting = writing.finally(() => {
      if (this.#waiting === waiting) this.#waiting = undefined;
    });
    this.#waiting = waiting;
    return waiting;
  }

  /** Ends a line that is not whole. */
  async close(): Promise<void> {
    if (this.#open === undefined) return;
    this.#open = undefined;
    await this.write('\n');
  }
}

export class LabelledLog {
  readonly #page: Page;
  readonly #err: Output;
  readonly #style: LabelStyle;
  readonly #isExact: boolean;
  readonly #prefix: string;
  readonly #begun = new Map<string, Begun>();
  readonly #places = new LogPlaces();

  /** Jobs that are shown side by side share a page. */
  constructor(page: Page, err: Output, style: LabelStyle) {
    const { out } = page;
    this.#page = page;
    this.#err = err;
    this.#style = style;
    this.#isExact = style.raw || !out.terminal;
    const label = visible(style.label);
    const color = colors[style.color % colors.length];
    const painted = out.color ? `\u001b[${color}m${label} |\u001b[0m ` : `${label} | `;
    this.#prefix = style.label === '' ? '' : painted;
  }

  async print(chunk: LogChunk): Promise<void> {
    if (chunk.stream === 'gap') return this.#gap(chunk);
    const begun = this.#begun.get(chunk.stream) ?? { text: new TerminalText(), rest: '', time: '' };
    this.#begun.set(chunk.stream, begun);
    if (this.#style.json) return this.#json(chunk, begun.text);
    if (chunk.apart) {
      await this.#page.close();
      await this.#page.write(`${this.#prefix}--\n`);
    }
    if (begun.rest === '') begun.time = timeOf(chunk);
    const lines = (begun.rest + this.#textOf(chunk, begun.text)).split('\n');
    begun.rest = lines.pop() ?? '';
    for (const line of lines) {
      await this.#line(begun, line, '\n');
      begun.time = timeOf(chunk);
    }
    if (begun.rest.length > MOST_HELD_CHARS) await this.#flush(begun);
  }

  /** Where to go on behind a piece that was printed. */
  behind(chunk: LogChunk): number {
    return this.#places.behind(chunk);
  }

  /** Prints what never got a line end. */
  async end(): Promise<void> {
    for (const begun of this.#begun.values()) {
      if (!this.#isExact && !this.#style.json) begun.rest += begun.text.end();
      await this.#flush(begun);
    }
    // Other jobs go on.
    if (this.#prefix !== '') await this.#page.close();
  }

  async #json(chunk: LogChunk, text: TerminalText): Promise<void> {
    const { uuid } = this.#style;
    const { stream } = chunk;
    const data = text.decode(chunk.payload);
    const place = this.#places.take(chunk, text.heldBytes);
    if (data === '') return;
    await this.#page.write(jsonLine({ uuid, timestamp: timeOf(chunk), ...place, stream, data }));
  }

  async #gap(chunk: LogChunk): Promise<void> {
    const { uuid, json, label } = this.#style;
    if (json) {
      const gap = { bytes: Number(chunk.droppedBytes), reason: chunk.gapReason };
      const place = this.#places.take(chunk, 0);
      await this.#page.write(jsonLine({ uuid, timestamp: timeOf(chunk), ...place, gap }));
      return;
    }
    // What comes behind the gap is no part of a line that began before it.
    for (const begun of this.#begun.values()) await this.#flush(begun);
    await this.#page.close();
    await this.#err.write(`rnx: ${label === '' ? '' : `${visible(uuid)}: `}${gapText(chunk)}\n`);
  }

  /** Prints what is there of a line that is not whole. */
  async #flush(begun: Begun): Promise<void> {
    if (begun.rest === '') return;
    await this.#line(begun, begun.rest, '');
    begun.rest = '';
  }

  #line(begun: Begun, line: string, end: '\n' | ''): Promise<void> {
    const stamp = this.#style.timestamps ? `${begun.time} ` : '';
    return this.#page.print(begun, line, end, `${this.#prefix}${stamp}`, this.#isExact);
  }

  #textOf(chunk: LogChunk, text: TerminalText): string {
    if (this.#isExact) return Buffer.from(chunk.payload).toString('latin1');
    const shown = text.push(chunk.payload);
    this.#places.take(chunk, text.heldBytes);
    return shown;
  }
}
