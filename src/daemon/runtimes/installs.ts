// How runtimes come to this node: from packs and from folders. Nothing of one is seen before all of it
// is there, is what was signed, and is no step back.

import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { compareVersions, splitRuntimeName } from '../../shared/runtime-names.ts';
import { type Catalogue, refOf } from './catalogue.ts';
import { namesOf, type Trust, type Unpacked } from './manifest-guard.ts';
import { type PackFormat, packName } from './pack.ts';
import type { Placed } from './place-tree.ts';
import { alreadyThere } from './places.ts';
import type { Listing, Registries } from './registries.ts';
import type { TreeLimits } from './settle.ts';
import { inThread } from './threads.ts';
import type { Trees } from './trees.ts';

export interface InstallParts {
  readonly catalogue: Catalogue;
  readonly trees: Trees;
  readonly trust: Trust;
  readonly limits: TreeLimits;
  readonly registries: Registries;
}

/** What is asked for. */
export interface InstallWish {
  /** A name, with or without a version, that the runtime has to have; empty is any. */
  readonly spec: string;
  /** Take the place of what is installed, and be older than that. */
  readonly force: boolean;
  /** Be older than what is installed; unless it is said, that is so where a version is asked for. */
  readonly mayBeOlder?: boolean;
}

export interface Step {
  readonly number: number;
  readonly message: string;
  readonly done: number;
  /** 0 when nobody knows. */
  readonly total: number;
}

/** Who follows an installation, and may end it. */
export interface Follower {
  readonly signal?: AbortSignal | undefined;
  readonly report?: ((step: Step) => void) | undefined;
}

export interface Installed extends Placed {
  /** `name@version`. */
  readonly runtime: string;
  /** A newer version that was there already; empty when this is the latest. */
  readonly newer: string;
}

/** What is under way at the same time, of each kind: it takes a thread, and room on the disk. */
const MAX_INSTALLS = 4;
const MAX_PACKS = 4;

export class Installs {
  readonly #parts: InstallParts;
  #installs = 0;
  /** Until whoever asked has them. */
  #packs = 0;

  constructor(parts: InstallParts) {
    this.#parts = parts;
  }

  /** Installs what is in a pack, signed by a key that is trusted here. The file stays. */
  async fromPack(pack: string, wish: InstallWish, follower: Follower = {}): Promise<Installed> {
    return this.#bounded(() => this.#fromArchive(pack, this.#parts.trust, wish, follower));
  }

  /**
   * Installs what a registry has under a name: the one that is named, or else the first that has it.
   * What is installed already is not fetched again, unless it is to take its own place.
   */
  async fromRegistry(
    wish: InstallWish,
    registry: string,
    follower: Follower = {},
  ): Promise<Installed> {
    const { registries, trees, catalogue, trust } = this.#parts;
    const { signal, report } = follower;
    const offer = await registries.find(wish.spec, registry, signal);
    const runtime = refOf(offer);
    const isThere = catalogue.list().some((one) => refOf(one) === runtime);
    if (isThere && !wish.force) throw alreadyThere(offer.name, offer.version);
    const mayBeOlder = splitRuntimeName(wish.spec).version === offer.version;
    const step = { number: 1, message: `Fetching ${runtime}` };
    report?.({ ...step, done: 0, total: offer.size });
    const progress = (done: number, total: number) => report?.({ ...step, done, total });
    return this.#bounded(async () => {
      const folder = await trees.stage();
      try {
        const pack = await registries.fetch(offer, folder, progress, signal);
        const later = (one: Step) => report?.({ ...one, number: one.number + 1 });
        const exact = { ...wish, spec: runtime, mayBeOlder };
        return await this.#fromArchive(pack, trust, exact, { signal, report: later });
      } finally {
        await trees.unstage(folder);
      }
    });
  }

  /** What could be installed from a registry: the one that is named, or all that are configured. */
  async offers(registry: string, signal?: AbortSignal): Promise<Listing[]> {
    return await this.#parts.registries.list(registry, signal);
  }

  /** Installs a folder that was put into an archive by whoever asks; it is signed here. */
  async fromFolder(
    archive: string,
    wish: InstallWish,
    follower: Follower = {},
  ): Promise<Installed> {
    const trust = { ...this.#parts.trust, requireSignatures: false };
    return this.#bounded(() => this.#fromArchive(archive, trust, wish, follower));
  }

  /** Installs a copy of a folder of this host; it is signed here. */
  async fromCopy(folder: string, wish: InstallWish, follower: Follower = {}): Promise<Installed> {
    const { trees, limits } = this.#parts;
    const { signal, report } = follower;
    const staged = await trees.stage();
    const to = path.join(staged, 'tree');
    const step = { number: 1, message: 'Copying' };
    const progress = (done: number, total: number) => report?.({ ...step, done, total });
    try {
      await inThread('copy', { from: folder, to, limits }, folder, { signal, progress });
      return await this.fromFiles(to, wish, follower);
    } finally {
      await trees.unstage(staged);
    }
  }

  /** Installs files that lie in a directory, which is taken away; they are signed here. */
  async fromFiles(
    directory: string,
    { force, ...wish }: InstallWish,
    { signal, report }: Follower = {},
  ): Promise<Installed> {
    const { trees } = this.#parts;
    const message = 'Installing';
    const names = namesOf(directory);
    this.#requireWanted(names, { ...wish, force });
    const progress = (done: number, total: number) => report?.({ number: 2, message, done, total });
    const placed = await trees.install(directory, { ...names, force }, { signal, progress });
    return { ...placed, runtime: refOf(names), newer: this.#newerThan(names) };
  }

  /** @throws JobletError exhausted when enough is under way */
  async #bounded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#installs >= MAX_INSTALLS) throw tooMany(MAX_INSTALLS, 'installed');
    this.#installs += 1;
    try {
      return await work();
    } finally {
      this.#installs -= 1;
    }
  }

  async #fromArchive(
    pack: string,
    trust: Trust,
    wish: InstallWish,
    { signal, report }: Follower,
  ): Promise<Installed> {
    const { trees, limits } = this.#parts;
    const target = await trees.stage();
    const following = (number: number, message: string) => {
      report?.({ number, message, done: 0, total: 0 });
      const progress = (done: number, total: number) => report?.({ number, message, done, total });
      return { signal, progress };
    };
    try {
      const order = { pack, target, limits, trust };
      const unpacked = await inThread('unpack', order, target, following(1, 'Unpacking'));
      this.#requireWanted(unpacked, wish);
      const { tree, name, version, specification, isSigned } = unpacked;
      const wanted = { name, version, specification, isSigned, force: wish.force };
      const placed = await trees.install(tree, wanted, following(2, 'Installing'));
      return { ...placed, runtime: refOf(unpacked), newer: this.#newerThan(unpacked) };
    } finally {
      await trees.unstage(target);
    }
  }

  /** Packs a runtime. Whoever asks removes the file. */
  async pack(spec: string, format: PackFormat, follower: Follower = {}) {
    const { catalogue, trees } = this.#parts;
    const { directory, name, version } = catalogue.get(spec);
    if (this.#packs >= MAX_PACKS) throw tooMany(MAX_PACKS, 'packed');
    this.#packs += 1;
    const folder = await trees.stage();
    const remove = async () => {
      this.#packs -= 1;
      await trees.unstage(folder);
    };
    const file = path.join(folder, packName(name, version, format));
    const step = { number: 1, message: 'Packing' };
    const progress = (done: number, total: number) => follower.report?.({ ...step, done, total });
    try {
      const order = { tree: directory, format, target: file };
      const following = { signal: follower.signal, progress };
      return { ...(await inThread('pack', order, directory, following)), file, remove };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  #requireWanted(
    { name, version }: Pick<Unpacked, 'name' | 'version'>,
    { spec, force, mayBeOlder }: InstallWish,
  ): void {
    const wanted = splitRuntimeName(spec);
    const isNamed = wanted.name === '' || wanted.name === name;
    const isExact = wanted.version !== '' && wanted.version !== 'latest';
    if (!isNamed || (isExact && wanted.version !== version)) {
      const message = `the pack holds ${name}@${version}, not ${spec}`;
      throw new JobletError('invalid', message, { about: 'runtime_spec' });
    }
    if (force || (mayBeOlder ?? isExact)) return;
    const newer = this.#newerThan({ name, version });
    if (newer === '') return;
    const message = `${name}@${version} is older than ${newer}, which is installed; ask for ${name}@${version} by its version, or use --force`;
    throw new JobletError('wrong-state', message, { about: 'runtime_spec' });
  }

  #newerThan({ name, version }: Pick<Unpacked, 'name' | 'version'>): string {
    const newer = this.#parts.catalogue
      .list()
      .find((one) => one.name === name && compareVersions(one.version, version) > 0);
    return newer === undefined ? '' : refOf(newer);
  }
}

function tooMany(most: number, what: string): JobletError {
  const message = `${most} runtimes are being ${what} already; try again when one of them is done`;
  return new JobletError('exhausted', message);
}
