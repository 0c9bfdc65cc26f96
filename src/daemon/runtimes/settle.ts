// Makes an installed tree of one that was unpacked or built: its files become links to what is kept
// of all runtimes, and its manifest is written. What has no place in a runtime is refused.

import { isUtf8 } from 'node:buffer';
import { chmodSync, lchownSync, lutimesSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import { TREE_TIME_S } from '../../shared/tree-time.ts';
import { formatBytes } from '../../shared/units.ts';
import type { Contents } from './contents.ts';
import { digestOf } from './digest.ts';
import {
  type Entry,
  folderOf,
  linkProblem,
  MANIFEST_FILE,
  MAX_ID,
  ROOT_FOLDER,
  SIGNATURE_FILE,
} from './manifest.ts';
import { type Found, walkTree } from './walk.ts';

export interface TreeLimits {
  readonly maxFiles: number;
  /** All files together. */
  readonly maxBytes: number;
  /** What unpacking leaves free of the disk. */
  readonly reserveBytes: number;
}

/** Who follows a long piece of work, and may end it. */
export interface Witness {
  /** Throws when nobody wants the result any more. */
  goOn(): void;
  /** Of all that has to be done, so much is. */
  tell(done: number, total: number): void;
}

export interface Settled {
  /** What is in the tree, in the order of manifests. */
  readonly entries: readonly Entry[];
  readonly bytes: number;
  /** What was not kept before. */
  readonly newBytes: number;
}

const PERMISSIONS = 0o777;

/** Who something in a tree belongs to. */
export type Owners = ReadonlyMap<string, { readonly uid: number; readonly gid: number }>;

/**
 * Settles a tree that nobody else uses. Its set-id bits and times do not stay, its owners do, unless
 * `owners` says of a path whose it is: not every archive keeps them.
 */
export function settleTree(
  root: string,
  contents: Contents,
  limits: TreeLimits,
  witness: Witness,
  owners: Owners = new Map(),
): Settled {
  const found = walkTree(root, limits.maxFiles);
  const bytes = found.reduce((sum, { stats }) => sum + (stats.isFile() ? stats.size : 0), 0);
  if (bytes > limits.maxBytes) {
    const message = `a runtime holds at most ${formatBytes(limits.maxBytes)} (runtime.maxBytes), and this one has ${formatBytes(bytes)}`;
    throw new JobletError('exhausted', message);
  }
  let newBytes = 0;
  let done = 0;
  const digest = (file: string) =>
    digestOf(file, (read) => {
      done += read;
      witness.goOn();
      witness.tell(done, bytes);
    });
  const entries = found
    .filter(({ path }) => path !== MANIFEST_FILE && path !== SIGNATURE_FILE)
    .map((each) => {
      const { uid, gid } = owners.get(each.path) ?? each.stats;
      const entry = { ...toEntry(root, each, digest), uid, gid };
      if (entry.type === 'file') newBytes += contents.keep(`${root}/${each.path}`, entry);
      return entry;
    });
  // Backwards, so that a folder has its time and its permissions when nothing in it changes any more.
  for (const entry of entries.toReversed()) {
    const place = `${root}/${entry.path}`;
    if (entry.type !== 'file') lchownSync(place, entry.uid, entry.gid);
    if (entry.type === 'folder') chmodSync(place, entry.mode);
    if (entry.type !== 'file') lutimesSync(place, TREE_TIME_S, TREE_TIME_S);
  }
  return { entries, bytes, newBytes };
}

function toEntry(root: string, { path, stats }: Found, digest: (file: string) => string): Entry {
  const { uid, gid, size } = stats;
  if (uid > MAX_ID || gid > MAX_ID) {
    const message = `/${path} belongs to ${uid}:${gid}; in a runtime owners are 0 to ${MAX_ID}`;
    throw new JobletError('invalid', message);
  }
  const mode = stats.mode & PERMISSIONS;
  if (stats.isDirectory()) return { type: 'folder', path, uid, gid, mode };
  if (stats.isSymbolicLink()) {
    return { type: 'link', path, uid, gid, target: settleLink(root, path, stats) };
  }
  if (!stats.isFile()) {
    const message = `/${path} is a ${specialKind(stats)}; a runtime holds files, folders and links`;
    throw new JobletError('invalid', message);
  }
  return { type: 'file', path, uid, gid, mode, size, sha256: digest(`${root}/${path}`) };
}

/**
 * The target of a link. One that climbs above the root of its job stops there, so it is written as it
 * is read: whoever unpacks the tree elsewhere is not led out of it.
 */
function settleLink(root: string, path: string, { uid, gid }: Found['stats']): string {
  const target = readTarget(root, path);
  const depth = folderOf(path).split('/').length;
  const [climb = ''] = /^(\.\.(\/|$))*/.exec(target) ?? [];
  if (path.startsWith(`${ROOT_FOLDER}/`) && climb.split('..').length - 1 >= depth) {
    const within = `/${target.slice(climb.length)}`;
    unlinkSync(`${root}/${path}`);
    symlinkSync(within, `${root}/${path}`);
    lchownSync(`${root}/${path}`, uid, gid);
    return within;
  }
  const problem = linkProblem(path, target);
  if (problem === undefined) return target;
  throw new JobletError('invalid', `/${path} ${problem}: it points to ${target}`);
}

function readTarget(root: string, path: string): string {
  const raw = readlinkSync(`${root}/${path}`, { encoding: 'buffer' });
  if (isUtf8(raw)) return raw.toString();
  throw new JobletError('invalid', `/${path} links to a name that is no text in UTF-8`);
}

function specialKind(stats: Found['stats']): string {
  if (stats.isFIFO()) return 'named pipe';
  return stats.isSocket() ? 'socket' : 'device';
}
