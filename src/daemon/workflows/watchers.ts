// Those who wait for something of a workflow to change.

export class Watchers {
  readonly #byId = new Map<string, Set<() => void>>();

  /** Resolves when it is woken, or when the signal is aborted. */
  changed(id: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watchers = this.#byId.get(id) ?? new Set();
    const wake = () => {
      signal.removeEventListener('abort', wake);
      watchers.delete(wake);
      if (watchers.size === 0 && this.#byId.get(id) === watchers) this.#byId.delete(id);
      resolve();
    };
    this.#byId.set(id, watchers.add(wake));
    signal.addEventListener('abort', wake);
    return promise;
  }

  wake(id: string): void {
    const watchers = [...(this.#byId.get(id) ?? [])];
    this.#byId.delete(id);
    for (const wake of watchers) wake();
  }
}
