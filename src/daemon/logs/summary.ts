// What a run of records holds, without the records: enough to find a position, a time or a line.

import { carriesOutput } from '../../shared/log-record.ts';
import { gapOf, type Run } from './records.ts';

export interface Contents {
  /** Bytes of the records, headers and all. */
  readonly rawBytes: number;
  /** Of the first record: count of output bytes before it. */
  readonly position: number;
  readonly minNs: bigint;
  readonly maxNs: bigint;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Line ends in each stream. */
  readonly stdoutLines: number;
  readonly stderrLines: number;
  /** What gap records say was dropped, and how many of them there are. */
  readonly droppedBytes: number;
  readonly gaps: number;
}

const NEWLINE = 0x0a;

export function contentsOf({ bytes, records }: Run): Contents {
  const [first] = records;
  let [minNs, maxNs] = [first?.header.timeNs ?? 0n, 0n];
  const outputBytes = { stdout: 0, stderr: 0 };
  const lines = { stdout: 0, stderr: 0 };
  let [droppedBytes, gaps] = [0, 0];
  for (const { header, payload } of records) {
    const { stream, timeNs } = header;
    if (timeNs < minNs) minNs = timeNs;
    if (timeNs > maxNs) maxNs = timeNs;
    if (stream === 'gap') {
      gaps += 1;
      droppedBytes += gapOf(payload).bytes;
    }
    if (!carriesOutput(stream)) continue;
    outputBytes[stream] += payload.length;
    lines[stream] += countNewlines(payload);
  }
  return {
    rawBytes: bytes.length,
    position: first?.header.position ?? 0,
    minNs,
    maxNs,
    stdoutBytes: outputBytes.stdout,
    stderrBytes: outputBytes.stderr,
    stdoutLines: lines.stdout,
    stderrLines: lines.stderr,
    droppedBytes,
    gaps,
  };
}

/** The position behind the output of a run. */
export function endOf({ position, stdoutBytes, stderrBytes }: Contents): number {
  return position + stdoutBytes + stderrBytes;
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
