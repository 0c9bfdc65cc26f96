// Cuts output into lines of text.

/** A line that is longer is cut: nobody reads more of one. */
const MAX_LINE_BYTES = 16 * 1024;
const NEWLINE = 0x0a;

export class Lines {
  #rest: Buffer = Buffer.alloc(0);

  /** The lines that are whole now. */
  push(data: Uint8Array): string[] {
    let bytes = Buffer.concat([this.#rest, data]);
    const lines: string[] = [];
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      lines.push(bytes.subarray(0, Math.min(end, MAX_LINE_BYTES)).toString());
      bytes = bytes.subarray(end + 1);
    }
    this.#rest = bytes.subarray(0, MAX_LINE_BYTES);
    return lines;
  }

  /** What is left at the end. */
  end(): string[] {
    return this.#rest.length === 0 ? [] : [this.#rest.toString()];
  }
}
