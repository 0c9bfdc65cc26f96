// A message with what gRPC puts in front of it, made where its bytes lie: the long ones are not copied
// once more on their way out.

/** What gRPC puts in front of each message. */
export const FRAME_BYTES = 5;

/** A message of a stream as it travels. */
export class Framed {
  readonly bytes: Buffer;
  /** Its bytes have left, and may be used for another one. */
  readonly left: () => void;

  constructor(bytes: Buffer, left: () => void) {
    this.bytes = bytes;
    this.left = left;
  }
}

/** Writes the frame of a message of so many bytes that begins at `at`, before it. */
export function putFrame(bytes: Buffer, at: number, length: number): void {
  // Not compressed.
  bytes[at - FRAME_BYTES] = 0;
  bytes.writeUInt32BE(length, at - FRAME_BYTES + 1);
}
