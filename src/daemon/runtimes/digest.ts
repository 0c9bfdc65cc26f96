// SHA-256 of files.

import { createHash } from 'node:crypto';
import { closeSync, constants, createReadStream, openSync, readSync } from 'node:fs';

const PART_BYTES = 1 << 20;
const part = Buffer.allocUnsafeSlow(PART_BYTES);

/**
 * Digest of a file's bytes, 64 hexadecimal digits; for threads that do nothing else meanwhile. What is
 * no file, a link above all, is not opened.
 */
export function digestOf(file: string, read: (bytes: number) => void = () => {}): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const hash = createHash('sha256');
    for (let length = readSync(fd, part); length > 0; length = readSync(fd, part)) {
      hash.update(part.subarray(0, length));
      read(length);
    }
    return hash.digest('hex');
  } finally {
    closeSync(fd);
  }
}

/** The same beside other work. */
export async function digestOfLater(file: string): Promise<string> {
  const hash = createHash('sha256');
  const parts = createReadStream(file, { highWaterMark: PART_BYTES });
  for await (const bytes of parts as AsyncIterable<Buffer>) hash.update(bytes);
  return hash.digest('hex');
}
