// Those who wait for something of a workflow to change.

interface Watcher {
  /** From then on a change is told at once; before it, that something changed is told then. */
  readonly fromMs: number;
  readonly wake: () => void;
  timer: NodeJS.Timeout | undefined;
}

export class Watchers {
  readonly #byId = new Map<string, Set<Watcher>>();

  /**
   * Resolves when it is woken, or when the signal is aborted; where the workflow is not over, not before
   * `fromMs` of performance.now(): who is told all of a workflow is not told each of its steps apart, when
   * they take milliseconds.
   */
  changed(id: string, signal: AbortSignal, fromMs = 0): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watchers = this.#byId.get(id) ?? new Set();
    const wake = () => {
      signal.removeEventListener('abort', wake);
      clearTimeout(watcher.timer);
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#byId.get(id) === watchers) this.#byId.delete(id);
      resolve();
    };
    const watcher: Watcher = { fromMs, wake, timer: undefined };
    this.#byId.set(id, watchers.add(watcher));
    signal.addEventListener('abort', wake);
    return promise;
  }

  /** Something of a workflow has changed, or it is over. */
  wake(id: string, isOver: boolean): void {
    const now = performance.now();
    for (const watcher of [...(this.#byId.get(id) ?? [])]) {
      const leftMs = watcher.fromMs - now;
      if (isOver || leftMs <= 0) watcher.wake();
      else watcher.timer ??= setTimeout(watcher.wake, leftMs);
    }
  }
}
