// Whether every library that a program or library of the tree needs is in the tree, where its dynamic
// linker would look for it.

import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
} from 'node:fs';
import path from 'node:path';
import type { Platform } from '../shared/platform.ts';
import { type Elf, parseElf } from './elf.ts';
import { globToRegExp, walk } from './globs.ts';
import { resolveIn } from './tree-path.ts';

/** A file that needs what is not there. */
export interface Missing {
  readonly target: string;
  readonly library: string;
}

/** Files that are read whole; bigger ones hold no program that anybody starts. */
const MAX_FILE_BYTES = 1024 ** 3;
const MAX_CONFIG_BYTES = 64 * 1024;
const MAX_INCLUDES = 256;
const MAX_DEPTH = 8;

export class Closure {
  readonly #tree: string;
  readonly #folders: readonly string[];
  readonly #ignored: readonly RegExp[];
  /** By the path in the tree, without links. */
  readonly #read = new Map<string, Elf | undefined>();
  /** Where there are libraries of a name. */
  readonly #foldersOf = new Map<string, readonly string[]>();

  /** `ignored` are names of libraries, or globs, that may be missing. */
  constructor(tree: string, platform: Platform, ignored: readonly string[]) {
    this.#tree = tree;
    this.#ignored = ignored.map((word) => globToRegExp(`/${word}`));
    this.#folders = [
      ...this.#configured('/etc/ld.so.conf', 0),
      ...['/lib', '/usr/lib'].map((folder) => `${folder}/${platform.libraries}`),
      ...['/lib64', '/usr/lib64', '/lib', '/usr/lib', '/lib32', '/usr/lib32'],
      // Where musl looks.
      '/usr/local/lib',
    ];
  }

  /** Everything that is needed and not there, in the order of files. */
  missing(): Missing[] {
    const files = [...walk(this.#tree)].filter(({ kind }) => kind === 'file');
    for (const { target } of files) {
      if (this.#elfAt(target) === undefined) continue;
      const name = path.basename(target);
      const folders = this.#foldersOf.get(name) ?? [];
      this.#foldersOf.set(name, [...folders, path.dirname(target)]);
    }
    const missing = files.flatMap(({ target }) => this.#missingOf(target));
    return missing.filter(({ library }) => !this.#isIgnored(library));
  }

  #missingOf(target: string): Missing[] {
    const elf = this.#elfAt(target);
    if (elf === undefined) return [];
    const { interpreter, needed } = elf;
    const isThere = interpreter === '' || existsSync(this.#place(interpreter) ?? '');
    const lacking = needed.filter((library) => !this.#has(library, elf, target));
    return [...(isThere ? [] : [interpreter]), ...lacking].map((library) => ({ target, library }));
  }

  #isIgnored(library: string): boolean {
    return this.#ignored.some((pattern) => pattern.test(`/${library}`));
  }

  #has(library: string, needer: Elf, target: string): boolean {
    // A name with a slash is a path.
    if (library.includes('/')) return existsSync(this.#place(library) ?? '');
    const origin = path.dirname(target);
    const own = needer.searchPath.map((folder) =>
      folder.replaceAll(/\$\{?ORIGIN\}?/g, origin).replaceAll(/\$\{?LIB\}?/g, 'lib'),
    );
    // Programs such as Java’s load by themselves what lies beside and below them.
    const beside = (this.#foldersOf.get(library) ?? []).filter((folder) =>
      `${folder}/`.startsWith(`${origin}/`),
    );
    return [...own, ...this.#folders, ...beside].some((folder) => {
      const place = this.#place(path.join('/', folder, library));
      if (place === undefined || !existsSync(place)) return false;
      const elf = this.#elfAt(place.slice(this.#tree.length));
      return elf !== undefined && elf.bits === needer.bits && elf.machine === needer.machine;
    });
  }

  /** Where a path of the tree lies. */
  #place(target: string): string | undefined {
    return resolveIn(this.#tree, target, true);
  }

  #elfAt(target: string): Elf | undefined {
    if (this.#read.has(target)) return this.#read.get(target);
    const elf = readElf(path.join(this.#tree, target));
    this.#read.set(target, elf);
    return elf;
  }

  /** Folders that a configuration of the dynamic linker names. */
  #configured(file: string, depth: number): string[] {
    const place = this.#place(file);
    if (place === undefined || depth > MAX_DEPTH) return [];
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found?.isFile() !== true || found.size > MAX_CONFIG_BYTES) return [];
    return readFileSync(place, 'utf8')
      .split('\n')
      .slice(0, MAX_INCLUDES)
      .flatMap((line) => {
        const text = line.replace(/#.*/, '').trim();
        const included = /^include\s+(\S+)$/.exec(text)?.[1];
        if (included !== undefined) return this.#included(included, depth + 1);
        return text.startsWith('/') ? [text] : [];
      });
  }

  #included(pattern: string, depth: number): string[] {
    const folder = path.dirname(pattern);
    const place = this.#place(folder);
    if (place === undefined || !existsSync(place)) return [];
    const matches = globToRegExp(`/${path.basename(pattern)}`);
    return readdirSync(place)
      .filter((name) => matches.test(`/${name}`))
      .slice(0, MAX_INCLUDES)
      .flatMap((name) => this.#configured(path.join(folder, name), depth));
  }
}

/** Only what begins as an ELF file does is read whole. */
function readElf(file: string): Elf | undefined {
  const fd = openSync(file, 'r');
  try {
    const head = Buffer.alloc(4);
    if (readSync(fd, head) < 4 || head.readUInt32BE() !== 0x7f454c46) return undefined;
    const { size } = lstatSync(file);
    return size > MAX_FILE_BYTES ? undefined : parseElf(readFileSync(file));
  } finally {
    closeSync(fd);
  }
}
