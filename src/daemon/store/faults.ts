// What a disk or SQLite says when it fails, as a sentence with a way out.

import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { readOwner } from './owner.ts';

/** Result codes of SQLite (sqlite.org/rescode.html); the low byte is the class. */
const BUSY = 5;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;
const IOERR_DATA = IOERR | (32 << 8);

/** Read of a file at once. */
const READ_BYTES = 1 << 20;

const OTHER_PAGE = 'a page is not what was written (its checksum differs)';
const WAY_OUT_OF_DAMAGE = 'stop the daemon and put a backup back with `joblet restore FILE`';

/** What failed below `file`, named; anything that is no fault of the disk comes back as it is. */
export function faultOf(error: unknown, file: string): unknown {
  if (error instanceof JobletError) return error;
  const { code, errcode } = error as NodeJS.ErrnoException & { errcode?: number };
  if (errcode !== undefined) return sqliteFault(errcode, error, file);
  return code === undefined ? error : diskFault(code, error, file);
}

/** Whether another process holds the database. */
export function isLocked(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === BUSY;
}

/** A state that is not what was written. */
export function damaged(file: string, what: string, cause?: unknown): JobletError {
  const message = `the state in ${file} is damaged and cannot be used: ${what}; ${WAY_OUT_OF_DAMAGE}`;
  return new JobletError('unavailable', message, { about: file, cause });
}

/** What SQLite found wrong with a database when it looked through all of it. */
export function foundDamaged(file: string, said: string): JobletError {
  if (said.includes(`error code=${IOERR_DATA}`)) return damaged(file, OTHER_PAGE);
  return damaged(file, said.replace(/^\*\*\*.*\*\*\*\s*/, '').replaceAll(/\s+/g, ' '));
}

/** An errno about a file or a directory. */
export function diskFault(errno: string, cause: unknown, file: string): JobletError {
  const said = (text: string, kind: 'unavailable' | 'exhausted' = 'unavailable') =>
    new JobletError(kind, text, { about: file, cause });
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return said(`the disk of ${file} is full (${errno}); free some space on it`, 'exhausted');
    case 'ENOENT':
      return said(`${file} is gone (ENOENT); mount its disk, or put it back`);
    case 'EROFS':
      return said(`${file} is on a read-only file system (EROFS); mount it read-write`);
    case 'EACCES':
    case 'EPERM':
      return said(
        `${file} may not be written (${errno}); give it to the daemon's user, without an immutable flag`,
      );
    case 'ENOTDIR':
    case 'EEXIST':
      return said(`${file} is no directory (${errno}); move away what is in its place`);
    default:
      return said(`the disk of ${file} failed (${messageOf(cause)}); see the kernel's log`);
  }
}

function sqliteFault(errcode: number, cause: unknown, file: string): unknown {
  // While it reads its schema, SQLite forgets which kind of read error it was. A disk that then can be
  // read and written after all has not failed.
  const isForgotten = errcode === IOERR && errnoOf(file) === 'EIO' && canRead(file);
  if (errcode === IOERR_DATA || isForgotten) {
    return damaged(file, OTHER_PAGE, cause);
  }
  switch (errcode & 0xff) {
    case BUSY: {
      const directory = path.dirname(file);
      return new JobletError(
        'unavailable',
        `${readOwner(directory)} already runs on ${directory}; stop it first, or give this one a state directory of its own`,
        { about: directory, cause },
      );
    }
    case CORRUPT:
    case NOTADB:
      return damaged(file, messageOf(cause), cause);
    case FULL:
      return diskFault('ENOSPC', cause, file);
    case READONLY:
    case IOERR:
    case CANTOPEN:
      return diskFault(errnoOf(file), cause, file);
    default:
      return cause;
  }
}

/** SQLite does not tell the errno, so the directory is asked for it. */
function errnoOf(file: string): string {
  try {
    tryWriting(path.dirname(file));
    return 'EIO';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EIO';
  }
}

/** Whether the disk gives all of a file. */
function canRead(file: string): boolean {
  try {
    const fd = openSync(file, 'r');
    const piece = Buffer.allocUnsafe(READ_BYTES);
    try {
      while (readSync(fd, piece) > 0);
    } finally {
      closeSync(fd);
    }
    return true;
  } catch {
    return false;
  }
}

/** Makes a file and removes it: mode bits, attributes, mounts and the disk all have a say in that. */
export function tryWriting(directory: string): void {
  // One name for all: what a daemon leaves that is killed right here, the next one removes.
  const probe = path.join(directory, '.writable');
  closeSync(openSync(probe, 'w', 0o600));
  rmSync(probe, { force: true });
}
