// The thread that reads a long workflow; see reading.ts for the other side.

import { parentPort, workerData } from 'node:worker_threads';
import { answer, partsOf, type ReadingOrder } from './reading.ts';

parentPort?.postMessage(partsOf(answer(workerData as ReadingOrder)));
