// The thread that compares the output of a test; see test-output.ts for the other side.

import { parentPort, workerData } from 'node:worker_threads';
import { readPattern } from '../../shared/output-pattern.ts';
import type { Comparison } from './test-output.ts';

const { pattern, output } = workerData as Comparison;
parentPort?.postMessage(readPattern(pattern).test(output));
