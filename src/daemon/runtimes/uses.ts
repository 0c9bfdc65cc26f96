// Which jobs use which tree, from the moment they are admitted until they have ended. A tree that is
// used is not removed; one that a newer tree takes the place of is kept until its last job has ended.

import type { Runtime } from './catalogue.ts';

/** Of a runtime: its `id` goes with the directory when that is renamed. */
type Tree = Pick<Runtime, 'id'>;

export class Uses {
  /** Jobs by tree, and trees by job. */
  readonly #jobs = new Map<string, Set<string>>();
  readonly #trees = new Map<string, string>();
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();

  /** A job uses a tree from now on. It uses one at a time. */
  hold(jobId: string, { id }: Tree): void {
    this.release(jobId);
    this.#trees.set(jobId, id);
    const jobs = this.#jobs.get(id);
    if (jobs === undefined) this.#jobs.set(id, new Set([jobId]));
    else jobs.add(jobId);
  }

  /** It does no more; nothing happens when it uses none. */
  release(jobId: string): void {
    const tree = this.#trees.get(jobId);
    if (tree === undefined) return;
    this.#trees.delete(jobId);
    const jobs = this.#jobs.get(tree);
    jobs?.delete(jobId);
    if (jobs === undefined || jobs.size > 0) return;
    this.#jobs.delete(tree);
    this.#waiting.get(tree)?.resolve();
    this.#waiting.delete(tree);
  }

  /** The ids of the jobs that use a tree. */
  usersOf({ id }: Tree): string[] {
    return [...(this.#jobs.get(id) ?? [])];
  }

  /** Resolves when no job uses a tree. */
  whenFree({ id }: Tree): Promise<void> {
    if (!this.#jobs.has(id)) return Promise.resolve();
    const waiting = this.#waiting.get(id) ?? Promise.withResolvers<void>();
    this.#waiting.set(id, waiting);
    return waiting.promise;
  }
}
