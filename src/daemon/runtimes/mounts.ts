// The root of a runtime whose runtime.yml says which parts of its tree go where. Each is mounted whole,
// unless something else has its place below it: then the folder is made anew, with what is in it
// mounted one by one.

import { lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { ownPlaces, type RuntimeMount } from '../../shared/runtime-file.ts';
import { leastFiles, ownLinks, ownOperations, type Root } from '../linux/root.ts';
import { type UsableRuntime, unfit } from './catalogue.ts';
import { TREE_FOLDER } from './layout.ts';
import { PASSWD, usersOf } from './passwd.ts';
import type { Seen } from './seen.ts';
import { type Found, followWithin, listFolder } from './within.ts';

/** What the launcher takes, with room for what jobs have of their own. */
const MAX_PLACES = 400;

/** What a distribution or an architecture may do without: a source like these may be missing. */
const optionalSources: readonly RegExp[] = [
  /^s?bin$/,
  /^(usr\/)?lib(32|64|x32)?$/,
  /^(usr\/)?lib\/[a-z0-9_]+-linux-[a-z0-9]+$/,
  /^usr\/(local\/)?s?bin$/,
  /^etc\/(ssl|ca-certificates)$/,
  /^usr\/share\/ca-certificates$/,
  /^usr\/lib\/python3\/dist-packages$/,
];

/** What jobs see, and what of that is the runtime's. */
export type Shown = Pick<Root, 'operations' | 'readOnly'>;

export function showMounts(
  runtime: UsableRuntime,
  mounts: readonly RuntimeMount[],
  seen: Seen,
): Shown {
  const places = new Places(runtime, seen);
  places.show(mounts);
  const operations = ['tree', runtime.directory, ...ownOperations(places.files)];
  return { operations: [...operations, ...places.operations()], readOnly: places.shown };
}

function isOwn(target: string): boolean {
  return Object.keys(ownLinks).some((own) => target === own || target.startsWith(`${own}/`));
}

/** What lies where, for a runtime that mounts parts of its tree. */
class Places {
  /** What of the tree is shown, for people. */
  readonly shown: string[] = [];
  readonly #runtime: UsableRuntime;
  readonly #seen: Seen;
  /** The operation for each target. */
  readonly #places = new Map<string, readonly string[]>();
  /** What has its place whatever the tree has there. */
  #fixed: readonly string[] = [...ownPlaces, ...Object.keys(ownLinks)];

  constructor(runtime: UsableRuntime, seen: Seen) {
    this.#runtime = runtime;
    this.#seen = seen;
  }

  /** Everything that is there, each before what lies below it. */
  operations(): string[] {
    const targets = [...this.#places.keys()].sort();
    return targets.flatMap((target) => this.#places.get(target) ?? []);
  }

  /** Of the files that every /etc has those that the tree brings along. */
  get files(): ReadonlySet<string> {
    return new Set(Object.keys(leastFiles).filter((target) => this.#places.has(target)));
  }

  show(mounts: readonly RuntimeMount[]): void {
    const wanted = mounts.flatMap((mount, at) => this.#sourcesOf(mount, at));
    if (wanted.length === 0)
      throw unfit(this.#runtime, 'it has nothing of what its runtime.yml mounts');
    this.#fixed = [...this.#fixed, ...wanted.map(({ target }) => target)];
    for (const { found, target } of wanted) {
      this.#put(found, target);
      this.shown.push(target);
    }
  }

  /** What a mount of runtime.yml asks for, as far as it is there. */
  #sourcesOf(
    { source, target, selective }: RuntimeMount,
    at: number,
  ): { readonly found: Found; readonly target: string }[] {
    // What differs from job to job is no runtime's.
    if (isOwn(target)) return [];
    const whole = this.#find(source);
    if (whole === undefined) {
      const inTree = source.startsWith(`${TREE_FOLDER}/`)
        ? source.slice(TREE_FOLDER.length + 1)
        : source;
      if (optionalSources.some((pattern) => pattern.test(inTree))) return [];
      throw unfit(this.#runtime, `mounts[${at}].source ${source} of its runtime.yml is not there`);
    }
    if (selective.length === 0) return [{ found: whole, target }];
    return selective.flatMap((name) => {
      const found = this.#find(`${source}/${name}`);
      return found === undefined ? [] : [{ found, target: `${target}/${name}` }];
    });
  }

  /** Links are followed within the tree where there is one, else within the folder of the runtime. */
  #find(source: string): Found | undefined {
    const { directory } = this.#runtime;
    const [first, ...rest] = source.split('/');
    const tree = path.join(directory, TREE_FOLDER);
    const isInTree = first === TREE_FOLDER && rest.length > 0;
    const found = isInTree
      ? followWithin(tree, rest.join('/'), this.#seen)
      : followWithin(directory, source, this.#seen);
    const isShown = found?.stats.isDirectory() === true || found?.stats.isFile() === true;
    return isShown ? found : undefined;
  }

  #put({ file, stats }: Found, target: string): void {
    if (stats.isDirectory() && this.#hasToOpen(file, target)) this.#open(file, target);
    else this.#bind(file, target);
  }

  /** Whether something else has its place below a target, where the folder has nothing to mount it on. */
  #hasToOpen(folder: string, target: string): boolean {
    return this.#fixed.some((other) => {
      if (!other.startsWith(`${target}/`)) return false;
      if (Object.hasOwn(ownLinks, other)) return true;
      return followWithin(folder, other.slice(target.length + 1), this.#seen) === undefined;
    });
  }

  /** Makes a folder anew; what is in the given one is put into it. */
  #open(folder: string, target: string): void {
    this.#set(target, ['dir', target, '0755']);
    for (const entry of listFolder(folder, this.#seen)) {
      const place = `${target}/${entry.name}`;
      const file = path.join(folder, entry.name);
      if (this.#fixed.includes(place)) continue;
      if (entry.isSymbolicLink()) this.#set(place, ['symlink', readlinkSync(file), place]);
      else if (entry.isFile()) this.#putFile(file, place);
      else if (!entry.isDirectory()) continue;
      else if (this.#hasToOpen(file, place)) this.#open(file, place);
      else this.#bind(file, place);
    }
  }

  #putFile(file: string, target: string): void {
    const found = { file, stats: lstatSync(file) };
    const homes = target === PASSWD ? usersOf(found, this.#seen) : [];
    if (homes.length > 0) this.#set(target, homes);
    else this.#bind(file, target);
  }

  #bind(file: string, target: string): void {
    const source = `/${path.relative(this.#runtime.directory, file)}`;
    this.#set(target, ['bind-tree', source, target]);
  }

  #set(target: string, operation: readonly string[]): void {
    if (this.#places.size >= MAX_PLACES) {
      throw unfit(
        this.#runtime,
        `its root takes more than ${MAX_PLACES} mounts; mount whole folders`,
      );
    }
    // A mount of runtime.yml goes before what a folder around it has there.
    this.#places.set(target, operation);
  }
}
