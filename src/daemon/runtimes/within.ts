// Paths within a tree as a process whose root it is would see them: an absolute link begins at the
// tree, and nothing leads out of it.

import { type Dirent, lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';
import type { Seen } from './seen.ts';

/** Links that are followed for one path, as the kernel has it. */
const MAX_LINKS = 40;

/** What a path leads to in the end, so no link. */
export interface Found {
  /** On this host. */
  readonly file: string;
  readonly stats: Stats;
}

/**
 * Follows a path within `root`, which holds no links itself. Undefined when there is nothing. The
 * folders that it leads through are noted.
 */
export function followWithin(root: string, relative: string, seen: Seen): Found | undefined {
  const ahead = relative.split('/');
  const at: string[] = [];
  let stats: Stats | undefined = lookAt(root);
  for (let links = 0, part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    if (stats?.isDirectory() !== true) return undefined;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at.pop();
      stats = lookAt(path.join(root, ...at));
      continue;
    }
    const folder = path.join(root, ...at);
    seen.note(folder);
    const next = lookAt(path.join(folder, part));
    if (next?.isSymbolicLink() !== true) {
      at.push(part);
      stats = next;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return undefined;
    const text = readlinkSync(path.join(folder, part));
    if (text.startsWith('/')) at.length = 0;
    ahead.unshift(...text.split('/'));
    stats = lookAt(path.join(root, ...at));
  }
  return stats === undefined ? undefined : { file: path.join(root, ...at), stats };
}

/** What is in a folder, which is noted. */
export function listFolder(folder: string, seen: Seen): Dirent[] {
  seen.note(folder);
  return readdirSync(folder, { withFileTypes: true });
}

function lookAt(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}
