// What a small job has written to its standard output, read from its log at once.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { HEADER_BYTES, isSegment, parseHeader } from '../../shared/log-record.ts';

/** The text of standard output in a log directory whose job has ended. */
export function readOutput(directory: string): string {
  const pieces: Buffer[] = [];
  for (const segment of readdirSync(directory).filter(isSegment).toSorted()) {
    const bytes = readFileSync(path.join(directory, segment));
    for (let at = 0; ; ) {
      const header = parseHeader(bytes, at);
      if (header === undefined) break;
      const begin = at + HEADER_BYTES;
      at = begin + header.length;
      if (header.stream === 'stdout') pieces.push(bytes.subarray(begin, at));
    }
  }
  return Buffer.concat(pieces).toString();
}
