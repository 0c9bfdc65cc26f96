// The thread that reads a long workflow; see reading.ts for the other side.

import { parentPort, workerData } from 'node:worker_threads';
import { answer, type ReadingOrder } from './reading.ts';

// As text: to copy ten thousand jobs as they are takes the daemon ten times as long.
parentPort?.postMessage(JSON.stringify(answer(workerData as ReadingOrder)));
