// What a pack says of itself, without unpacking it: packs of ours begin with that.

import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { parseRuntimeFile, type RuntimeFile } from '../../shared/runtime-file.ts';
import type { TarEntry } from '../../shared/tar-writer.ts';
import { readArchive } from './archive.ts';
import { RUNTIME_FILE } from './layout.ts';
import { MANIFEST_FILE, MAX_MANIFEST_BYTES, SIGNATURE_FILE } from './manifest.ts';
import { judgeSignature, type Keys, type Verdict } from './signature.ts';
import type { EntrySink } from './tar-reader.ts';

export interface PackFacts {
  readonly file: RuntimeFile;
  readonly signature: Verdict;
}

const WANTED: readonly string[] = [MANIFEST_FILE, SIGNATURE_FILE, RUNTIME_FILE];
const MAX_ENTRIES = 10_000_000;
/** NAME/VERSION/runtime.yml, in whatever folder that is. */
const MAX_DEPTH = 4;

/** Nothing more of the pack is needed. */
class Enough extends Error {}

/** Reads the beginning of a pack. @throws JobletError invalid for what is no pack of a runtime */
export async function readPackFacts(pack: string, keys: Keys): Promise<PackFacts> {
  const head = new Head();
  try {
    const reading = { maxEntries: MAX_ENTRIES, inOrder: wantedFirst, tell: () => {} };
    await readArchive(pack, head, reading);
  } catch (error) {
    if (!head.isWhole) throw error;
  }
  const text = head.bytesOf(RUNTIME_FILE);
  if (text === undefined) {
    throw new JobletError('invalid', `${pack} is no pack of a runtime: it has no ${RUNTIME_FILE}`);
  }
  const manifest = head.bytesOf(MANIFEST_FILE);
  const signature = head.bytesOf(SIGNATURE_FILE)?.toString();
  return {
    file: parseRuntimeFile(text.toString(), RUNTIME_FILE).file,
    signature:
      manifest === undefined ? { is: 'missing' } : judgeSignature(manifest, signature, keys),
  };
}

function wantedFirst<T extends { readonly fileName: string }>(entries: readonly T[]): T[] {
  return entries.filter(({ fileName }) => isWanted(fileName));
}

function isWanted(name: string): boolean {
  return WANTED.includes(path.posix.basename(name)) && name.split('/').length <= MAX_DEPTH;
}

/** Keeps the first of each file that is wanted. */
class Head implements EntrySink {
  readonly #files = new Map<string, Buffer[]>();
  #current: Buffer[] | undefined;
  #left = 0;

  get isWhole(): boolean {
    return this.#files.size === WANTED.length && this.#left === 0;
  }

  begin({ path: name, type, size }: TarEntry): void {
    if (this.isWhole) throw new Enough();
    const base = path.posix.basename(name);
    const isKept = type === 'file' && isWanted(name) && !this.#files.has(base);
    this.#current = isKept && size <= MAX_MANIFEST_BYTES ? [] : undefined;
    this.#left = this.#current === undefined ? 0 : size;
    if (this.#current !== undefined) this.#files.set(base, this.#current);
  }

  write(bytes: Uint8Array): void {
    this.#current?.push(Buffer.from(bytes));
    if (this.#current !== undefined) this.#left -= bytes.length;
  }

  bytesOf(name: string): Buffer | undefined {
    const parts = this.#files.get(name);
    return parts === undefined ? undefined : Buffer.concat(parts);
  }
}
