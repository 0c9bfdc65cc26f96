// The log of a job, as the keeper writes it and everybody reads it: segment files, named by the
// position of their first byte, each a run of records. See docs/log-format.md.

/** Bytes of a record's header. */
export const HEADER_BYTES = 32;

/** Bytes of payload that a record has at most; far more than a keeper writes at once. */
export const MAX_PAYLOAD_BYTES = 1 << 20;

/** First two bytes of a record, 'JL': a reader that finds anything else has met a torn tail. */
const MAGIC = 0x4c4a;

export const streams = { stdout: 1, stderr: 2, gap: 3, end: 4 } as const;
export type StreamName = keyof typeof streams;

const streamNames: Readonly<Record<number, StreamName>> = {
  1: 'stdout',
  2: 'stderr',
  3: 'gap',
  4: 'end',
};

export interface RecordHeader {
  readonly stream: StreamName;
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** Count of output bytes before this record: the resume position. */
  readonly position: number;
  /** Bytes of payload that follow. */
  readonly length: number;
}

/** Reads the header at `offset`; undefined when what stands there is no whole, sound header. */
export function parseHeader(bytes: Buffer, offset: number): RecordHeader | undefined {
  if (offset + HEADER_BYTES > bytes.length) return undefined;
  if (bytes.readUInt16LE(offset) !== MAGIC) return undefined;
  const stream = streamNames[bytes.readUInt8(offset + 2)];
  if (stream === undefined) return undefined;
  if (bytes.readUInt32LE(offset + 24) !== checksum(bytes, offset)) return undefined;
  const length = bytes.readUInt32LE(offset + 4);
  const position = Number(bytes.readBigUInt64LE(offset + 16));
  if (length > MAX_PAYLOAD_BYTES || !Number.isSafeInteger(position)) return undefined;
  return { stream, length, timeNs: bytes.readBigUInt64LE(offset + 8), position };
}

/** Writes a header; the inverse of parseHeader, for tests and tools. */
export function formatHeader(header: RecordHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeUInt8(streams[header.stream], 2);
  bytes.writeUInt32LE(header.length, 4);
  bytes.writeBigUInt64LE(header.timeNs, 8);
  bytes.writeBigUInt64LE(BigInt(header.position), 16);
  bytes.writeUInt32LE(checksum(bytes, 0), 24);
  return bytes;
}

/** Whether output bytes move the position on; gap and end records do not. */
export function carriesOutput(stream: StreamName): stream is 'stdout' | 'stderr' {
  return stream === 'stdout' || stream === 'stderr';
}

/** Whether a file of a log directory holds records; what the job used may stand beside them. */
export function isSegment(name: string): boolean {
  return /^\d{20}\.log$/.test(name);
}

/** FNV-1a over the first 24 bytes: cheap in C and here, and enough to tell a torn header. */
function checksum(bytes: Buffer, offset: number): number {
  let hash = 0x811c9dc5;
  for (let i = offset; i < offset + 24; i++) {
    hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  }
  return hash >>> 0;
}
