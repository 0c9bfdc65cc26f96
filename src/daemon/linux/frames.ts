// Frames between the daemon and the launcher or a keeper: see docs/launch-plan.md.

/** Bytes of one frame, its length included: more is a broken peer. */
export const MAX_FRAME_BYTES = 1 << 20;

/** One frame of NUL-terminated strings. No string may hold a NUL. */
export function formatFrame(strings: readonly string[]): Buffer {
  const text = `${strings.join('\0')}\0`;
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32LE(length, 0);
  frame.write(text, 4);
  return frame;
}

/** One frame whose second string is raw bytes, NULs and all. */
export function formatDataFrame(verb: string, data: Uint8Array): Buffer {
  const head = Buffer.byteLength(verb) + 1;
  const frame = Buffer.allocUnsafe(4 + head + data.length);
  frame.writeUInt32LE(head + data.length, 0);
  frame.write(`${verb}\0`, 4);
  frame.set(data, 4 + head);
  return frame;
}

/** Cuts a byte stream into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * Takes what arrived; returns the frames that are whole now. Undefined when a length is out of
   * bounds: the peer is none of ours, and nothing that follows can be read.
   */
  push(chunk: Buffer): string[][] | undefined {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: string[][] = [];
    let offset = 0;
    while (this.#rest.length - offset >= 4) {
      const length = this.#rest.readUInt32LE(offset);
      if (length === 0 || length > MAX_FRAME_BYTES) return undefined;
      if (this.#rest.length - offset - 4 < length) break;
      const text = this.#rest.toString('utf8', offset + 4, offset + 4 + length);
      frames.push(text.split('\0').slice(0, -1));
      offset += 4 + length;
    }
    this.#rest = this.#rest.subarray(offset);
    return frames;
  }
}

/** A count in decimal, as the C side writes it; NaN for anything else. */
export function parseCount(text: string): number {
  return /^\d{1,20}$/.test(text) ? Number(text) : Number.NaN;
}

/** Reads `key=value` strings into a map. */
export function parsePairs(strings: readonly string[]): Map<string, string> {
  return new Map(
    strings.map((text) => {
      const cut = text.indexOf('=');
      return cut < 0 ? [text, ''] : [text.slice(0, cut), text.slice(cut + 1)];
    }),
  );
}
