// Where runtimes lie below their directory:
//
//   NAME/runtime.yml                 flat
//   NAME/VERSION/runtime.yml         versions side by side; NAME/current may link to one
//   LANGUAGE/NAME/runtime.yml        nested by language, with or without versions below
//
// A link to a folder within the directory stands for that folder. What begins with a dot is nobody's.

import { constants, type Dirent, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseRuntimeFile, type ReadRuntimeFile } from '../../shared/runtime-file.ts';
import { Seen, stateOf } from './seen.ts';

export const RUNTIME_FILE = 'runtime.yml';
/** What jobs see of a tree that has it; nothing is looked for in there. */
export const TREE_FOLDER = 'isolated';
/** A link to the version that counts as the latest. */
const CURRENT = 'current';

const READ_NO_LINK = constants.O_RDONLY | constants.O_NOFOLLOW;

/** Folders between the directory and runtime.yml, at most. */
const MAX_DEPTH = 3;
/** Folders and files that are looked at: what somebody unpacked in the wrong place is not gone through. */
const MAX_LOOKS = 20_000;

/** A folder with a runtime.yml. */
export interface Place {
  /** The folders that lead to it, as they are called here. */
  readonly parts: readonly string[];
  /** Without links. */
  readonly directory: string;
  readonly id: string;
  readonly isCurrent: boolean;
  /** The path that the parts make; a link leads from there to the directory. Empty without one. */
  readonly link: string;
  readonly content: Content;
}

/** What runtime.yml says, or why it cannot be read. */
export type Content = { readonly read: ReadRuntimeFile } | { readonly error: unknown };

/** One look at all there is. */
interface Look {
  readonly root: string;
  readonly seen: Seen;
  readonly places: Place[];
  /** What the look before has read. */
  readonly before: ReadonlyMap<string, Content>;
}

export class Layout {
  readonly #directory: string;
  #places: readonly Place[] = [];
  #seen: Seen | undefined;
  /** What was read, by path and state. */
  #contents = new Map<string, Content>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The same array as long as nothing has changed. */
  places(): readonly Place[] {
    if (this.#seen?.isUnchanged() !== true) this.#look();
    return this.#places;
  }

  #look(): void {
    const seen = new Seen();
    const places: Place[] = [];
    const before = this.#contents;
    this.#contents = new Map();
    seen.note(this.#directory);
    const root = realPathOf(this.#directory);
    if (root !== undefined) this.#lookInto({ root, seen, places, before }, root, [], MAX_DEPTH);
    this.#places = places;
    this.#seen = seen;
  }

  /** Takes what lies in a folder, and so many levels below it. */
  #lookInto(look: Look, directory: string, parts: readonly string[], levels: number): void {
    look.seen.note(directory);
    const entries = entriesOf(directory).filter(({ name }) => !name.startsWith('.'));
    const current = entries.some(({ name }) => name === CURRENT)
      ? folderWithin(look.root, path.join(directory, CURRENT))
      : undefined;
    for (const entry of entries) {
      if (!entry.isDirectory() && !entry.isSymbolicLink()) continue;
      if (entry.name === TREE_FOLDER || look.seen.size > MAX_LOOKS) continue;
      if (entry.isSymbolicLink() && entry.name === CURRENT && parts.length > 0) continue;
      const folder = folderWithin(look.root, path.join(directory, entry.name));
      if (folder === undefined) continue;
      const inside = [...parts, entry.name];
      const called = path.join(look.root, ...inside);
      const link = called === folder ? '' : called;
      const isRuntime = this.#lookAt(look, folder, inside, folder === current, link);
      // Right below a runtime there may be versions of it, and nothing else is a runtime there.
      const below = isRuntime ? Math.min(levels - 1, 1) : levels - 1;
      if (below > 0) this.#lookInto(look, folder, inside, below);
    }
  }

  /** Whether there is a runtime in a folder, which is then taken. */
  #lookAt(
    look: Look,
    folder: string,
    parts: readonly string[],
    isCurrent: boolean,
    link: string,
  ): boolean {
    const about = look.seen.note(folder);
    const file = path.join(folder, RUNTIME_FILE);
    const found = look.seen.note(file);
    if (about === undefined || found?.isFile() !== true) return false;
    const key = `${file} ${stateOf(found)}`;
    const content = look.before.get(key) ?? readContent(file);
    this.#contents.set(key, content);
    look.places.push({
      parts,
      directory: folder,
      id: `${about.dev}:${about.ino}`,
      isCurrent,
      link,
      content,
    });
    return true;
  }
}

function realPathOf(file: string): string | undefined {
  try {
    return realpathSync(file);
  } catch {
    return undefined;
  }
}

/** The folder that a path leads to, unless it lies elsewhere or is none. */
function folderWithin(root: string, file: string): string | undefined {
  const real = realPathOf(file);
  if (real === undefined || !real.startsWith(`${root}/`)) return undefined;
  if (
    path
      .relative(root, real)
      .split('/')
      .some((part) => part.startsWith('.'))
  )
    return undefined;
  return statSync(real, { throwIfNoEntry: false })?.isDirectory() === true ? real : undefined;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    // Gone again, or not ours to read.
    return [];
  }
}

function readContent(file: string): Content {
  try {
    // No link to anything else: what is wrong with a text is told.
    const text = readFileSync(file, { encoding: 'utf8', flag: READ_NO_LINK });
    return { read: parseRuntimeFile(text, file) };
  } catch (error) {
    return { error };
  }
}
