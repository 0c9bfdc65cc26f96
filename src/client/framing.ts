// gRPC's framing inside an HTTP/2 stream: a flag byte, a length of four bytes, the message.

import { JobletError } from '../shared/errors.ts';

const PREFIX_BYTES = 5;

/** The largest message the client takes: what the daemon sends at most. */
export const MAX_MESSAGE_BYTES = 128 * 1024 * 1024;

/** A message in its frame. */
export function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Takes frames out of a stream of bytes that is cut anywhere. */
export class Frames {
  /** What has arrived and belongs to a frame that is not whole yet. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Bytes of the current message, once its prefix is there. */
  #length: number | undefined;

  /**
   * The messages that are whole now.
   * @throws JobletError exhausted or unsupported, when the other side sends what we refuse
   */
  push(piece: Buffer): Buffer[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const messages: Buffer[] = [];
    for (;;) {
      if (this.#length === undefined) {
        if (this.#bytes < PREFIX_BYTES) return messages;
        this.#length = messageLength(this.#take(PREFIX_BYTES));
      }
      if (this.#bytes < this.#length) return messages;
      messages.push(this.#take(this.#length));
      this.#length = undefined;
    }
  }

  /** Whether the stream stopped inside a frame. */
  get torn(): boolean {
    return this.#bytes > 0 || this.#length !== undefined;
  }

  #take(length: number): Buffer {
    // Joined once per frame, not once per piece: a large message arrives in many.
    const [first] = this.#pieces;
    const whole =
      first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    const rest = whole.subarray(length);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
    return whole.subarray(0, length);
  }
}

function messageLength(prefix: Buffer): number {
  if (prefix[0] !== 0) {
    throw new JobletError(
      'unsupported',
      'the daemon compressed its answer, which nobody asked for',
    );
  }
  const length = prefix.readUInt32BE(1);
  if (length > MAX_MESSAGE_BYTES) {
    throw new JobletError(
      'exhausted',
      `the answer holds ${length} bytes, more than the ${MAX_MESSAGE_BYTES} that a message may have; ask for less at once`,
    );
  }
  return length;
}
