// The installed trees of runtimes: how they come, are replaced and go. Whatever changes one does so in
// its turn, in a thread of its own; see places.ts for what lies where.

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { mkdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { invalid } from '../../shared/errors.ts';
import type { Runtime } from './catalogue.ts';
import { treeNameProblem } from './manifest.ts';
import type { Sizes } from './measure-trees.ts';
import type { Placed } from './place-tree.ts';
import { type Places, placesBelow, retiredName } from './places.ts';
import type { TreeLimits } from './settle.ts';
import type { Keys } from './signature.ts';
import { canceled, type Following, inThread } from './threads.ts';
import type { Uses } from './uses.ts';
import type { TreeVerdict } from './verify-tree.ts';

export interface TreeParts {
  /** Where runtimes lie. */
  readonly directory: string;
  readonly limits: TreeLimits;
  readonly keys: Keys;
  /** The jobs that run in a tree, also in one that was replaced or removed. */
  readonly uses: Pick<Uses, 'usersOf' | 'whenFree'>;
}

/** What a staged tree is to be installed as. */
export interface Wanted {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the specification that it was built from. */
  readonly specification?: string | undefined;
  /** It came with a manifest that a trusted key signed: nothing may differ from that. */
  readonly isSigned?: boolean | undefined;
  /** Take the place of one of this name and version. */
  readonly force?: boolean | undefined;
}

export class Trees {
  readonly places: Places;
  readonly #parts: TreeParts;
  #turn: Promise<unknown> = Promise.resolve();
  /** Retired trees whose jobs are waited for. */
  readonly #awaited = new Set<string>();
  #sizes: { readonly of: string; readonly sizes: Promise<Sizes> } | undefined;

  constructor(parts: TreeParts) {
    this.#parts = parts;
    this.places = placesBelow(parts.directory);
    const { staging, retired, store } = this.places;
    for (const directory of [staging, retired, store]) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
  }

  /**
   * Clears up what an earlier daemon left. Call it once, when the uses of running jobs are known and
   * before anything is staged; what there is to clear up is known when it returns.
   */
  recover(): Promise<void> {
    const { staging } = this.places;
    const leftovers = readdirSync(staging).map((name) => path.join(staging, name));
    return this.#inTurn(async () => {
      const { places } = this;
      await inThread('sweep', { places, leftovers }, places.root);
      await this.#discardUnused();
    });
  }

  /** A new empty folder for a tree on its way in. It goes when the daemon does. */
  async stage(): Promise<string> {
    const directory = path.join(this.places.staging, randomUUID());
    await mkdir(directory, { mode: 0o700 });
    return directory;
  }

  /** Takes back a folder that `stage` made. */
  async unstage(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true });
  }

  /**
   * Installs a tree (`runtime.yml` and what it describes). The directory is taken away whatever
   * happens; nobody else may hold its files. It is there as a whole, or not at all.
   * @throws JobletError exists for what is installed already, invalid for what has no place in a
   * runtime, exhausted for a full disk or too big a tree
   */
  async install(staged: string, wanted: Wanted, following: Following = {}): Promise<Placed> {
    const { name, version, specification = '', isSigned = false, force = false } = wanted;
    const problem = treeNameProblem(name, version);
    if (problem !== undefined) {
      await rm(staged, { recursive: true, force: true });
      throw invalid([{ field: 'runtime', message: problem }]);
    }
    const { places } = this;
    const { limits, keys } = this.#parts;
    const id = randomUUID();
    const as = { name, version, specification, isSigned, force };
    const order = { places, id, staged, ...as, limits, keys };
    const placed = await this.#inTurn(async () => {
      if (following.signal?.aborted === true) {
        await rm(staged, { recursive: true, force: true });
        throw canceled();
      }
      return inThread('place', order, places.root, following);
    });
    if (placed.replaced) await this.discardRetired();
    return placed;
  }

  /**
   * Removes an installed tree: at once for jobs to come, and from the disk when no job runs in it any
   * more. Answers the bytes that are free again now.
   */
  async remove(directory: string, name: string, version: string): Promise<number> {
    const { retired, root } = this.places;
    const target = path.join(retired, retiredName(name, version, randomUUID()));
    return this.#inTurn(async () => {
      await rename(directory, target);
      // The folder of its name goes with the last version.
      const above = path.dirname(directory);
      if (above !== root) await rmdir(above).catch(unlessInUse);
      return this.#discardUnused();
    });
  }

  /** Removes replaced and removed trees that no job runs in any more; answers the bytes freed. */
  discardRetired(): Promise<number> {
    return this.#inTurn(() => this.#discardUnused());
  }

  /** Looks through a tree, to the last bit. */
  verify({ directory, name, version }: Runtime, following: Following = {}): Promise<TreeVerdict> {
    const { keys } = this.#parts;
    const order = { tree: directory, name, version, keys };
    // In its turn, so that it does not change meanwhile.
    return this.#inTurn(() => inThread('verify', order, directory, following));
  }

  /** What runtimes take of the disk. It is looked up when one of them came, went or was replaced. */
  sizes(runtimes: readonly Runtime[]): Promise<Sizes> {
    const of = runtimes.map(({ id, directory }) => `${id} ${directory}`).join('\n');
    if (this.#sizes?.of === of) return this.#sizes.sizes;
    const directories = runtimes.map(({ directory }) => directory);
    const sizes = inThread('measure', { directories }, this.places.root);
    this.#sizes = { of, sizes };
    sizes.catch(() => {
      this.#sizes = undefined;
    });
    return sizes;
  }

  async #discardUnused(): Promise<number> {
    const { places } = this;
    let freed = 0;
    for (const entry of readdirSync(places.retired)) {
      const tree = path.join(places.retired, entry);
      const id = idOf(tree);
      if (this.#parts.uses.usersOf({ id }).length > 0) this.#discardLater(id);
      else freed += await inThread('discard', { places, tree }, places.root);
    }
    return freed;
  }

  #discardLater(id: string): void {
    if (this.#awaited.has(id)) return;
    this.#awaited.add(id);
    const discard = async () => {
      await this.#parts.uses.whenFree({ id });
      this.#awaited.delete(id);
      await this.discardRetired();
    };
    // What cannot be removed now is removed at the next start.
    void discard().catch(() => {});
  }

  /** Changes of trees, one after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

/** A tree keeps it when it is renamed; see Runtime. */
function idOf(directory: string): string {
  const { dev, ino } = statSync(directory, { bigint: true });
  return `${dev}:${ino}`;
}

function unlessInUse(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error;
}
