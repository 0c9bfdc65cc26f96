// The thread in which a target runs: coverage first, then the target, so that all of it is counted.

import { inspect } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { execute, type Finding, search, shorten } from './loop.ts';
import { HEAD_BYTES, type News, type Order } from './news.ts';
import { targets } from './targets.ts';

const order = workerData as Order;
const counters = new Int32Array(order.shared, 0, 2);
const current = new Uint8Array(order.shared, HEAD_BYTES);

function tell(news: News): void {
  parentPort?.postMessage(news);
}

function trying(input: Buffer): void {
  current.set(input.subarray(0, current.length));
  counters[1] = Math.min(input.length, current.length);
  counters[0] = (counters[0] ?? 0) + 1;
}

function tellFound({ input, error }: Finding): void {
  tell({ kind: 'found', input, error: inspect(error, { depth: 3 }) });
}

const { load, sources } = targets[order.name] ?? {};
if (load === undefined || sources === undefined) throw new Error(`no target ${order.name}`);
const coverage = new Coverage(sources);
const target = (await load()).default;
const known = order.known.map((input) => Buffer.from(input));
const until = performance.now() + order.ms;
const limits = {
  seed: order.seed,
  known,
  coverage,
  trying,
  goesOn: () => performance.now() < until,
};
if (order.replay) {
  for (const input of known) {
    trying(input);
    const finding = await execute(target, input);
    if (finding !== undefined) tellFound(finding);
  }
} else {
  const kept = (input: Buffer) => tell({ kind: 'kept', input });
  const finding = await search(target, { ...limits, kept });
  if (finding !== undefined) tellFound(await shorten(target, finding, trying));
}
coverage.note();
tell({ kind: 'done', totals: coverage.totals(), missed: coverage.missed() });
