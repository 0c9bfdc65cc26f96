// What is known of a pack while it is read: where its tree begins, who signed it, and what is to follow.

import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { parseRuntimeFile } from '../../shared/runtime-file.ts';
import type { TarEntry } from '../../shared/tar-writer.ts';
import { formatBytes } from '../../shared/units.ts';
import { RUNTIME_FILE } from './layout.ts';
import {
  type Entry,
  folderOf,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  SIGNATURE_FILE,
} from './manifest.ts';
import {
  judgeSignature,
  type Keys,
  MAX_SIGNATURE_BYTES,
  signatureProblem,
  type Verdict,
} from './signature.ts';

const MAX_RUNTIME_FILE_BYTES = 1024 * 1024;

export interface Trust {
  readonly keys: Keys;
  /** Refuse what no trusted key has signed. */
  readonly requireSignatures: boolean;
}

export interface Unpacked {
  /** The folder that holds runtime.yml. */
  readonly tree: string;
  readonly name: string;
  readonly version: string;
  readonly specification: string;
  /** It came with a manifest, and a trusted key signed it. */
  readonly isSigned: boolean;
}

/**
 * Looks at what comes out of a pack: where its tree begins, and, once its manifest has come, whether
 * somebody who is trusted has signed it and whether it says so of what follows.
 */
export class ManifestGuard {
  readonly #target: string;
  readonly #trust: Trust;
  /** The folder in the pack that the tree is; undefined until something tells. */
  #root: string | undefined;
  #manifest: Manifest | undefined;
  #expected: ReadonlyMap<string, Entry> | undefined;
  #verdict: Verdict | undefined;
  /** Both have come, so that what follows can be held against them. */
  #hasManifest = false;
  #hasSignature = false;

  constructor(target: string, trust: Trust) {
    this.#target = target;
    this.#trust = trust;
  }

  check(entry: TarEntry): void {
    const name = path.posix.basename(entry.path);
    if (this.#root === undefined && entry.type === 'file' && isTop(name)) {
      this.#root = folderOf(entry.path);
    }
    // Before that nothing tells; what was written is held against the manifest in the end.
    if (this.#root === undefined) return;
    const inside = this.#insideOf(entry.path);
    if (inside === MANIFEST_FILE) this.#hasManifest = true;
    else if (inside === SIGNATURE_FILE) this.#hasSignature = true;
    else if (inside !== '' && this.#hasManifest && this.#hasSignature) {
      this.#requireExpected(inside, entry);
    }
  }

  /** What the pack holds, when all of it has come. */
  finish(): Unpacked {
    const root = this.#root;
    if (root === undefined) {
      throw new JobletError(
        'invalid',
        `could not detect runtime name from pack structure: there is no ${RUNTIME_FILE} in it`,
      );
    }
    const manifest = this.#readManifest();
    const tree = path.join(this.#target, root);
    if (manifest !== undefined && this.#verdict?.is === 'trusted') {
      const { name, version, specification } = manifest;
      return { tree, name, version, specification, isSigned: true };
    }
    return { tree, ...namesOf(tree), specification: '', isSigned: false };
  }

  /** The path in the tree; empty for the tree and the folders above it. */
  #insideOf(entryPath: string): string {
    const prefix = this.#root === '' ? '' : `${this.#root}/`;
    if (entryPath.startsWith(prefix)) return entryPath.slice(prefix.length);
    // Folders on the way to the tree, and the tree itself.
    if (prefix.startsWith(`${entryPath}/`)) return '';
    throw new JobletError(
      'invalid',
      `the pack is refused: ${JSON.stringify(entryPath.slice(0, 200))} is not in the folder of its ${RUNTIME_FILE}`,
    );
  }

  #requireExpected(inside: string, entry: TarEntry): void {
    if (this.#expected === undefined) {
      const entries = this.#readManifest()?.entries ?? [];
      this.#expected = new Map(entries.map((one) => [one.path, one]));
    }
    const expected = this.#expected.get(inside);
    const type = entry.type === 'copy' ? 'file' : entry.type;
    const isTooBig = expected?.type === 'file' && entry.size > expected.size;
    if (expected?.type !== type || isTooBig) {
      const shown = JSON.stringify(inside.slice(0, 200));
      const message = `the pack is refused: ${shown} is not what its manifest says`;
      throw new JobletError('invalid', message);
    }
  }

  /** Reads and judges the manifest that has been written; undefined when there is none. */
  #readManifest(): Manifest | undefined {
    if (this.#manifest !== undefined) return this.#manifest;
    const folder = path.join(this.#target, this.#root ?? '');
    const bytes = readIfThere(path.join(folder, MANIFEST_FILE), MAX_MANIFEST_BYTES);
    const signature = readIfThere(path.join(folder, SIGNATURE_FILE), MAX_SIGNATURE_BYTES);
    const { keys, requireSignatures } = this.#trust;
    this.#verdict =
      bytes === undefined ? { is: 'missing' } : judgeSignature(bytes, signature?.toString(), keys);
    const problem = signatureProblem(this.#verdict);
    if (problem !== undefined && (requireSignatures || this.#verdict.is === 'wrong')) {
      throw new JobletError('denied', `the pack is refused: ${problem}`);
    }
    this.#manifest = bytes === undefined ? undefined : parseManifest(bytes);
    return this.#manifest;
  }
}

/** The same entries, with manifest and signature of their tree before the others. */
export function manifestFirst<T extends { readonly fileName: string }>(entries: readonly T[]): T[] {
  const [shallow] = entries
    .map(({ fileName }) => fileName)
    .filter((name) => path.posix.basename(name) === RUNTIME_FILE)
    .sort((one, other) => one.split('/').length - other.split('/').length);
  const root = folderOf(shallow ?? '');
  const first = [MANIFEST_FILE, SIGNATURE_FILE].map((name) => path.posix.join(root, name));
  const isFirst = ({ fileName }: T) => first.includes(fileName);
  return [...entries.filter(isFirst), ...entries.filter((entry) => !isFirst(entry))];
}

/** What a tree says that it is called. */
export function namesOf(tree: string): { readonly name: string; readonly version: string } {
  const text = readIfThere(path.join(tree, RUNTIME_FILE), MAX_RUNTIME_FILE_BYTES);
  if (text === undefined) {
    const most = formatBytes(MAX_RUNTIME_FILE_BYTES);
    const message = `there is no file ${RUNTIME_FILE} of at most ${most} in it, so it is no runtime`;
    throw new JobletError('invalid', message);
  }
  const { name, version } = parseRuntimeFile(text.toString(), RUNTIME_FILE).file;
  return { name, version };
}

function isTop(name: string): boolean {
  return name === RUNTIME_FILE || name === MANIFEST_FILE;
}

function readIfThere(file: string, most: number): Buffer | undefined {
  const found = lstatSync(file, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size <= most ? readFileSync(file) : undefined;
}
