// What an installed tree consists of, to the last bit: manifest.json. The same tree has the same
// manifest, byte for byte, so no times are in it; permissions are rwx bits alone.

import { JobletError } from '../../shared/errors.ts';
import { runtimeNameProblem, runtimeVersionProblem } from '../../shared/runtime-names.ts';

export const MANIFEST_FILE = 'manifest.json';
export const SIGNATURE_FILE = 'manifest.sig';

/** What jobs see of a tree; beside it lies what describes it. */
export const ROOT_FOLDER = 'isolated';

/** Who owns something in a tree: ids of the job's own user namespace. */
interface Owned {
  /** Relative to the tree, with `/` between its parts. */
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

export interface FileEntry extends Owned {
  readonly type: 'file';
  readonly mode: number;
  readonly size: number;
  readonly sha256: string;
}

export interface FolderEntry extends Owned {
  readonly type: 'folder';
  readonly mode: number;
}

export interface LinkEntry extends Owned {
  readonly type: 'link';
  readonly target: string;
}

export type Entry = FileEntry | FolderEntry | LinkEntry;

export interface Manifest {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the specification that it was built from; empty when it was not. */
  readonly specification: string;
  /** In the order of their paths, each folder before what is in it. */
  readonly entries: readonly Entry[];
}

/** On disk owners are those that a job's user namespace maps. */
export const MAX_ID = 65_535;
export const MAX_PATH_BYTES = 4095;
/** No tree of half a million files has more. */
export const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;

const FORMAT = 1;
const NO_DIGIT = 'must start with a digit';
const DIGEST = /^[0-9a-f]{64}$/;
const MODE = /^0[0-7]{3}$/;

/** What is wrong with the name or the version of a runtime that is to be installed, or undefined. */
export function treeNameProblem(name: string, version: string): string | undefined {
  const bad = runtimeNameProblem(name);
  if (bad !== undefined) return `its name ${bad}`;
  // A folder of a runtime is no version of it.
  const worse = runtimeVersionProblem(version) ?? (/^\d/.test(version) ? undefined : NO_DIGIT);
  return worse === undefined ? undefined : `its version ${worse}`;
}

/** The bytes of a manifest: one line for each entry, so that two of them can be compared by eye. */
export function formatManifest({ name, version, specification, entries }: Manifest): string {
  const head = JSON.stringify({ format: FORMAT, name, version, specification });
  const lines = entries.map((entry) => `${JSON.stringify(toLine(entry))}`);
  return `${head.slice(0, -1)},"entries":[\n${lines.join(',\n')}\n]}\n`;
}

function toLine(entry: Entry): object {
  const { path, type, uid, gid } = entry;
  const owned = { path, type, uid, gid };
  if (entry.type === 'link') return { ...owned, target: entry.target };
  const mode = `0${entry.mode.toString(8).padStart(3, '0')}`;
  if (entry.type === 'folder') return { ...owned, mode };
  return { ...owned, mode, size: entry.size, sha256: entry.sha256 };
}

/**
 * Reads a manifest. What `formatManifest` would not have written is none.
 * @throws JobletError invalid
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES) throw wrong(`is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw wrong('is not JSON');
  }
  const { format, name, version, specification, entries } = record(found, 'it');
  if (format !== FORMAT) throw wrong(`has format ${String(format).slice(0, 20)}, not ${FORMAT}`);
  if (typeof name !== 'string' || typeof version !== 'string')
    throw wrong('has no name, no version');
  const problem = treeNameProblem(name, version);
  if (problem !== undefined) throw wrong(problem);
  if (typeof specification !== 'string' || !/^(|[0-9a-f]{64})$/.test(specification)) {
    throw wrong('has no digest of a specification');
  }
  if (!Array.isArray(entries)) throw wrong('has no entries');
  const manifest = { name, version, specification, entries: entries.map(parseEntry) };
  requireTree(manifest.entries);
  // Two spellings of one manifest would be two signatures of one tree.
  if (formatManifest(manifest) !== text) throw wrong('is not written as manifests are');
  return manifest;
}

function parseEntry(found: unknown): Entry {
  const { path, type, uid, gid, mode, size, sha256, target } = record(found, 'an entry');
  if (typeof path !== 'string') throw wrong('has an entry without path');
  const problem = treePathProblem(path);
  const at = `entry ${JSON.stringify(path.slice(0, 100))}`;
  if (problem !== undefined) throw wrong(`${at} ${problem}`);
  if (!isWithin(uid, MAX_ID) || !isWithin(gid, MAX_ID)) throw wrong(`${at} has no owner`);
  if (type === 'link') {
    if (typeof target !== 'string') throw wrong(`${at} has no target`);
    const bad = linkProblem(path, target);
    if (bad !== undefined) throw wrong(`${at} ${bad}`);
    return { type, path, uid, gid, target };
  }
  if (typeof mode !== 'string' || !MODE.test(mode)) throw wrong(`${at} has no permissions`);
  const bits = Number.parseInt(mode, 8);
  if (type === 'folder') return { type, path, uid, gid, mode: bits };
  if (type !== 'file') throw wrong(`${at} is neither a file nor a folder nor a link`);
  if (!isWithin(size, Number.MAX_SAFE_INTEGER)) throw wrong(`${at} has no size`);
  if (typeof sha256 !== 'string' || !DIGEST.test(sha256)) throw wrong(`${at} has no digest`);
  return { type, path, uid, gid, mode: bits, size, sha256 };
}

/** Every entry stands once, in order, below folders that stand there too. */
function requireTree(entries: readonly Entry[]): void {
  const folders = new Set(['']);
  let before = '';
  for (const { path, type } of entries) {
    const at = `entry ${JSON.stringify(path.slice(0, 100))}`;
    if (comparePaths(before, path) >= 0)
      throw wrong(`${at} is out of order, or stands there twice`);
    if (!folders.has(folderOf(path))) throw wrong(`${at} is in no folder`);
    if (path === MANIFEST_FILE || path === SIGNATURE_FILE) throw wrong(`${at} cannot list itself`);
    if (type === 'folder') folders.add(path);
    before = path;
  }
}

/** The folder of a path; empty for what is at the top. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** By code units, which is the same everywhere; a folder comes before what is in it. */
export function comparePaths(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** What is wrong with a path in a tree, or undefined. */
export function treePathProblem(path: string): string | undefined {
  if (path === '') return 'has an empty path';
  if (path.startsWith('/')) return 'has an absolute path';
  if (path.includes('\0')) return 'has a path with a zero byte';
  if (!path.isWellFormed()) return 'has a path that is no text';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return 'has a path that is too long';
  const parts = path.split('/');
  if (parts.includes('..')) return 'has a path with `..`';
  if (parts.includes('.') || parts.includes('')) return 'has a path with an empty part';
  return undefined;
}

/**
 * What is wrong with a link in a tree, or undefined. An absolute one is read from the root that the job
 * has, which is the tree; only those that climb out of it on the way lead anywhere else.
 */
export function linkProblem(path: string, target: string): string | undefined {
  if (target === '' || target.includes('\0') || !target.isWellFormed()) return 'links to nothing';
  if (Buffer.byteLength(target) > MAX_PATH_BYTES) return 'has a target that is too long';
  if (!path.startsWith(`${ROOT_FOLDER}/`) && target.startsWith('/')) return 'leads out of the tree';
  if (target.startsWith('/')) return undefined;
  let depth = folderOf(path)
    .split('/')
    .filter((part) => part !== '').length;
  const floor = path.startsWith(`${ROOT_FOLDER}/`) ? 1 : 0;
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < floor) return 'leads out of the tree';
  }
  return undefined;
}

function record(found: unknown, what: string): Record<string, unknown> {
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) {
    return found as Record<string, unknown>;
  }
  throw wrong(`${what} is no map`);
}

function isWithin(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function wrong(what: string): JobletError {
  return new JobletError('invalid', `the manifest is not one of a runtime: ${what}`, {
    about: MANIFEST_FILE,
  });
}
