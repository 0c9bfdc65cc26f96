// The daemon's own log: one line per fact, for people and for programs.
//
//   [2024-01-15T10:30:00Z] [INFO] job started | jobId=f47ac10b command="python3 script.py"
//
// Fields are plain values, so no object that holds a secret can be written by mistake.

import { closeSync, openSync, writeSync } from 'node:fs';

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
  /**
   * From now on these count; without any, those that did. A file is opened again in any case, so that
   * one which was moved away is left alone. Throws, and changes nothing, when it cannot be opened.
   */
  change(options?: LogOptions): void;
}

/** A value longer than this is cut: a line is read by people, and a client can choose values. */
const MAX_VALUE_CHARS = 2048;

/** A log that writes to the output that its options name. */
export function createLog(options: LogOptions): Log {
  return logTo(openOutput, options, () => new Date());
}

/** Where lines go. */
export interface Output {
  /** False when the line could not be written. */
  write(line: string): boolean;
  /** What has been written stays. */
  close(): void;
}

/** A log on any output and clock. */
export function logTo(open: (output: string) => Output, options: LogOptions, now: () => Date): Log {
  let current = options;
  let output = open(options.output);
  let format = formats[options.format];
  let threshold = levels.indexOf(options.level);
  let lost = 0;
  const write = (level: Level, message: string, fields: Fields) =>
    output.write(`${format(now(), level, message, fields)}\n`);
  const at = (level: Level) => {
    const rank = levels.indexOf(level);
    return (message: string, fields: Fields = {}) => {
      if (rank < threshold) return;
      if (lost > 0 && write('WARN', 'lines of this log were lost', { count: lost })) lost = 0;
      if (!write(level, message, fields)) lost += 1;
    };
  };
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARN'),
    error: at('ERROR'),
    change(changed = current) {
      // Opened first: where that fails, everything stays as it was.
      const next = open(changed.output);
      output.close();
      output = next;
      current = changed;
      format = formats[changed.format];
      threshold = levels.indexOf(changed.level);
    },
  };
}

/** A line for whoever started the daemon, whatever is logged where, in the form of the log. */
export function formatNotice(text: string, format: LogOptions['format']): string {
  return formats[format](new Date(), 'INFO', text, {});
}

function openOutput(output: string): Output {
  return output === 'stdout' || output === 'stderr' ? toStream(process[output]) : toFile(output);
}

/** What a full disk does not take is lost: jobs matter more. */
function toFile(file: string): Output {
  const descriptor = openSync(file, 'a', 0o600);
  return {
    write(line) {
      try {
        writeSync(descriptor, line);
        return true;
      } catch {
        return false;
      }
    },
    close: () => closeSync(descriptor),
  };
}

/** Whoever read the log may have gone; jobs do not depend on being watched. */
const ignore = () => {};

/** Lines of one turn of the event loop are one write: on a pipe each write holds up everything. */
function toStream(stream: NodeJS.WriteStream): Output {
  let lines = '';
  const flush = () => {
    const text = lines;
    lines = '';
    if (text !== '') stream.write(text);
  };
  if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore);
  process.on('exit', flush);
  return {
    write(line) {
      if (lines === '') setImmediate(flush);
      lines += line;
      return true;
    },
    close() {
      flush();
      process.off('exit', flush);
    },
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

const formats = { text: formatText, json: formatJson } as const;

function formatValue(value: string): string {
  const short = cut(value);
  return /^[^\s"=|\p{C}]+$/u.test(short) ? short : escapeControls(JSON.stringify(short));
}

/** Keeps a message on its line and a terminal in its mode; what was JSON stays JSON. */
function escapeControls(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function cut(text: string): string {
  return text.length > MAX_VALUE_CHARS ? `${text.slice(0, MAX_VALUE_CHARS)}...` : text;
}
