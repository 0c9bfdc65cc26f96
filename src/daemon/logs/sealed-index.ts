// The index at the end of a sealed segment: what each frame holds, so that a reader finds a position,
// a time or a line without opening the others. See docs/log-format.md.

import { crc32 } from 'node:zlib';
import { HEADER_BYTES, MAX_PAYLOAD_BYTES } from '../../shared/log-record.ts';
import { type Contents, endOf } from './summary.ts';

/** Whole records of the log, compressed by themselves. */
export interface Frame extends Contents {
  /** Where it lies in the file. */
  readonly offset: number;
  readonly packedBytes: number;
  /** CRC-32 of the packed bytes: those that have changed never reach the decompressor. */
  readonly checksum: number;
}

const MAX_RAW_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES;
/** What zstd makes of bytes that cannot be compressed is hardly longer. */
const MAX_PACKED_BYTES = MAX_RAW_BYTES + MAX_RAW_BYTES / 64;
/** A segment of the greatest length that can be configured has 8192. */
const MAX_FRAMES = 64 * 1024;

/** Magic number of a frame that zstd's own tools skip, and its length. */
const SKIPPED = 0x184d2a5e;
const SKIPPED_HEADER_BYTES = 8;
const ENTRY_BYTES = 64;
export const TRAILER_BYTES = 32;
const MAGIC = 'JLSEALED';
const VERSION = 1;

/** The index of frames that stand one behind the other from the start of a file. */
export function formatIndex(frames: readonly Frame[]): Buffer {
  const entriesBytes = frames.length * ENTRY_BYTES;
  const bytes = Buffer.alloc(SKIPPED_HEADER_BYTES + entriesBytes + TRAILER_BYTES);
  bytes.writeUInt32LE(SKIPPED, 0);
  bytes.writeUInt32LE(entriesBytes + TRAILER_BYTES, 4);
  for (const [number, frame] of frames.entries()) {
    writeEntry(bytes, SKIPPED_HEADER_BYTES + number * ENTRY_BYTES, frame);
  }
  const trailer = bytes.length - TRAILER_BYTES;
  const rawBytes = frames.reduce((sum, frame) => sum + frame.rawBytes, 0);
  bytes.writeBigUInt64LE(BigInt(rawBytes), trailer);
  bytes.writeUInt32LE(frames.length, trailer + 8);
  bytes.writeUInt32LE(VERSION, trailer + 12);
  const summed = bytes.subarray(SKIPPED_HEADER_BYTES, trailer + 16);
  bytes.writeUInt32LE(crc32(summed), trailer + 16);
  bytes.write(MAGIC, trailer + 24, 'latin1');
  return bytes;
}

/** How long an index is, from the last bytes of its file; undefined when those are not of one. */
export function indexBytesOf(tail: Buffer): number | undefined {
  const trailer = tail.length - TRAILER_BYTES;
  if (trailer < 0 || tail.toString('latin1', trailer + 24) !== MAGIC) return undefined;
  const count = tail.readUInt32LE(trailer + 8);
  if (tail.readUInt32LE(trailer + 12) !== VERSION || count > MAX_FRAMES) return undefined;
  return SKIPPED_HEADER_BYTES + count * ENTRY_BYTES + TRAILER_BYTES;
}

/** The frames of a file of so many bytes, from its index; undefined when that is not sound. */
export function parseIndex(bytes: Buffer, fileBytes: number): Frame[] | undefined {
  const trailer = bytes.length - TRAILER_BYTES;
  if (indexBytesOf(bytes) !== bytes.length) return undefined;
  const summed = bytes.subarray(SKIPPED_HEADER_BYTES, trailer + 16);
  if (bytes.readUInt32LE(trailer + 16) !== crc32(summed)) return undefined;
  const frames: Frame[] = [];
  let offset = 0;
  let reached = 0;
  for (let at = SKIPPED_HEADER_BYTES; at < trailer; at += ENTRY_BYTES) {
    const frame = readEntry(bytes, at, offset);
    if (!isSound(frame, reached)) return undefined;
    frames.push(frame);
    offset += frame.packedBytes;
    reached = endOf(frame);
  }
  return offset + bytes.length === fileBytes ? frames : undefined;
}

function writeEntry(bytes: Buffer, at: number, frame: Frame): void {
  bytes.writeUInt32LE(frame.packedBytes, at);
  bytes.writeUInt32LE(frame.rawBytes, at + 4);
  bytes.writeBigUInt64LE(BigInt(frame.position), at + 8);
  bytes.writeBigUInt64LE(frame.minNs, at + 16);
  bytes.writeBigUInt64LE(frame.maxNs, at + 24);
  bytes.writeUInt32LE(frame.stdoutBytes, at + 32);
  bytes.writeUInt32LE(frame.stderrBytes, at + 36);
  bytes.writeUInt32LE(frame.stdoutLines, at + 40);
  bytes.writeUInt32LE(frame.stderrLines, at + 44);
  bytes.writeBigUInt64LE(BigInt(frame.droppedBytes), at + 48);
  bytes.writeUInt32LE(frame.gaps, at + 56);
  bytes.writeUInt32LE(frame.checksum, at + 60);
}

function readEntry(bytes: Buffer, at: number, offset: number): Frame {
  return {
    offset,
    packedBytes: bytes.readUInt32LE(at),
    rawBytes: bytes.readUInt32LE(at + 4),
    position: Number(bytes.readBigUInt64LE(at + 8)),
    minNs: bytes.readBigUInt64LE(at + 16),
    maxNs: bytes.readBigUInt64LE(at + 24),
    stdoutBytes: bytes.readUInt32LE(at + 32),
    stderrBytes: bytes.readUInt32LE(at + 36),
    stdoutLines: bytes.readUInt32LE(at + 40),
    stderrLines: bytes.readUInt32LE(at + 44),
    droppedBytes: Number(bytes.readBigUInt64LE(at + 48)),
    gaps: bytes.readUInt32LE(at + 56),
    checksum: bytes.readUInt32LE(at + 60),
  };
}

/** Whether a frame can be what it says, behind others that reach up to a position. */
function isSound(frame: Frame, reached: number): boolean {
  const { packedBytes, rawBytes, position, droppedBytes, stdoutBytes, stderrBytes } = frame;
  return (
    packedBytes > 0 &&
    packedBytes <= MAX_PACKED_BYTES &&
    rawBytes >= HEADER_BYTES &&
    rawBytes <= MAX_RAW_BYTES &&
    stdoutBytes + stderrBytes < rawBytes &&
    frame.stdoutLines <= stdoutBytes &&
    frame.stderrLines <= stderrBytes &&
    Number.isSafeInteger(position + rawBytes) &&
    position >= reached &&
    Number.isSafeInteger(droppedBytes)
  );
}
