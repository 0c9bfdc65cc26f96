// Memory of this process that is not in use goes back to the kernel. V8 keeps it for the next burst of
// work, on a quiet node for ever, and the C library keeps what lies in between.

import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { JobletError, messageOf } from '../../shared/errors.ts';

const LIBRARY = path.resolve(import.meta.dirname, '../../../native/build/joblet-spare-memory.so');

type Collector = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;

let collect: Collector | undefined;

/** Takes a tenth of a second, in which nothing else is done. */
export function giveBackMemory(): void {
  collect ??= collector();
  // Any other flavor leaves V8 its empty pages.
  collect({ type: 'major', flavor: 'last-resort' });
  trim();
}

/** V8's own function, which a context has that is made while the flag is set. */
function collector(): Collector {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as Collector;
  setFlagsFromString('--no-expose-gc');
  return gc;
}

/** See native/store/spare-memory.c. */
function trim(): void {
  const any = new DatabaseSync(':memory:', { allowExtension: true });
  try {
    any.loadExtension(LIBRARY);
  } catch (cause) {
    throw new JobletError(
      'unavailable',
      `what does it cannot be loaded: ${messageOf(cause)}; build it with ./dev`,
      { about: LIBRARY, cause },
    );
  } finally {
    any.close();
  }
}
