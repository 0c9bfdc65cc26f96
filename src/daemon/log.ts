// The daemon's own log: one line per fact, for people and for programs.
//
//   [2024-01-15T10:30:00Z] [INFO] job started | jobId=f47ac10b command="python3 script.py"
//
// Fields are plain values, so no object that holds a secret can be written by mistake.

import { openSync, writeSync } from 'node:fs';

export const levels = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;
export type Level = (typeof levels)[number];

/** What a line says beside its message; undefined fields are left out. */
export type Fields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

export interface LogOptions {
  readonly level: Level;
  readonly format: 'text' | 'json';
  /** `stdout`, `stderr` or the path of a file that is appended to. */
  readonly output: string;
}

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** From now on, less important lines than these are not written. */
  setLevel(level: Level): void;
}

/** A value longer than this is cut: a line is read by people, and a client can choose values. */
const MAX_VALUE_CHARS = 2048;

/** A log that writes to the output that its options name. */
export function createLog(options: LogOptions): Log {
  return logTo(openOutput(options.output), options, () => new Date());
}

/** A log on any sink and clock. */
export function logTo(
  write: (line: string) => void,
  options: Omit<LogOptions, 'output'>,
  now: () => Date,
): Log {
  const format = options.format === 'json' ? formatJson : formatText;
  let threshold = levels.indexOf(options.level);
  const at = (level: Level) => {
    const rank = levels.indexOf(level);
    return (message: string, fields: Fields = {}) => {
      if (rank >= threshold) write(`${format(now(), level, message, fields)}\n`);
    };
  };
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    setLevel(level) {
      threshold = levels.indexOf(level);
    },
  };
}

function openOutput(output: string): (line: string) => void {
  if (output !== 'stdout' && output !== 'stderr') {
    const descriptor = openSync(output, 'a', 0o600);
    return (line) => void writeSync(descriptor, line);
  }
  const stream = process[output];
  // Whoever read the log may have gone; jobs do not depend on being watched.
  stream.on('error', () => {});
  // Lines of one turn of the event loop are one write: on a pipe each write holds up everything.
  let lines = '';
  const flush = () => {
    const text = lines;
    lines = '';
    if (text !== '') stream.write(text);
  };
  process.once('exit', flush);
  return (line) => {
    if (lines === '') setImmediate(flush);
    lines += line;
  };
}

type Format = (time: Date, level: Level, message: string, fields: Fields) => string;

const formatText: Format = (time, level, message, fields) => {
  // Whole seconds, as readers of these lines know them; JSON has the milliseconds.
  const seconds = time.toISOString().replace(/\.\d+Z$/, 'Z');
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${formatValue(String(value))}`);
  const head = `[${seconds}] [${level}] ${escapeControls(cut(message))}`;
  return pairs.length === 0 ? head : `${head} | ${pairs.join(' ')}`;
};

const formatJson: Format = (time, level, message, fields) =>
  escapeControls(
    JSON.stringify({ time: time.toISOString(), level, message, ...fields }, (_, value) => {
      if (typeof value === 'bigint') return String(value);
      return typeof value === 'string' ? cut(value) : value;
    }),
  );

function formatValue(value: string): string {
  const short = cut(value);
  return /^[^\s"=|\p{C}]+$/u.test(short) ? short : escapeControls(JSON.stringify(short));
}

/** Keeps a message on its line and a terminal in its mode; what was JSON stays JSON. */
function escapeControls(text: string): string {
  return text.replace(/\p{C}/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function cut(text: string): string {
  return text.length > MAX_VALUE_CHARS ? `${text.slice(0, MAX_VALUE_CHARS)}...` : text;
}
