// Sizes and durations as people write them. Whatever `format` writes, `parse` reads back exactly.

import { JobletError } from './errors.ts';

// Powers of 1024, with or without the `i`: a job with 512 MB has always had 512 x 1024 x 1024 bytes.
const byteUnits = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 } as const;

const msUnits = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3 } as const;

const SIZE = /^(\d+(?:\.\d+)?) ?(?:([KMGT])i?B?|B?)$/i;
const DURATION = /^(?:\d+(?:\.\d+)?(?:d|h|ms|us|µs|m|s))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(d|h|ms|us|µs|m|s)/g;

/** Longest text worth looking at; whatever is longer is no size and no duration. */
const MAX_CHARS = 64;

/** Bytes of a size such as `512MB`, `1.5 GiB` or `4096`. Throws `invalid` with the way to write it. */
export function parseBytes(text: string): number {
  const [, digits = '', letter = ''] = text.length <= MAX_CHARS ? (SIZE.exec(text) ?? []) : [];
  const unit = `${letter.toUpperCase()}B` as keyof typeof byteUnits;
  // Half a byte is a unit that was forgotten.
  const isPart = letter === '' && digits.includes('.');
  const bytes = digits === '' || isPart ? Number.NaN : Math.round(Number(digits) * byteUnits[unit]);
  if (!Number.isSafeInteger(bytes)) throw notUnderstood('size', text, '512MB, 1.5GB or 4096');
  return bytes;
}

/** A size in the largest unit that holds it without a fraction: `512 MB`, `1000 B`. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of Object.entries(byteUnits).reverse()) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`;
  }
  return `${bytes} B`;
}

/** Milliseconds of a duration such as `1h30m`, `1.5s`, `100ms` or `0`. Throws `invalid`. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  let ms = text.length <= MAX_CHARS && DURATION.test(text) ? 0 : Number.NaN;
  for (const [, digits = '', unit = ''] of text.slice(0, MAX_CHARS).matchAll(DURATION_PART)) {
    ms += Number(digits) * msUnits[unit.replace('µ', 'u') as keyof typeof msUnits];
  }
  ms = Math.round(ms);
  if (!Number.isSafeInteger(ms)) throw notUnderstood('duration', text, '1h30m, 30s or 100ms');
  return ms;
}

/** A duration in whole hours, minutes, seconds and milliseconds: `1h30m`, `100ms`, `0s`. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = '';
  for (const unit of ['h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / msUnits[unit]);
    rest -= count * msUnits[unit];
    if (count > 0) text += `${count}${unit}`;
  }
  return text || '0s';
}

/** Bits a second as links are sold by, in powers of 1000, or bytes a second as in parseBytes. */
const BANDWIDTH = /^(\d+(?:\.\d+)?) ?([kmgt]?)(bit|bps|bit\/s)$/i;
const bitUnits = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const;
const BITS_PER_BYTE = 8;

/** Bytes a second of a bandwidth such as `100mbit`, `10Mbps`, `2.5MB/s` or `512KB`. Throws `invalid`. */
export function parseBandwidth(text: string): number {
  const [, digits = '', letter = ''] = text.length <= MAX_CHARS ? (BANDWIDTH.exec(text) ?? []) : [];
  if (digits !== '') {
    const unit = bitUnits[letter.toLowerCase() as keyof typeof bitUnits];
    return Math.round((Number(digits) * unit) / BITS_PER_BYTE);
  }
  try {
    return parseBytes(text.replace(/\/s$/, ''));
  } catch {
    throw notUnderstood('bandwidth', text, '100mbit, 10MB/s or 512KB');
  }
}

/** A bandwidth in bytes a second. */
export function formatBandwidth(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

function notUnderstood(what: string, text: string, examples: string): JobletError {
  const shown = JSON.stringify(text.slice(0, MAX_CHARS));
  return new JobletError('invalid', `${shown} is not a ${what}; write it as ${examples}`);
}
