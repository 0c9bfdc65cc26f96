// The thread of one task; see threads.ts for the other side.

import { parentPort, workerData } from 'node:worker_threads';
import { JobletError } from '../../shared/errors.ts';
import { faultOf } from '../store/faults.ts';
import type { Witness } from './settle.ts';
import { tasks } from './tasks.ts';
import { canceled, type Order, type Report } from './threads.ts';

const { task, input, about, shared } = workerData as Order;
const isCanceled = new Int32Array(shared);
const report = (said: Report) => parentPort?.postMessage(said);

let shownPercent = -1;
const witness: Witness = {
  goOn() {
    if (Atomics.load(isCanceled, 0) !== 0) throw canceled();
  },
  tell(done, total) {
    const percent = Math.floor((done / Math.max(1, total)) * 100);
    if (percent === shownPercent) return;
    shownPercent = percent;
    report({ kind: 'progress', done, total });
  },
};

try {
  // Each task takes its own kind of input, which `inThread` has seen to.
  const result = await (tasks[task] as (given: unknown, by: Witness) => unknown)(input, witness);
  report({ kind: 'result', result });
} catch (error) {
  const fault = faultOf(error, about);
  if (!(fault instanceof JobletError)) throw error;
  const { kind, message, problems } = fault;
  report({ kind: 'failed', error: { kind, message, about: fault.about, problems } });
}
