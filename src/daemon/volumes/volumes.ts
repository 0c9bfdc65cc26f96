// The volumes of a node: made, mounted when somebody needs them, and removed. A job takes the volumes
// that it names when it is accepted, so that none of them is removed while it waits.

import { lstat, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import { nearest } from '../../shared/nearest.ts';
import { formatBytes } from '../../shared/units.ts';
import type { Actor } from '../audit/record.ts';
import { lastWords } from '../linux/programs.ts';
import {
  hasRoomForProjects,
  isProject,
  limitProject,
  makeProject,
  projectFiles,
} from '../linux/project-quota.ts';
import {
  canGrowMounted,
  filesOf,
  findMounted,
  growImage,
  type MountedVolume,
  makeImage,
  mountImage,
  mountMemory,
  remakeImage,
  removeVolume,
  resizeMemory,
  setSynchronous,
  sweepVolume,
  unmountVolume,
  usageOf,
} from '../linux/volume-disk.ts';
import type { Log } from '../log.ts';
import type { VolumeStore } from './store.ts';
import type { Volume, VolumeView } from './volume.ts';

export interface VolumeBounds {
  readonly maxVolumes: number;
  /** Size of one. */
  readonly maxBytes: number;
  /** Sizes of all memory volumes together. */
  readonly maxMemoryBytes: number;
}

interface Entry {
  volume: Volume;
  /** False while it is being made or removed: nobody can name it then. */
  isWhole: boolean;
  /** Jobs that use it or wait to. */
  readonly jobs: Set<string>;
  /** Those of them whose writes have to reach the disk at once. */
  readonly synchronous: Set<string>;
  /** It lies in the host's own file system, and this daemon has put its quota in force. */
  isLimited: boolean;
  /** Resolves when nothing is being done to it. */
  turn: Promise<unknown>;
}

/** Volumes that are mounted at once for a list of them. */
const LOOKED_AT_ONCE = 8;

export class Volumes {
  readonly #base: string;
  readonly #bounds: VolumeBounds;
  readonly #store: VolumeStore;
  readonly #log: Log;
  readonly #mayUseQuotas: boolean;
  readonly #entries = new Map<string, Entry>();

  /**
   * `base` is the directory that holds a directory of each volume. `mayUseQuotas` where limits of I/O
   * hold without each write having to reach the disk at once, which is a matter of whole file systems.
   */
  constructor(
    base: string,
    bounds: VolumeBounds,
    store: VolumeStore,
    log: Log,
    mayUseQuotas: boolean,
  ) {
    this.#base = base;
    this.#bounds = bounds;
    this.#store = store;
    this.#log = log;
    this.#mayUseQuotas = mayUseQuotas;
    for (const { volume, isWhole } of store.all()) this.#enter(volume, isWhole);
  }

  /** Clears away what an earlier daemon was making or removing when it was killed. */
  async recover(): Promise<void> {
    for (const { volume, isWhole } of [...this.#entries.values()]) {
      const { name } = volume;
      try {
        if (isWhole) await sweepVolume(this.#directoryOf(name));
        else await this.#erase(name);
      } catch (error) {
        this.#log.error('a volume cannot be cleared up', { volume: name, why: lastWords(error) });
      }
    }
  }

  /**
   * Makes a volume. Resolves when it would survive a power cut.
   * @throws JobletError exists, exhausted
   */
  async create(wish: Omit<Volume, 'createdAtMs'>, nowMs: number, who: Actor): Promise<VolumeView> {
    const volume: Volume = { ...wish, createdAtMs: nowMs };
    const { name, type, bytes } = volume;
    if (this.#entries.has(name)) {
      throw new JobletError('exists', `volume already exists: ${name}`, { about: 'name' });
    }
    this.#requireRoom(type === 'memory' ? bytes : 0, 1);
    const entry = this.#enter(volume, false);
    return this.#inTurn(entry, async () => {
      try {
        await this.#makeDirectory(name);
        await this.#make(volume);
      } catch (error) {
        this.#entries.delete(name);
        throw error;
      }
      await this.#store.change(
        { volume, isWhole: true },
        'volume.created',
        `${type} ${formatBytes(bytes)}`,
        nowMs,
        who,
      );
      entry.isWhole = true;
      this.#log.info('volume created', { volume: name, type, bytes });
      return this.#view(entry);
    });
  }

  /** In the order of their names. */
  async list(): Promise<VolumeView[]> {
    const entries = [...this.#entries.values()].toSorted((a, b) =>
      a.volume.name < b.volume.name ? -1 : 1,
    );
    const views: VolumeView[] = [];
    for (let at = 0; at < entries.length; at += LOOKED_AT_ONCE) {
      const some = entries.slice(at, at + LOOKED_AT_ONCE);
      const seen = await Promise.all(some.map((entry) => this.#look(entry)));
      views.push(...seen.filter((view) => view !== undefined));
    }
    return views;
  }

  /** @throws JobletError not-found */
  async inspect(name: string): Promise<VolumeView> {
    const view = await this.#look(this.#get(name));
    if (view === undefined) throw notFound(name, undefined);
    return view;
  }

  /**
   * Removes a volume with its data.
   * @throws JobletError not-found; wrong-state while a job uses it or waits to
   */
  async remove(name: string, nowMs: number, who: Actor): Promise<void> {
    const entry = this.#get(name);
    this.#requireUnused(entry, 'removed');
    entry.isWhole = false;
    await this.#inTurn(entry, async () => {
      try {
        await unmountVolume(this.#directoryOf(name));
        const { volume } = entry;
        await this.#store.change({ volume, isWhole: false }, 'volume.removed', '', nowMs, who);
      } catch (error) {
        entry.isWhole = true;
        throw unavailable(name, 'cannot be removed', error);
      }
      await this.#erase(name);
      this.#log.info('volume removed', { volume: name });
    });
  }

  /**
   * Gives a volume another size. It can grow while jobs use it.
   * @throws JobletError not-found; wrong-state when it is to shrink and is in use or too full
   */
  async resize(name: string, bytes: number, nowMs: number, who: Actor): Promise<VolumeView> {
    const entry = this.#get(name);
    return this.#inTurn(entry, async () => {
      const { volume } = entry;
      if (!entry.isWhole) throw notFound(name, undefined);
      if (volume.type === 'memory') this.#requireRoom(bytes - volume.bytes, 0);
      await this.#open(entry);
      const resized = { ...volume, bytes };
      const detail = `from ${formatBytes(volume.bytes)} to ${formatBytes(bytes)}`;
      await this.#giveSize(entry, bytes);
      await this.#store.change(
        { volume: resized, isWhole: true },
        'volume.resized',
        detail,
        nowMs,
        who,
      );
      entry.volume = resized;
      this.#log.info('volume resized', { volume: name, bytes });
      return this.#view(entry);
    });
  }

  /**
   * Holds volumes for a job, all of them or none.
   * @throws JobletError not-found
   */
  take(jobId: string, names: readonly string[]): void {
    const entries = names.map((name) => this.#get(name));
    for (const { jobs } of entries) jobs.add(jobId);
  }

  /** Of those that can be named. */
  names(): string[] {
    return [...this.#entries.values()].flatMap((one) => (one.isWhole ? [one.volume.name] : []));
  }

  /** Where its files lie while it is mounted. */
  filesOf(name: string): string {
    return filesOf(this.#directoryOf(name));
  }

  has(name: string): boolean {
    return this.#entries.get(name)?.isWhole === true;
  }

  /** What a volume can hold; 0 when it is not there. */
  bytesOf(name: string): number {
    return this.#entries.get(name)?.volume.bytes ?? 0;
  }

  /** Holds volumes for a job that an earlier daemon accepted; one that is not there shows at its start. */
  retake(jobId: string, names: readonly string[]): void {
    for (const name of names) this.#entries.get(name)?.jobs.add(jobId);
  }

  /** A job needs its volumes no more; does no harm when it holds none. */
  release(jobId: string): void {
    for (const entry of this.#entries.values()) {
      entry.jobs.delete(jobId);
      if (!entry.synchronous.delete(jobId) || entry.synchronous.size > 0) continue;
      const { name } = entry.volume;
      this.#inTurn(entry, async () => {
        if (entry.synchronous.size === 0) await setSynchronous(this.#directoryOf(name), false);
      }).catch((error: unknown) =>
        this.#log.warn('a volume stays slow', { volume: name, why: lastWords(error) }),
      );
    }
  }

  /**
   * Mounts a volume for a job that starts. With `synchronous` each of its writes reaches the disk before
   * it returns, until that job has ended.
   */
  async use(name: string, jobId: string, synchronous: boolean): Promise<MountedVolume> {
    const entry = this.#get(name);
    return this.#inTurn(entry, async () => {
      const mounted = await this.#open(entry);
      if (mounted.isBroken) {
        throw new JobletError('unavailable', `volume ${name} ${readOnlyWords(entry)}`);
      }
      if (synchronous && entry.isLimited) {
        const message = `volume ${name} lies in the host's own file system, where a limit of I/O does not hold on this host; run the job without one`;
        throw new JobletError('unavailable', message);
      }
      if (synchronous && mounted.device !== undefined) {
        if (entry.synchronous.size === 0) await setSynchronous(this.#directoryOf(name), true);
        entry.synchronous.add(jobId);
      }
      return mounted;
    });
  }

  /** Unmounts what no job uses. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#entries.values()].map((entry) =>
        this.#inTurn(entry, async () => {
          const { name } = entry.volume;
          if (entry.jobs.size > 0) return;
          await unmountVolume(this.#directoryOf(name)).catch((error: unknown) =>
            this.#log.warn('a volume stays mounted', { volume: name, why: lastWords(error) }),
          );
        }),
      ),
    );
  }

  #enter(volume: Volume, isWhole: boolean): Entry {
    const entry: Entry = {
      volume,
      isWhole,
      jobs: new Set(),
      synchronous: new Set(),
      isLimited: false,
      turn: Promise.resolve(),
    };
    this.#entries.set(volume.name, entry);
    return entry;
  }

  #get(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry?.isWhole) return entry;
    throw notFound(name, nearest(name, this.#entries.keys()));
  }

  /** Does something to a volume when nothing else is being done to it. */
  #inTurn<T>(entry: Entry, body: () => Promise<T>): Promise<T> {
    const done = entry.turn.then(body);
    entry.turn = done.catch(() => {});
    return done;
  }

  #requireRoom(memoryBytes: number, count: number): void {
    const { maxVolumes, maxMemoryBytes } = this.#bounds;
    if (this.#entries.size + count > maxVolumes) {
      const message = `there are ${maxVolumes} volumes already (volumes.max_volumes); remove one first`;
      throw new JobletError('exhausted', message);
    }
    const inMemory = [...this.#entries.values()]
      .filter(({ volume }) => volume.type === 'memory')
      .reduce((sum, { volume }) => sum + volume.bytes, 0);
    if (memoryBytes > 0 && inMemory + memoryBytes > maxMemoryBytes) {
      const message = `memory volumes have ${formatBytes(inMemory)} of at most ${formatBytes(maxMemoryBytes)} (volumes.max_memory_bytes); make it smaller or of type filesystem`;
      throw new JobletError('exhausted', message, { about: 'size' });
    }
  }

  #requireUnused({ volume, jobs }: Entry, what: string): void {
    if (jobs.size === 0) return;
    const [first, ...others] = jobs;
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    throw new JobletError(
      'wrong-state',
      `volume ${volume.name} is in use by job ${first}${more} and cannot be ${what}; stop or cancel them first`,
      { about: 'name' },
    );
  }

  async #makeDirectory(name: string): Promise<void> {
    const directory = this.#directoryOf(name);
    try {
      await mkdir(directory, { mode: 0o700 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw unavailable(name, 'cannot be made', cause);
      }
      // An empty one is all that a daemon leaves which is killed before it has announced the volume.
      if (await isEmptyDirectory(directory)) return;
      const message = `volume already exists: ${name} has no record, but there is ${directory}; move that away first`;
      throw new JobletError('exists', message, { about: 'name', cause });
    }
  }

  async #make(volume: Volume): Promise<void> {
    const { name, type, bytes } = volume;
    const directory = this.#directoryOf(name);
    try {
      await this.#store.announce(volume);
      if (type === 'filesystem' && (await this.#canLimit())) {
        await makeProject(directory, bytes);
        return;
      }
      if (type === 'filesystem') await makeImage(directory, bytes);
      await this.#mount(volume);
    } catch (error) {
      await this.#erase(name);
      throw unavailable(name, 'cannot be made', error);
    }
  }

  /** Whether the host's disk has quotas; an image works everywhere. */
  async #canLimit(): Promise<boolean> {
    return this.#mayUseQuotas && hasRoomForProjects(this.#base);
  }

  async #mount({ name, type, bytes }: Volume): Promise<MountedVolume> {
    const directory = this.#directoryOf(name);
    return type === 'memory' ? mountMemory(directory, bytes) : mountImage(directory, bytes);
  }

  async #erase(name: string): Promise<void> {
    await removeVolume(this.#directoryOf(name));
    await this.#store.forget(name);
    this.#entries.delete(name);
  }

  /**
   * Mounts a volume unless it is mounted. One that broke is mounted anew, which mends it as soon as no
   * job has it open.
   */
  async #open(entry: Entry): Promise<MountedVolume> {
    const { volume } = entry;
    const directory = this.#directoryOf(volume.name);
    try {
      if (isProject(directory)) {
        if (!entry.isLimited) await limitProject(directory, volume.bytes);
        entry.isLimited = true;
        return { directory: projectFiles(directory), device: undefined, isBroken: false };
      }
      const found = await findMounted(directory);
      if (found?.isBroken === false) return found;
      if (found !== undefined) await unmountVolume(directory);
      return await this.#mount(volume);
    } catch (error) {
      throw unavailable(volume.name, 'cannot be mounted', error);
    }
  }

  async #giveSize(entry: Entry, bytes: number): Promise<void> {
    const { volume } = entry;
    const directory = this.#directoryOf(volume.name);
    const { usedBytes } = await usageOf(directory);
    if (bytes < usedBytes) {
      const message = `volume ${volume.name} holds ${formatBytes(usedBytes)} and cannot be smaller; delete some of it first`;
      throw new JobletError('wrong-state', message, { about: 'size' });
    }
    const isMemory = volume.type === 'memory';
    const canGrow = bytes >= volume.bytes && canGrowMounted();
    if (!isMemory && !entry.isLimited && !canGrow) this.#requireUnused(entry, 'resized here');
    try {
      if (isMemory) await resizeMemory(directory, bytes);
      else if (entry.isLimited) await limitProject(directory, bytes);
      else if (canGrow) await growImage(directory, bytes);
      else await remakeImage(directory, bytes);
    } catch (error) {
      throw unavailable(volume.name, 'cannot be resized', error);
    }
  }

  /** Undefined when it has gone by the time that it can be looked at. */
  #look(entry: Entry): Promise<VolumeView | undefined> {
    return this.#inTurn(entry, async () => (entry.isWhole ? this.#view(entry) : undefined));
  }

  async #view(entry: Entry): Promise<VolumeView> {
    const { volume, jobs } = entry;
    const directory = this.#directoryOf(volume.name);
    const known = { ...volume, directory, jobs: [...jobs] };
    try {
      const { isBroken } = await this.#open(entry);
      const { usedBytes } = await usageOf(directory);
      return { ...known, usedBytes, problem: isBroken ? readOnlyWords(entry) : '' };
    } catch (error) {
      return { ...known, usedBytes: undefined, problem: messageOf(error) };
    }
  }

  #directoryOf(name: string): string {
    return path.join(this.#base, name);
  }
}

async function isEmptyDirectory(directory: string): Promise<boolean> {
  return (await lstat(directory)).isDirectory() && (await readdir(directory)).length === 0;
}

function notFound(name: string, guess: string | undefined): JobletError {
  if (name === '') return unnamed('name', 'the name of a volume');
  const hint = guess === undefined || guess === name ? '' : `did you mean ${guess}? `;
  return new JobletError(
    'not-found',
    `volume not found: ${name}; ${hint}rnx volume list shows those that are there, rnx volume create ${name} --size=1GB makes it`,
    { about: 'name' },
  );
}

function readOnlyWords({ jobs }: Entry): string {
  return `can only be read: the kernel found errors while it wrote; when the jobs that use it (${[...jobs].join(', ') || 'none'}) have ended, it is checked and mounted again`;
}

/** A failure of the host as a sentence; what we said ourselves stays. */
function unavailable(name: string, what: string, cause: unknown): JobletError {
  const kind = cause instanceof JobletError ? cause.kind : 'unavailable';
  const why = cause instanceof JobletError ? cause.message : lastWords(cause);
  return new JobletError(kind, `volume ${name} ${what}: ${why}`, { cause });
}
