// Seals the segments of a log. What takes long is done in a thread of its own, which lets all others go
// first: jobs that run, and the calls of clients.

import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Compress, sealSegment } from './seal.ts';
import { rawName } from './segments.ts';

/** Segments of one log, to be sealed one after the other. */
export interface SealOrder {
  readonly directory: string;
  readonly bases: readonly number[];
}

/** A segment that is smaller stays as it is: it would take as many blocks of the disk. */
const LEAST_BYTES = 16 * 1024;

/** Less is sealed here: a thread takes longer to start. */
const LONG_BYTES = 1024 * 1024;

/**
 * What the thread may use. A frame leaves little behind; where little fits, buffers too are given back
 * soon: 270 MB of output are sealed within 20 MB, not 70.
 */
const THREAD_MEMORY = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 };

/** Ends early when aborted; what was at work is done again the next time. */
export async function sealSegments(order: SealOrder, signal: AbortSignal): Promise<void> {
  const bases: number[] = [];
  let bytes = 0;
  for (const base of order.bases) {
    const found = await stat(path.join(order.directory, rawName(base))).catch(unlessGone);
    if (found === undefined || found.size < LEAST_BYTES) continue;
    bases.push(base);
    bytes += found.size;
  }
  const due = { ...order, bases };
  await (bytes < LONG_BYTES ? carryOut(due, signal) : inThread(due, signal));
}

/** What the thread does, too. */
export async function carryOut(
  { directory, bases }: SealOrder,
  signal: AbortSignal,
  compress?: Compress,
): Promise<void> {
  for (const base of bases) {
    await sealSegment(directory, base, signal, compress).catch(unlessGone);
  }
}

async function inThread(order: SealOrder, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const worker = new Worker(new URL('sealer-thread.ts', import.meta.url), {
    workerData: order,
    resourceLimits: THREAD_MEMORY,
  });
  // It may be cut off anywhere: so may the whole daemon.
  const cut = () => worker.terminate();
  signal.addEventListener('abort', cut);
  try {
    await once(worker, 'exit');
  } finally {
    signal.removeEventListener('abort', cut);
  }
  signal.throwIfAborted();
}

/** Its job was deleted meanwhile. */
function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
