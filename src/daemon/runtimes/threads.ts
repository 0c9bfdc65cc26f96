// Work on trees of ten thousands of files, away from the thread that answers calls.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ErrorKind, JobletError, type Problem } from '../../shared/errors.ts';
import type { TaskInput, TaskName, TaskResult } from './tasks.ts';

export interface Order {
  readonly task: TaskName;
  readonly input: unknown;
  /** What a fault of the disk is about. */
  readonly about: string;
  /** Not zero when nobody wants the result any more. */
  readonly shared: SharedArrayBuffer;
}

export type Report =
  | { readonly kind: 'progress'; readonly done: number; readonly total: number }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly error: Failure };

interface Failure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly about: string | undefined;
  readonly problems: readonly Problem[];
}

export interface Following {
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

/** How a task ends that was told to. */
export function canceled(): JobletError {
  return new JobletError('unavailable', 'canceled; nothing of it is left');
}

/** Does a task in a thread of its own. When it is told to end, it clears up before it does. */
export async function inThread<T extends TaskName>(
  task: T,
  input: TaskInput<T>,
  about: string,
  { signal, progress }: Following = {},
): Promise<TaskResult<T>> {
  if (signal?.aborted === true) throw canceled();
  const shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const order: Order = { task, input, about, shared };
  const worker = new Worker(new URL('thread.ts', import.meta.url), { workerData: order });
  const cancel = () => Atomics.store(new Int32Array(shared), 0, 1);
  signal?.addEventListener('abort', cancel);
  let last: Exclude<Report, { kind: 'progress' }> | undefined;
  worker.on('message', (report: Report) => {
    if (report.kind === 'progress') progress?.(report.done, report.total);
    else last = report;
  });
  try {
    // An error of a thread that is none of ours is thrown here.
    await once(worker, 'exit');
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  if (last?.kind === 'result') return last.result as TaskResult<T>;
  if (last === undefined) throw new Error(`the thread of ${task} ended without a result`);
  const { kind, message, ...options } = last.error;
  throw new JobletError(kind, message, {
    problems: options.problems,
    ...(options.about !== undefined && { about: options.about }),
  });
}
