// The runtimes of this node and the jobs that use them: what is there, who holds it, and what its jobs
// see as their root.

import type { Root } from '../linux/root.ts';
import { type Catalogue, type Runtime, refOf, type UsableRuntime } from './catalogue.ts';
import { type RuntimeRoot, rootOf } from './root.ts';
import type { Uses } from './uses.ts';

export interface RuntimesParts {
  readonly catalogue: Catalogue;
  readonly uses: Uses;
  /** What jobs without a runtime see. */
  readonly hostRoot: Root;
  /** Tells whoever keeps what was made of a root, by its key, that nobody asks for it any more. */
  readonly forget: (key: string) => void;
}

/** A root, and the tree that it is made of. */
export interface HeldRoot extends Root {
  /** Empty for the host's. */
  readonly tree: string;
}

/** A runtime as it was when it was looked up. */
interface Looked {
  readonly runtime: UsableRuntime;
  readonly root: HeldRoot;
}

export class Runtimes {
  readonly #parts: RuntimesParts;
  readonly #hostRoot: HeldRoot;
  /** By tree. */
  readonly #roots = new Map<string, RuntimeRoot>();
  /** What was looked up in this turn of the event loop: whoever asked in it had asked before that. */
  readonly #looked = new Map<string, Looked>();
  #listed: readonly Runtime[] = [];

  constructor(parts: RuntimesParts) {
    this.#parts = parts;
    this.#hostRoot = { ...parts.hostRoot, tree: '' };
  }

  /** The runtime that a name means, for a job. @throws JobletError also wrong-state when it is unfit */
  getUsable(name: string): UsableRuntime {
    return this.#lookUp(name).runtime;
  }

  /** What a job sees as its root; of the host, when it names no runtime. @throws as getUsable does */
  rootFor(name: string): HeldRoot {
    return name === '' ? this.#hostRoot : this.#lookUp(name).root;
  }

  /** A job uses a runtime from now on, if that is there. */
  hold(jobId: string, name: string): void {
    if (name === '') return;
    const known = this.#looked.get(name)?.runtime ?? this.#parts.catalogue.find(name);
    if (known !== undefined) this.#parts.uses.hold(jobId, known);
  }

  /** The same for a job that has its root already: its tree may have another place by now. */
  holdTree(jobId: string, tree: string): void {
    if (tree !== '') this.#parts.uses.hold(jobId, { id: tree });
  }

  release(jobId: string): void {
    this.#parts.uses.release(jobId);
  }

  /** What was made of trees that are gone is not to keep them on the disk. */
  forgetGone(): void {
    const all = this.#parts.catalogue.list();
    if (all === this.#listed) return;
    this.#listed = all;
    const there = new Set(all.map(({ id }) => id));
    for (const id of this.#roots.keys()) if (!there.has(id)) this.#forget(id);
  }

  #lookUp(name: string): Looked {
    const known = this.#looked.get(name);
    if (known !== undefined) return known;
    const runtime = this.#parts.catalogue.getUsable(name);
    const found = { runtime, root: { ...this.#rootOf(runtime).root, tree: runtime.id } };
    if (this.#looked.size === 0) setImmediate(() => this.#looked.clear()).unref();
    this.#looked.set(name, found).set(refOf(runtime), found);
    return found;
  }

  #rootOf(runtime: UsableRuntime): RuntimeRoot {
    const known = this.#roots.get(runtime.id);
    if (known?.seen.isUnchanged() === true) return known;
    const made = rootOf(runtime);
    if (known !== undefined && known.root.key !== made.root.key) this.#forget(runtime.id);
    this.#roots.set(runtime.id, made);
    this.forgetGone();
    return made;
  }

  #forget(id: string): void {
    const known = this.#roots.get(id);
    this.#roots.delete(id);
    if (known !== undefined) this.#parts.forget(known.root.key);
  }
}
