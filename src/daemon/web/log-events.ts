// A job's output as Server-Sent Events. The id of an event says where a reader stands that has had it, so
// that one which comes again with `Last-Event-ID` gets the rest: every byte and every gap once.
//
//   id: 1234        behind output that reaches to byte 1234
//   id: 1234.2      the same, and behind two gaps that stand there
//   id: 1234.end    behind the end of the job: there is nothing to come again for

import { TextDecoder } from 'node:util';
import { JobletError } from '../../shared/errors.ts';
import type { LogPiece } from '../rpc/jobs.ts';

/** Where a reader stands. */
export interface Place {
  /** Bytes of output that are behind it. */
  readonly position: number;
  /** Gaps at this position that are. */
  readonly gaps: number;
  readonly isEnd: boolean;
}

/** Reads the id of an event. @throws JobletError invalid */
export function parsePlace(id: string): Place {
  const [, position = '', rest = ''] = /^(\d{1,15})(?:\.(end|\d{1,9}))?$/.exec(id) ?? [];
  if (position === '') {
    throw new JobletError('invalid', 'Last-Event-ID is not the id of an event of a log');
  }
  const isEnd = rest === 'end';
  return { position: Number(position), gaps: isEnd ? 0 : Number(rest), isEnd };
}

function formatPlace({ position, gaps, isEnd }: Place): string {
  return `${position}${isEnd ? '.end' : gaps > 0 ? `.${gaps}` : ''}`;
}

const NS_PER_SECOND = 1_000_000_000n;

export class LogEvents {
  #place: Place;
  /** Gaps at its position that a reader which comes again has had. */
  #hadGaps: number;

  constructor(from: Place) {
    this.#place = { ...from, gaps: 0 };
    this.#hadGaps = from.gaps;
  }

  /** The event that tells of a piece; empty when the reader has had it. */
  piece({ stream = '', timeNs, position, payload, droppedBytes, gapReason }: LogPiece): string {
    const at = Number(position ?? 0);
    const time = formatTime(BigInt(timeNs ?? 0));
    if (stream === 'gap') {
      const gaps = at === this.#place.position ? this.#place.gaps + 1 : 1;
      this.#place = { position: at, gaps, isEnd: false };
      if (this.#hadGaps > 0) {
        this.#hadGaps -= 1;
        return '';
      }
      return this.#event('gap', {
        time,
        position: at,
        droppedBytes: Number(droppedBytes ?? 0),
        reason: gapReason,
      });
    }
    const bytes = payload ?? new Uint8Array();
    this.#hadGaps = 0;
    this.#place = { position: at + bytes.length, gaps: 0, isEnd: false };
    return this.#event(stream, { time, position: at, ...textOf(bytes) });
  }

  /** The last event. */
  end(facts: Readonly<Record<string, string | number>>): string {
    this.#place = { ...this.#place, isEnd: true };
    return this.#event('end', facts);
  }

  #event(name: string, data: object): string {
    return `id: ${formatPlace(this.#place)}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text where they are text, which JSON can carry; else as base64. */
function textOf(bytes: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: utf8.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}

/** With nanoseconds, which a number of JavaScript would lose. */
function formatTime(ns: bigint): string {
  const seconds = new Date(Number(ns / NS_PER_SECOND) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % NS_PER_SECOND).padStart(9, '0')}Z`;
}
