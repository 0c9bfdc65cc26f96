// The thread that reads a long workflow; see reading.ts for the other side.

import { parentPort, workerData } from 'node:worker_threads';
import { answer, type ReadingOrder } from './reading.ts';

parentPort?.postMessage(answer(workerData as ReadingOrder));
