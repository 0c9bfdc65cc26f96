// How a keeper tells a job's end: in the `ended` frame and in the log's end record alike
// (docs/log-format.md).

import { parseCount } from './frames.ts';

/** What the keeper knows of an end. Times in milliseconds since 1970. */
export interface End {
  readonly how: 'exited' | 'signaled' | 'not-started';
  /** Exit code or signal number. */
  readonly code: number;
  readonly step: string;
  readonly object: string;
  readonly errno: string;
  /** Why the keeper itself ended the job, if it did. */
  readonly cause: '' | 'stop' | 'timeout';
  readonly oomKills: number;
  readonly memoryPeakBytes: number;
  /** The next job finds cgroups that are kept as if nobody had been in them. */
  readonly cgroupsAsNew: boolean;
  readonly cpuUsec: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly logBytes: number;
  readonly droppedBytes: number;
  /** The log could not take the end, so the keeper holds it until it hears `seen`. */
  readonly isHeld: boolean;
}

/**
 * Reads the pairs of an end; undefined when they are not those of an end, or a number of them is none:
 * nothing else of such a record can be believed.
 */
export function parseEnd(pairs: ReadonlyMap<string, string>): End | undefined {
  const how = pairs.get('how');
  if (how !== 'exited' && how !== 'signaled' && how !== 'not-started') return undefined;
  const cause = pairs.get('cause') ?? '';
  const number = (key: string) => parseCount(pairs.get(key) ?? '0');
  const end: End = {
    how,
    code: number('code'),
    step: pairs.get('step') ?? '',
    object: pairs.get('object') ?? '',
    errno: pairs.get('errno') ?? '',
    cause: cause === 'stop' || cause === 'timeout' ? cause : '',
    oomKills: number('oom-kills'),
    memoryPeakBytes: number('memory-peak'),
    cgroupsAsNew: pairs.get('cgroups') === 'as-new',
    cpuUsec: number('cpu-usec'),
    readBytes: number('read-bytes'),
    writtenBytes: number('written-bytes'),
    startedAtMs: nsToMs(pairs.get('started-ns') ?? '0'),
    endedAtMs: nsToMs(pairs.get('ended-ns') ?? '0'),
    logBytes: number('log-bytes'),
    droppedBytes: number('dropped-bytes'),
    isHeld: pairs.has('held'),
  };
  const isSound = (value: unknown) => typeof value !== 'number' || Number.isSafeInteger(value);
  return Object.values(end).every(isSound) ? end : undefined;
}

/** Nanoseconds in decimal, as the C side writes them, to milliseconds. */
export function nsToMs(text: string): number {
  return Math.floor(parseCount(text) / 1e6);
}
