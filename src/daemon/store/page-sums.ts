// Checksums in the pages of the database (native/store/page-sums.c): a changed bit is an error when it
// is read, never a value.

import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { JobletError, messageOf } from '../../shared/errors.ts';

const LIBRARY = path.resolve(import.meta.dirname, '../../../native/build/joblet-page-sums.so');

/** Bytes at the end of each page that hold its checksum, as a database's header says it. */
export const SUM_BYTES = 8;

let loaded = false;

/** Every database that this process opens from now on checks its pages, and makes new ones so. */
export function usePageSums(): void {
  if (loaded) return;
  const any = new DatabaseSync(':memory:', { allowExtension: true });
  try {
    any.loadExtension(LIBRARY);
    loaded = true;
  } catch (cause) {
    throw new JobletError(
      'unavailable',
      `the checksums of the state cannot be loaded: ${messageOf(cause)}; build them with ./dev`,
      { about: LIBRARY, cause },
    );
  } finally {
    any.close();
  }
}
