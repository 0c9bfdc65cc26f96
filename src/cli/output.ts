// Standard output and standard error. Writing is synchronous where the system allows: loading Node's
// streams would cost more than most commands have to say.

import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { JobletError, messageOf } from '../shared/errors.ts';

export interface Output {
  /** Somebody looks at it: control sequences would act, colours would show. */
  readonly terminal: boolean;
  readonly color: boolean;
  /** Columns of the terminal; undefined when it is none, or does not say. */
  readonly columns: number | undefined;
  /** Its rows. */
  readonly rows: number | undefined;
  /** Writes all of it; a promise when the other side has to make room first. */
  write(data: string | Uint8Array): Promise<void> | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The output behind a descriptor of this process. */
export function openOutput(fd: 1 | 2, env: Environment): Output {
  const terminal = isatty(fd);
  return {
    terminal,
    color: terminal && wantsColor(env),
    get columns() {
      return terminal ? (fd === 1 ? process.stdout : process.stderr).columns : undefined;
    },
    get rows() {
      return terminal ? (fd === 1 ? process.stdout : process.stderr).rows : undefined;
    },
    write: (data) => writeAll(fd, typeof data === 'string' ? Buffer.from(data) : data),
  };
}

/** https://no-color.org: any value but an empty one switches colours off. */
export function wantsColor(env: Environment): boolean {
  return !env['NO_COLOR'] && !env['RNX_NO_COLOR'] && env['TERM'] !== 'dumb';
}

function writeAll(fd: 1 | 2, bytes: Uint8Array): Promise<void> | undefined {
  let rest = bytes;
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') throw error;
    if (code !== 'EAGAIN') throw unwritable(fd, error);
  }
  // Somebody who shares this pipe has made it non-blocking: let the event loop wait for room.
  const stream = fd === 1 ? process.stdout : process.stderr;
  return new Promise((resolve, reject) => {
    stream.write(rest, (error) => (error ? reject(error) : resolve()));
  });
}

function unwritable(fd: 1 | 2, cause: unknown): JobletError {
  const name = fd === 1 ? 'standard output' : 'standard error';
  return new JobletError('unavailable', `${name} cannot be written: ${messageOf(cause)}`, {
    cause,
  });
}
