// Records of a log out of bytes, wherever those come from.

import { HEADER_BYTES, parseHeader, type RecordHeader } from '../../shared/log-record.ts';
import { parseCount, parsePairs } from '../linux/frames.ts';
import { Stock } from './stock.ts';

export interface LogRecord {
  readonly header: RecordHeader;
  readonly payload: Buffer;
}

/** Whole records that stand one behind the other; never none. */
export interface Run {
  readonly bytes: Buffer;
  readonly records: readonly LogRecord[];
}

/** Bytes of a run, unless its only record is longer. */
export const RUN_BYTES = 256 * 1024;

/** What is read at a time of output that has just been written. */
const NEAR_BYTES = 16 * 1024;

const nothing = Buffer.alloc(0);

/** The whole, sound records at the start of `bytes`; undefined when there is none. */
export function parseRun(bytes: Buffer): Run | undefined {
  const records: LogRecord[] = [];
  let reached = 0;
  for (;;) {
    const header = parseHeader(bytes, reached);
    if (header === undefined) break;
    const begin = reached + HEADER_BYTES;
    const end = begin + header.length;
    if (end > bytes.length) break;
    records.push({ header, payload: bytes.subarray(begin, end) });
    reached = end;
  }
  return records.length === 0 ? undefined : { bytes: bytes.subarray(0, reached), records };
}

/** What a gap record says. */
export function gapOf(payload: Buffer): { readonly bytes: number; readonly reason: string } {
  const pairs = parsePairs(payload.toString('utf8').split('\0').slice(0, -1));
  const told = parseCount(pairs.get('bytes') ?? '');
  return { bytes: Number.isSafeInteger(told) ? told : 0, reason: pairs.get('reason') ?? '' };
}

/** A file that is open for reading, on this disk or elsewhere. */
export interface OpenFile {
  /** Fills a part of a buffer from a place of the file; with less at its end only. */
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  /** The same at once, of bytes that are in memory: there it takes less than to hand it to a thread. */
  readNow?(buffer: Buffer, offset: number, length: number, position: number): number;
  close(): Promise<void>;
}

/** A run, or the longest record that a keeper writes: all that the pipe of a job holds. */
const rooms = new Stock(HEADER_BYTES + RUN_BYTES, 32);

/** What runs lie in, one after the other: each is gone when the next one is asked for. */
export class Room {
  #kept: Buffer<ArrayBuffer> | undefined;

  /** A record that is longer is in a room of its own. */
  ofBytes(bytes: number): Buffer<ArrayBuffer> {
    if (bytes > rooms.bytes) return Buffer.allocUnsafeSlow(bytes);
    this.#kept ??= rooms.take();
    return this.#kept;
  }

  /** For others to use, until it is needed again: nobody looks any more at what lies there. */
  leave(): void {
    if (this.#kept !== undefined) rooms.give(this.#kept);
    this.#kept = undefined;
  }
}

/** Reads a growing file of records forward. */
export class RunReader {
  readonly #file: Pick<OpenFile, 'read' | 'readNow'>;
  /** Undefined when each run has a place of its own. */
  readonly #room: Room | undefined;
  #offset = 0;
  /** Behind the offset: what was read and is no whole record yet. */
  #rest: Buffer = nothing;
  /** There was no more when it was read: that need not be asked again to know the end. */
  #isEnd = false;
  /** What is read at a time: more, the more there was. */
  #usual = NEAR_BYTES;

  constructor(file: Pick<OpenFile, 'read' | 'readNow'>, room?: Room) {
    this.#file = file;
    this.#room = room;
  }

  /** Where the records end that were read. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * The next records; undefined at the end of what is there now, or sound, and then nothing of it lies in the
   * room. What has just been written is near: no disk is waited for.
   */
  async next(isNear = false): Promise<Run | undefined> {
    for (;;) {
      const run = parseRun(this.#rest);
      if (run !== undefined) {
        // What is empty would hold on to where it was.
        this.#rest =
          run.bytes.length < this.#rest.length ? this.#rest.subarray(run.bytes.length) : nothing;
        this.#offset += run.bytes.length;
        return run;
      }
      const missing = this.#isEnd ? 0 : this.#missing(isNear ? NEAR_BYTES : this.#usual);
      this.#isEnd = false;
      if (missing === 0 || !(await this.#read(missing, isNear))) {
        if (this.#room !== undefined && this.#rest.length > 0) this.#rest = Buffer.from(this.#rest);
        return undefined;
      }
    }
  }

  /** How much to read for the next record to be whole, and some more; 0 when it is not sound. */
  #missing(usual: number): number {
    const have = this.#rest.length;
    const header = parseHeader(this.#rest, 0);
    if (header === undefined && have >= HEADER_BYTES) return 0;
    return Math.max(usual, HEADER_BYTES + (header?.length ?? 0)) - have;
  }

  async #read(bytes: number, isNear: boolean): Promise<boolean> {
    const have = this.#rest.length;
    const chunk = this.#room?.ofBytes(have + bytes) ?? Buffer.allocUnsafe(have + bytes);
    this.#rest.copy(chunk);
    const from = this.#offset + have;
    const bytesRead =
      (isNear ? this.#file.readNow?.(chunk, have, bytes, from) : undefined) ??
      (await this.#file.read(chunk, have, bytes, from)).bytesRead;
    this.#rest = chunk.subarray(0, have + bytesRead);
    this.#isEnd = bytesRead > 0 && bytesRead < bytes;
    if (bytesRead === bytes) this.#usual = Math.min(2 * this.#usual, RUN_BYTES);
    return bytesRead > 0;
  }
}
