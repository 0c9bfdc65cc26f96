// A piece of a log for tests, all at one time.

import type { LogChunk } from '../client/messages.ts';

/** When it was written, as it is printed. */
export const CHUNK_TIME = '2025-11-21T08:00:00.123Z';

export function chunk(payload: string | Buffer, more: Partial<LogChunk> = {}): LogChunk {
  return {
    payload: Buffer.from(payload as string),
    position: 0n,
    stream: 'stdout',
    timeNs: 1_763_712_000_123_456_789n,
    droppedBytes: 0n,
    gapReason: '',
    apart: false,
    ...more,
  };
}
