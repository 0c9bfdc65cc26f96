// Runs a target in a thread, and ends the thread when an input holds it up or takes all memory.

import { inspect } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Totals } from './coverage.ts';
import { FOUND, inputsIn, KEPT, keepInput } from './inputs.ts';
import { HEAD_BYTES, type News, type Order } from './news.ts';

/** The longest input that can be told when a thread has to be ended. */
const CURRENT_BYTES = 1 << 20;

/** An input that has not ended by then never will, however busy the machine is. */
const HANG_MS = 120_000;

const HEAP_MB = 1024;

/** A look at the thread, and every so many looks a line about it. */
const LOOK_MS = 1000;
const LOOKS_PER_LINE = 30;

export interface RunOptions {
  readonly seed: number;
  readonly ms: number;
}

export interface Result {
  readonly executions: number;
  readonly ms: number;
  readonly kept: number;
  /** What was found, as text, and the file that holds its input. */
  readonly findings: readonly { readonly error: string; readonly file: string }[];
  readonly totals: Totals | undefined;
  readonly missed: readonly string[];
}

/** Searches for as long as it is told to, or until something is found. */
export function runTarget(name: string, options: RunOptions): Promise<Result> {
  const known = [...inputsIn(`${FOUND}/${name}`), ...inputsIn(`${KEPT}/${name}/kept`)];
  return inThread({ name, ...options, known, replay: false });
}

/** Tries some inputs, and nothing else. */
export function replay(name: string, inputs: readonly Uint8Array[]): Promise<Result> {
  return inThread({ name, seed: 0, ms: 0, known: inputs, replay: true });
}

async function inThread(order: Omit<Order, 'shared'>): Promise<Result> {
  const shared = new SharedArrayBuffer(HEAD_BYTES + CURRENT_BYTES);
  const counters = new Int32Array(shared, 0, 2);
  const began = performance.now();
  const findings: { error: string; file: string }[] = [];
  let kept = 0;
  let done: Extract<News, { kind: 'done' }> | undefined;
  const found = (input: Uint8Array, error: string) => {
    findings.push({ error, file: keepInput(`${KEPT}/${order.name}`, input, 'found-') });
  };
  const current = () => new Uint8Array(shared, HEAD_BYTES, counters[1] ?? 0).slice();

  const worker = new Worker(new URL('thread.ts', import.meta.url), {
    workerData: { ...order, shared } satisfies Order,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  worker.on('message', (news: News) => {
    if (news.kind === 'done') {
      done = news;
      // A target may have left something open.
      void worker.terminate();
    } else if (news.kind === 'found') found(news.input, news.error);
    else {
      kept++;
      keepInput(`${KEPT}/${order.name}/kept`, news.input);
    }
  });
  const watch = watchOver(order.name, counters, () => {
    found(current(), `had not ended after ${HANG_MS / 1000} s`);
    void worker.terminate();
  });
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  worker.on('error', (error) => found(current(), inspect(error)));
  worker.on('exit', () => resolve());
  await ended;
  clearInterval(watch);
  return {
    executions: counters[0] ?? 0,
    ms: performance.now() - began,
    kept,
    findings,
    totals: done?.totals,
    missed: done?.missed ?? [],
  };
}

function watchOver(name: string, counters: Int32Array, onHang: () => void): NodeJS.Timeout {
  let before = 0;
  let stillMs = 0;
  let looks = 0;
  return setInterval(() => {
    const now = counters[0] ?? 0;
    stillMs = now === before ? stillMs + LOOK_MS : 0;
    before = now;
    if (++looks % LOOKS_PER_LINE === 0) process.stdout.write(`${name}: ${now} executions\n`);
    if (stillMs === HANG_MS) onHang();
  }, LOOK_MS);
}
