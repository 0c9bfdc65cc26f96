// Text for people: tables, times, colours. Whatever comes from a job or a user is made visible first,
// so that nobody's job name moves the cursor.

import type { Output } from './output.ts';

/** Everything that does not stand for itself on a line: controls, line ends, bidirectional marks. */
const unseen = /\p{Cc}|\p{Bidi_Control}|[\u2028\u2029\ufeff]/gu;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text on one line, with control characters written out: `\n`, `\x1b`, `\u202e`. */
export function visible(text: string): string {
  return text.toWellFormed().replace(unseen, (character) => {
    const code = character.charCodeAt(0);
    const hex = code.toString(16);
    return (
      short[character] ?? (code < 256 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`)
    );
  });
}

/** A command line for reading; words that hold spaces keep their limits by quotes. */
export function commandLine(command: string, args: readonly string[]): string {
  // A command without arguments is shown as it was typed: it may be a whole shell line.
  if (args.length === 0) return visible(command);
  return [command, ...args]
    .map((word) => (/^[^\s"'\\$`;&|<>()*?[\]{}!#~]+$/.test(word) ? word : quote(word)))
    .map(visible)
    .join(' ');
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export interface Column {
  readonly title: string;
  /** Columns it takes at least. */
  readonly width: number;
  /** Colours a cell. */
  readonly paint?: (cell: string) => string;
}

const GAP = '  ';

/** What is left of a last column, however narrow the terminal. */
const LEAST_LAST_COLUMNS = 16;

/**
 * A table with a rule below its header. Its last column is cut so that lines fit into `columns`, or
 * to `lastColumns` when there is no such limit (0).
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  limitColumns: number,
  lastColumns: number,
): string {
  const widths = columns.map(({ width, title }, at) =>
    Math.max(width, title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const last = columns.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + GAP.length, 0);
  const room = limitColumns > 0 ? Math.max(LEAST_LAST_COLUMNS, limitColumns - before) : lastColumns;
  const line = (cells: readonly string[], paint: boolean) =>
    cells
      .map((cell, at) => {
        if (at === last) return cut(cell, room);
        const pad = ' '.repeat((widths[at] ?? 0) - cell.length);
        return `${paint ? (columns[at]?.paint?.(cell) ?? cell) : cell}${pad}`;
      })
      .join(GAP);
  const titles = columns.map(({ title }) => title);
  const lengths = [titles, ...rows].map((cells) => line(cells, false).length);
  const rule = '-'.repeat(Math.max(...lengths));
  return `${[line(titles, false), rule, ...rows.map((row) => line(row, true))].join('\n')}\n`;
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, columns - 3).toWellFormed()}...`;
}

const yellow = 33;
const green = 32;
const red = 31;
const cyan = 36;
const magenta = 35;
const blue = 34;

const statusColors: Readonly<Record<string, number>> = {
  RUNNING: yellow,
  COMPLETED: green,
  FAILED: red,
  SCHEDULED: cyan,
  PENDING: cyan,
  STOPPED: magenta,
  CANCELED: magenta,
  INITIALIZING: blue,
};

/** A status word in its colour, where colours are wanted. */
export function statusWord(status: string, out: Output): string {
  const color = Object.hasOwn(statusColors, status) ? statusColors[status] : undefined;
  return out.color && color !== undefined ? `\u001b[${color}m${status}\u001b[0m` : visible(status);
}

/** A moment in the user's own time zone: `2026-11-21 09:45:10`; `-` when it is not there yet. */
export function localTime(rfc3339: string): string {
  const at = new Date(rfc3339);
  if (rfc3339 === '' || Number.isNaN(at.getTime())) return rfc3339 === '' ? '-' : visible(rfc3339);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const timeUnits = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
  [1, 's'],
] as const;

/** A length of time in its two largest units: `1h 5m`, `3.2s`, `40ms`. */
export function roughTime(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))}ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1).replace('.0', '')}s`;
  const seconds = Math.round(milliseconds / 1000);
  const first = timeUnits.findIndex(([size]) => seconds >= size);
  const [[large, largeName] = [1, 's'], [small, smallName] = [1, 's']] = timeUnits.slice(first);
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)}${largeName}${rest > 0 ? ` ${rest}${smallName}` : ''}`;
}

const sizeUnits = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** A size to two places at most: `5.2 MB`, `12 B`. */
export function roughSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(2))} ${sizeUnits[unit]}`;
}

/** A document for programs. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** One of many documents for programs, on a line of its own. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
