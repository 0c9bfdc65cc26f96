// The thread that seals the segments of a log; see sealer.ts for the other side. It packs by itself: the
// threads of the pool belong to the whole daemon.

import { workerData } from 'node:worker_threads';
import { zstdCompressSync } from 'node:zlib';
import { standBehind } from '../linux/own-thread.ts';
import { carryOut, type SealOrder } from './sealer.ts';

standBehind();
const { signal } = new AbortController();
await carryOut(workerData as SealOrder, signal, async (bytes, options) =>
  zstdCompressSync(bytes, options),
);
