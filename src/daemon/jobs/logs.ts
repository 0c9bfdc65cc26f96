// Reads the logs of jobs from their segments (docs/log-format.md), raw and sealed: history first, then
// live, without a gap or a repetition between them, because both are the same files.

import { existsSync, statSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { carriesOutput, type StreamName } from '../../shared/log-record.ts';
import { type End, parseEnd } from '../linux/end-record.ts';
import { parsePairs } from '../linux/frames.ts';
import { Pace } from '../logs/pace.ts';
import { gapOf, type LogRecord, type OpenFile, Room, type Run } from '../logs/records.ts';
import {
  openElsewhere,
  openSegment,
  type Passed,
  type SegmentFile,
  type SegmentPlace,
  segmentsIn,
  type Wants,
} from '../logs/segment-file.ts';
import {
  listSegments,
  rawName,
  type Segment,
  sealedName,
  segmentsOf,
  unfinishedName,
} from '../logs/segments.ts';
import { endOf } from '../logs/summary.ts';
import { hasOutput, tailPosition } from '../logs/tail.ts';
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
  /** The bytes of an entry are gone when the next one is asked for: nothing has to be made anew for each. */
  readonly isPassing?: boolean;
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
  /** Why and when the output of a job was removed; undefined when it was not. */
  removalOf(id: string): Removal | undefined;
}

export interface Removal {
  readonly why: string;
  readonly atMs: number;
}

/** Where files of jobs are besides, such as an archive. */
export interface Elsewhere {
  /** Those of a job that are there; it may be more of them later. */
  filesOf(id: string): readonly { readonly name: string; readonly bytes: number }[] | undefined;
  /** @throws JobletError unavailable: it is there, and cannot be read now */
  open(id: string, name: string): OpenFile;
}

/** Behind the name of a log whose job is being deleted. */
const ASIDE = '.deleted';

/** Why bytes are missing that a keeper had written: the machine went down before the disk had them. */
const LOST = 'lost';

/** Why bytes are missing where the disk took neither them nor a mark, nor the end of the log. */
const UNMARKED = 'unmarked';

/** Why bytes are missing from a sealed segment: the disk does not give back what was written there. */
const DAMAGED = 'damaged';

/** Output that its keeper has told of, so much at most, is in memory still. */
const NEAR_BYTES = 64 * 1024;

const nothing = Buffer.alloc(0);

const NS_PER_MS = 1_000_000n;

export class Logs {
  readonly #directory: string;
  readonly #bells: Bells;
  readonly #jobs: LogOwners;
  readonly #elsewhere: Elsewhere | undefined;
  readonly #pace = new Pace();

  constructor(directory: string, bells: Bells, jobs: LogOwners, elsewhere?: Elsewhere | undefined) {
    this.#directory = directory;
    this.#bells = bells;
    this.#jobs = jobs;
    this.#elsewhere = elsewhere;
  }

  directoryOf(id: string): string {
    return path.join(this.#directory, id);
  }

  /**
   * The entries of a job's log, in the order of arrival. Ends with the job's end. What a crash of the
   * machine has taken from it shows as a gap.
   */
  async *read(job: { readonly id: string }, query: LogQuery): AsyncGenerator<LogEntry> {
    const { streams, tailLines, signal } = query;
    const start =
      tailLines > 0
        ? await tailPosition(this.#placeOf(job.id), streams, tailLines, signal)
        : query.position;
    let reached = start;
    let lastNs = 0n;
    /** What is missing up to a position. */
    function* missingTo(position: number, timeNs: bigint, reason: string) {
      const bytes = position - reached;
      if (bytes > 0 && isInTime(timeNs, query)) yield gap(timeNs, reached, bytes, reason);
      reached = Math.max(reached, position);
    }
    for await (const piece of this.#pieces(job.id, start, wantsOf(start, query), query)) {
      if ('passed' in piece) {
        const { passed, isDamaged } = piece;
        if (passed.maxNs > lastNs) lastNs = passed.maxNs;
        yield* missingTo(passed.position, passed.minNs, LOST);
        if (isDamaged) yield* missingTo(endOf(passed), passed.minNs, DAMAGED);
        reached = Math.max(reached, endOf(passed));
        continue;
      }
      for (const record of piece.records) {
        const { stream, timeNs, position } = record.header;
        if (stream === 'end') return;
        if (timeNs > lastNs) lastNs = timeNs;
        yield* missingTo(position, timeNs, LOST);
        const entry = entryOf(record, start, query);
        if (entry !== undefined) yield entry;
        reached = Math.max(reached, endOfRecord(record));
      }
    }
    if (signal.aborted || !this.#jobs.isOver(job.id)) return;
    const removal = this.#jobs.removalOf(job.id);
    const missing = this.#jobs.keptBytes(job.id) - reached;
    if (removal !== undefined) {
      const { why, atMs } = removal;
      const atNs = BigInt(atMs) * NS_PER_MS;
      if (missing > 0) yield gap(atNs, reached, missing, `removed: ${why}`);
      return;
    }
    if (missing > 0) yield gap(lastNs, reached, missing, LOST);
    const unmarked = this.#jobs.droppedBytes(job.id) - (await this.#markedBytes(job.id));
    if (unmarked > 0) yield gap(lastNs, reached, unmarked, UNMARKED);
  }

  /** How much of what was dropped the gaps of a log speak of. */
  async #markedBytes(id: string): Promise<number> {
    let bytes = 0;
    const whole = { follow: false, signal: new AbortController().signal };
    for await (const piece of this.#pieces(id, 0, () => false, whole)) {
      if ('passed' in piece) {
        bytes += piece.passed.droppedBytes;
        continue;
      }
      for (const { header, payload } of piece.records) {
        if (header.stream === 'gap') bytes += gapOf(payload).bytes;
      }
    }
    return bytes;
  }

  /** Whether a keeper has ever begun a log of this job: from then on the command may have run. */
  exists(id: string): boolean {
    return existsSync(this.directoryOf(id));
  }

  /** When the log of a job was begun, which is when its command was about to run; 0 when there is none. */
  begunAtMs(id: string): number {
    const found = statSync(this.directoryOf(id), { throwIfNoEntry: false });
    return Math.trunc(found?.birthtimeMs ?? 0);
  }

  /** What a log says last: the job's end, if its keeper wrote one, and how much output it holds. */
  async findEnd(id: string): Promise<{ readonly end: End | undefined; readonly bytes: number }> {
    const directory = this.directoryOf(id);
    const last = (await listSegments(directory)).at(-1);
    const segment = last && (await openSegment(directory, last.base));
    if (last === undefined || segment === undefined) return { end: undefined, bytes: 0 };
    try {
      const part = (await segment.parts()).at(-1);
      const bytes = part === undefined ? last.base : endOf(part.contents);
      const record = (await part?.load())?.records.findLast(
        ({ header }) => header.stream === 'end',
      );
      if (record === undefined) return { end: undefined, bytes };
      const pairs = parsePairs(record.payload.toString('utf8').split('\0').slice(0, -1));
      return { end: parseEnd(pairs), bytes };
    } finally {
      await segment.close();
    }
  }

  /** Makes the end record of a job safe from a power cut; false when there is none, or no way to. */
  async keepEnd(id: string): Promise<boolean> {
    try {
      const last = (await listSegments(this.directoryOf(id))).at(-1);
      if (last === undefined) return false;
      const file = await open(path.join(this.directoryOf(id), rawName(last.base)));
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

  /** Removes the output of a job from the disk; what else stands beside it stays. */
  async discard(id: string): Promise<void> {
    const directory = this.directoryOf(id);
    for (const { base } of await listSegments(directory)) {
      for (const name of [rawName(base), sealedName(base), unfinishedName(base)]) {
        await rm(path.join(directory, name), { force: true });
      }
    }
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

  /** The segments of a log: what is not on this disk any more is read where it is. */
  #placeOf(id: string, room?: Room): SegmentPlace {
    const here = segmentsIn(this.directoryOf(id), room);
    const elsewhere = this.#elsewhere;
    if (elsewhere === undefined) return here;
    const segmentsThere = (files = elsewhere.filesOf(id) ?? []) =>
      segmentsOf(files.map(({ name }) => name));
    const openThere = async (base: number) => {
      const files = elsewhere.filesOf(id) ?? [];
      const segment = segmentsThere(files).find((each) => each.base === base);
      if (segment === undefined) return undefined;
      const name = segment.isSealed ? sealedName(base) : rawName(base);
      const bytes = files.find((file) => file.name === name)?.bytes ?? 0;
      return openElsewhere(segment, elsewhere.open(id, name), bytes, room);
    };
    let there: readonly Segment[] | undefined;
    return {
      list: async () => {
        const segments = await here.list();
        // A follower lists often, and seldom does a log leave this disk meanwhile.
        if (there === undefined || segments[0]?.base !== 0) there = segmentsThere();
        if (there.length === 0) return segments;
        const bases = new Set([...segments, ...there].map(({ base }) => base));
        return [...bases].toSorted((a, b) => a - b).map((base) => ({ base }));
      },
      open: async (base) => (await here.open(base)) ?? (await openThere(base)),
    };
  }

  /** What a log has from the segment that holds `start` on, following the job when asked to. */
  async *#pieces(
    id: string,
    start: number,
    wants: Wants,
    query: Pick<LogQuery, 'follow' | 'signal' | 'isPassing'>,
  ): AsyncGenerator<Run | Passed> {
    const { follow, signal, isPassing } = query;
    const room = isPassing === true ? new Room() : undefined;
    const place = this.#placeOf(id, room);
    let position = start;
    /** How far output is known to reach. */
    let told = start;
    let segment: SegmentFile | undefined;
    const follower = follow ? this.#pace.follow(id) : undefined;
    const endOf = () => endOfFiles(this.directoryOf(id));
    const isOver = () => this.#jobs.isOver(id);
    async function* rest(of: SegmentFile, isNear = false) {
      for await (const piece of of.pieces(wants, isNear)) {
        // To send it is what takes the time.
        if ('bytes' in piece && !isOver()) await follower?.pass(piece.bytes.length, endOf, signal);
        yield piece;
        position = Math.max(position, endOfPiece(piece));
        if (signal.aborted) return;
      }
    }
    try {
      while (!signal.aborted) {
        // Asked before reading: what a final job has written is all there by then.
        const final = this.#jobs.isOver(id);
        if (segment !== undefined && !final) yield* rest(segment, told - position <= NEAR_BYTES);
        // What was told of and is not there is in a segment that has been begun since.
        if (segment === undefined || final || position < told) {
          for (const { base } of segmentsFrom(await place.list(), position, segment?.base)) {
            if (segment?.base !== base) {
              const next = await place.open(base);
              if (next === undefined) continue;
              await segment?.close();
              segment = next;
            }
            yield* rest(segment);
            if (signal.aborted) return;
          }
        }
        if (final || !follow) return;
        // Who waits holds nothing meanwhile.
        room?.leave();
        // The job may have ended while we were reading, and then nobody rings any more.
        if (!this.#jobs.isOver(id)) told = await this.#bells.wait(id, position, signal);
      }
    } finally {
      follower?.leave();
      room?.leave();
      await segment?.close();
    }
  }
}

/** Up to where the files of a log that is being written reach, in bytes of files. */
async function endOfFiles(directory: string): Promise<number> {
  const last = (await listSegments(directory)).at(-1);
  if (last === undefined) return 0;
  const file = path.join(directory, last.isRaw ? rawName(last.base) : sealedName(last.base));
  // It may just have been sealed, or deleted with its job.
  const bytes = await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
  return last.base + bytes;
}

/** Which runs a reader has to see. */
function wantsOf(start: number, { streams, sinceNs, untilNs }: LogQuery): Wants {
  return (contents) => {
    const end = endOf(contents);
    // A gap may stand right where the reader begins.
    if (end < start || (end === start && contents.gaps === 0)) return false;
    if (contents.maxNs < sinceNs || (untilNs > 0n && contents.minNs >= untilNs)) return false;
    return contents.gaps > 0 || hasOutput(contents, streams);
  };
}

/** A clock may be set back, so that what is too late may be followed by what is not. */
function isInTime(timeNs: bigint, { sinceNs, untilNs }: LogQuery): boolean {
  return timeNs >= sinceNs && (untilNs === 0n || timeNs < untilNs);
}

function endOfRecord({ header: { stream, position, length } }: LogRecord): number {
  return position + (carriesOutput(stream) ? length : 0);
}

function endOfPiece(piece: Run | Passed): number {
  if ('passed' in piece) return endOf(piece.passed);
  const last = piece.records.at(-1);
  return last === undefined ? 0 : endOfRecord(last);
}

/** What a reader gets of a record. */
function entryOf(
  { header, payload }: LogRecord,
  start: number,
  query: LogQuery,
): LogEntry | undefined {
  const { stream, timeNs, position, length } = header;
  if (!isInTime(timeNs, query)) return undefined;
  if (stream === 'gap') {
    if (position < start) return undefined;
    const { bytes, reason } = gapOf(payload);
    return gap(timeNs, position, bytes, reason);
  }
  const skip = Math.max(0, start - position);
  const isWanted = carriesOutput(stream) && (query.streams.size === 0 || query.streams.has(stream));
  if (skip >= length || !isWanted) return undefined;
  const data = payload.subarray(skip);
  return { stream, timeNs, position: position + skip, data, droppedBytes: 0, reason: '' };
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

/** The segments still to be read: from the open one on, or from the one that holds `position`. */
function segmentsFrom(
  segments: readonly Pick<Segment, 'base'>[],
  position: number,
  current: number | undefined,
): readonly Pick<Segment, 'base'>[] {
  if (current !== undefined) return segments.filter(({ base }) => base >= current);
  const first = segments.findLastIndex(({ base }) => base <= position);
  return segments.slice(Math.max(0, first));
}
