// Reads the logs of jobs from the keepers' segment files (docs/log-format.md): history first, then
// live, without a gap or a repetition between them, because both are the same file.

import { existsSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  carriesOutput,
  HEADER_BYTES,
  isSegment,
  parseHeader,
  type RecordHeader,
  type StreamName,
} from '../../shared/log-record.ts';
import { type End, parseEnd } from '../linux/end-record.ts';
import { parseCount, parsePairs } from '../linux/frames.ts';
import type { Bells } from './bells.ts';

export interface LogEntry {
  readonly stream: 'stdout' | 'stderr' | 'gap';
  readonly timeNs: bigint;
  readonly position: number;
  readonly data: Uint8Array;
  /** Of a gap: how much output was lost here, and why. */
  readonly droppedBytes: number;
  readonly reason: string;
  /** Of a search: lines between this one and the one before it were left out. */
  readonly isApart?: boolean;
}

export interface LogQuery {
  /** Count of output bytes to skip. */
  readonly position: number;
  /** Go on with what comes, until the job ends. */
  readonly follow: boolean;
  /** Empty is all. */
  readonly streams: ReadonlySet<StreamName>;
  /** Start with the last so many lines; 0 is from `position`. */
  readonly tailLines: number;
  /** Only what arrived from then on, and before then, in nanoseconds since 1970; 0 is no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
  readonly signal: AbortSignal;
}

/** All of a log that there is, and with `follow` all that comes. */
export function wholeLog(signal: AbortSignal, follow: boolean): LogQuery {
  const streams = new Set<StreamName>();
  return { position: 0, follow, streams, tailLines: 0, sinceNs: 0n, untilNs: 0n, signal };
}

/** What reading needs to know of jobs. */
export interface LogOwners {
  /** Whether a job can write no more. */
  isOver(id: string): boolean;
  /** How much output the keeper of an ended job has kept. */
  keptBytes(id: string): number;
  /** How much output of an ended job its keeper could not keep. */
  droppedBytes(id: string): number;
}

/** Bytes read from a segment at once. */
const READ_BYTES = 256 * 1024;

/** Behind the name of a log whose job is being deleted. */
const ASIDE = '.deleted';

/** Why bytes are missing that a keeper had written: the machine went down before the disk had them. */
const LOST = 'lost';

/** Why bytes are missing where the disk took neither them nor a mark, nor the end of the log. */
const UNMARKED = 'unmarked';

const nothing = Buffer.alloc(0);

export class Logs {
  readonly #directory: string;
  readonly #bells: Bells;
  readonly #jobs: LogOwners;

  constructor(directory: string, bells: Bells, jobs: LogOwners) {
    this.#directory = directory;
    this.#bells = bells;
    this.#jobs = jobs;
  }

  directoryOf(id: string): string {
    return path.join(this.#directory, id);
  }

  /**
   * The entries of a job's log, in the order of arrival. Ends with the job's end. What a crash of the
   * machine has taken from it shows as a gap.
   */
  async *read(job: { readonly id: string }, query: LogQuery): AsyncGenerator<LogEntry> {
    const start =
      query.tailLines > 0
        ? await this.#tailPosition(job.id, query)
        : Math.max(query.position, await this.#positionAt(job.id, query.sinceNs));
    const wanted = (stream: StreamName) => query.streams.size === 0 || query.streams.has(stream);
    // A clock may be set back, so that what is too late may be followed by what is not.
    const isInTime = (timeNs: bigint) =>
      timeNs >= query.sinceNs && (query.untilNs === 0n || timeNs < query.untilNs);
    let reached = start;
    let lastNs = 0n;
    for await (const { header, payload } of this.#records(job.id, start, query)) {
      const { stream, timeNs, position, length } = header;
      if (stream === 'end') return;
      lastNs = timeNs;
      if (position > reached) yield gap(timeNs, reached, position - reached, LOST);
      if (stream === 'gap') {
        if (position < start) continue;
        const { bytes, reason } = gapOf(payload);
        yield gap(timeNs, position, bytes, reason);
        continue;
      }
      reached = Math.max(reached, position + length);
      const skip = Math.max(0, start - position);
      if (skip >= length || !wanted(stream) || !isInTime(timeNs)) continue;
      yield {
        stream,
        timeNs,
        position: position + skip,
        data: payload.subarray(skip),
        droppedBytes: 0,
        reason: '',
      };
    }
    if (query.signal.aborted || !this.#jobs.isOver(job.id)) return;
    const missing = this.#jobs.keptBytes(job.id) - reached;
    if (missing > 0) yield gap(lastNs, reached, missing, LOST);
    const unmarked = this.#jobs.droppedBytes(job.id) - (await this.#markedBytes(job.id));
    if (unmarked > 0) yield gap(lastNs, reached, unmarked, UNMARKED);
  }

  /** How much of what was dropped the gaps of a log speak of. */
  async #markedBytes(id: string): Promise<number> {
    let bytes = 0;
    const whole = { follow: false, signal: new AbortController().signal };
    for await (const { header, payload } of this.#records(id, 0, whole)) {
      if (header.stream === 'gap') bytes += gapOf(payload).bytes;
    }
    return bytes;
  }

  /** Whether a keeper has ever begun a log of this job: from then on the command may have run. */
  exists(id: string): boolean {
    return existsSync(this.directoryOf(id));
  }

  /** What a log says last: the job's end, if its keeper wrote one, and how much output it holds. */
  async findEnd(id: string): Promise<{ readonly end: End | undefined; readonly bytes: number }> {
    const last = (await this.#segments(id)).at(-1);
    if (last === undefined) return { end: undefined, bytes: 0 };
    let bytes = last.base;
    const file = await open(path.join(this.directoryOf(id), last.name));
    try {
      for await (const { header, payload } of scan(new SegmentReader(file))) {
        if (carriesOutput(header.stream)) bytes = header.position + header.length;
        if (header.stream !== 'end') continue;
        return {
          end: parseEnd(parsePairs(payload.toString('utf8').split('\0').slice(0, -1))),
          bytes,
        };
      }
      return { end: undefined, bytes };
    } finally {
      await file.close();
    }
  }

  /** Makes the end record of a job safe from a power cut; false when there is none, or no way to. */
  async keepEnd(id: string): Promise<boolean> {
    try {
      const last = (await this.#segments(id)).at(-1);
      if (last === undefined) return false;
      const file = await open(path.join(this.directoryOf(id), last.name));
      await file.sync().finally(() => file.close());
      return (await this.findEnd(id)).end !== undefined;
    } catch {
      return false;
    }
  }

  /** Puts the log of a job aside that is about to be deleted: until then it can be brought back. */
  async putAside(id: string): Promise<void> {
    await renameIfThere(this.directoryOf(id), this.directoryOf(id) + ASIDE);
  }

  async bringBack(id: string): Promise<void> {
    await renameIfThere(this.directoryOf(id) + ASIDE, this.directoryOf(id));
  }

  /** Deletes the log of a job that was put aside. */
  async remove(id: string): Promise<void> {
    await rm(this.directoryOf(id) + ASIDE, { recursive: true, force: true });
  }

  /** Ends the deletions that an earlier daemon had begun: a job that is still known keeps its log. */
  async recover(isKnown: (id: string) => boolean): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (!name.endsWith(ASIDE)) continue;
      const id = name.slice(0, -ASIDE.length);
      await (isKnown(id) ? this.bringBack(id) : this.remove(id));
    }
  }

  /** Ids of the jobs that have logs. */
  async ids(): Promise<string[]> {
    const names = await readdir(this.#directory);
    return names.filter((name) => /^[0-9a-f-]{36}$/.test(name));
  }

  /** Records from the segment that holds `start` on, following the job when asked to. */
  async *#records(
    id: string,
    start: number,
    query: Pick<LogQuery, 'follow' | 'signal'>,
  ): AsyncGenerator<LogRecord> {
    let position = start;
    /** Name of the segment that was read to its end. */
    let done = '';
    let segment: { name: string; reader: SegmentReader } | undefined;
    try {
      for (;;) {
        // Asked before reading: what a final job has written is all there by then.
        const final = this.#jobs.isOver(id);
        if (query.signal.aborted) return;
        const segments = await this.#segments(id);
        for (const next of segmentsFrom(segments, position, segment?.name ?? done)) {
          if (segment?.name !== next.name) {
            await segment?.reader.close();
            segment = {
              name: next.name,
              reader: new SegmentReader(await open(path.join(this.directoryOf(id), next.name))),
            };
          }
          for await (const record of scan(segment.reader)) {
            yield record;
            if (record.header.stream === 'end') return;
            if (carriesOutput(record.header.stream)) {
              position = record.header.position + record.header.length;
            }
            if (query.signal.aborted) return;
          }
          done = next.name;
        }
        if (final || !query.follow) return;
        // The job may have ended while we were reading, and then nobody rings any more.
        if (!this.#jobs.isOver(id)) await this.#bells.wait(id, position, query.signal);
      }
    } finally {
      await segment?.reader.close();
    }
  }

  async #segments(id: string): Promise<Segment[]> {
    const names = await readdir(this.directoryOf(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .filter(isSegment)
      .sort()
      .map((name) => ({ name, base: Number(name.slice(0, 20)) }));
  }

  /**
   * Where to begin to read for what arrived from a time on: the last segment that begins before it.
   * One that begins behind it ends the search, so that what a clock shows twice is found once more
   * rather than missed.
   */
  async #positionAt(id: string, sinceNs: bigint): Promise<number> {
    if (sinceNs === 0n) return 0;
    let position = 0;
    for (const { name, base } of await this.#segments(id)) {
      const file = await open(path.join(this.directoryOf(id), name));
      const head = await new SegmentReader(file).peek(HEADER_BYTES).finally(() => file.close());
      const first = parseHeader(head, 0);
      if (first === undefined || first.timeNs >= sinceNs) break;
      position = base;
    }
    return position;
  }

  /** Where the last lines start: one pass that keeps as many line starts as lines are wanted. */
  async #tailPosition(id: string, query: LogQuery): Promise<number> {
    const starts: number[] = [];
    let next = 0;
    let lineStart = true;
    let end = 0;
    for await (const { header, payload } of this.#records(id, 0, {
      follow: false,
      signal: query.signal,
    })) {
      if (!carriesOutput(header.stream)) continue;
      if (query.streams.size > 0 && !query.streams.has(header.stream)) continue;
      for (let at = 0; at < payload.length; ) {
        if (lineStart) {
          starts[next++ % query.tailLines] = header.position + at;
          lineStart = false;
        }
        const newline = payload.indexOf(0x0a, at);
        if (newline < 0) break;
        lineStart = true;
        at = newline + 1;
      }
      end = header.position + header.length;
    }
    if (next === 0) return end;
    return (next <= query.tailLines ? starts[0] : starts[next % query.tailLines]) ?? 0;
  }
}

function gapOf(payload: Buffer): { readonly bytes: number; readonly reason: string } {
  const pairs = parsePairs(payload.toString('utf8').split('\0').slice(0, -1));
  const told = parseCount(pairs.get('bytes') ?? '');
  return { bytes: Number.isSafeInteger(told) ? told : 0, reason: pairs.get('reason') ?? '' };
}

function gap(timeNs: bigint, position: number, droppedBytes: number, reason: string): LogEntry {
  return { stream: 'gap', timeNs, position, data: nothing, droppedBytes, reason };
}

/** A job that never ran has no log to move. */
async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

interface Segment {
  readonly name: string;
  readonly base: number;
}

interface LogRecord {
  readonly header: RecordHeader;
  readonly payload: Buffer;
}

/** The segments still to be read: from the open one on, or from the one that holds `position`. */
function segmentsFrom(segments: readonly Segment[], position: number, current: string): Segment[] {
  if (current !== '') return segments.filter((segment) => segment.name >= current);
  const first = segments.findLastIndex((segment) => segment.base <= position);
  return segments.slice(Math.max(0, first));
}

/** Reads a growing file forward; what was not used comes again. */
class SegmentReader {
  readonly #file: FileHandle;
  #offset = 0;
  #buffer: Buffer = nothing;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** At least `least` bytes from the current place, or fewer when the file has no more now. */
  async peek(least: number): Promise<Buffer> {
    while (this.#buffer.length < least) {
      const chunk = Buffer.allocUnsafe(Math.max(READ_BYTES, least - this.#buffer.length));
      const { bytesRead } = await this.#file.read(
        chunk,
        0,
        chunk.length,
        this.#offset + this.#buffer.length,
      );
      if (bytesRead === 0) break;
      this.#buffer = Buffer.concat([this.#buffer, chunk.subarray(0, bytesRead)]);
    }
    return this.#buffer;
  }

  advance(bytes: number): void {
    this.#offset += bytes;
    this.#buffer = this.#buffer.subarray(bytes);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Whole records from where the reader stands; stops at the end of what is there or sound. */
async function* scan(reader: SegmentReader): AsyncGenerator<LogRecord> {
  for (;;) {
    const head = await reader.peek(HEADER_BYTES);
    const header = parseHeader(head, 0);
    if (header === undefined) return;
    const bytes = await reader.peek(HEADER_BYTES + header.length);
    if (bytes.length < HEADER_BYTES + header.length) return;
    const payload = bytes.subarray(HEADER_BYTES, HEADER_BYTES + header.length);
    reader.advance(HEADER_BYTES + header.length);
    yield { header, payload };
  }
}
