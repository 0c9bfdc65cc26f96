// What trees take of the disk, of which much may be the same files.

import { statSync } from 'node:fs';
import { walkTree } from './walk.ts';

/** Trees by directory. */
export interface Sizes {
  readonly trees: ReadonlyMap<string, TreeSize>;
  /** All of them together: what several have counts once. */
  readonly diskBytes: number;
}

export interface TreeSize {
  /** All of its files. */
  readonly bytes: number;
  /** What no other tree has. */
  readonly uniqueBytes: number;
}

interface Inode {
  readonly bytes: number;
  /** The trees that have it. */
  readonly trees: Set<string>;
}

export function measureTrees(directories: readonly string[]): Sizes {
  const inodes = new Map<string, Inode>();
  const bytes = new Map<string, number>();
  for (const directory of directories) {
    let sum = 0;
    for (const size of sizesIn(directory)) {
      sum += size.bytes;
      const inode = inodes.get(size.inode) ?? { bytes: size.bytes, trees: new Set() };
      inode.trees.add(directory);
      inodes.set(size.inode, inode);
    }
    bytes.set(directory, sum);
  }
  const unique = new Map<string, number>();
  let diskBytes = 0;
  for (const inode of inodes.values()) {
    diskBytes += inode.bytes;
    const [owner = '', ...others] = inode.trees;
    if (others.length === 0) unique.set(owner, (unique.get(owner) ?? 0) + inode.bytes);
  }
  const trees = directories.map((directory): [string, TreeSize] => [
    directory,
    { bytes: bytes.get(directory) ?? 0, uniqueBytes: unique.get(directory) ?? 0 },
  ]);
  return { trees: new Map(trees), diskBytes };
}

/** Files of a tree; none of one that has gone meanwhile. */
function sizesIn(directory: string): { readonly inode: string; readonly bytes: number }[] {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return walkTree(directory, Number.POSITIVE_INFINITY)
    .filter(({ stats }) => stats.isFile())
    .map(({ stats }) => ({ inode: `${stats.dev}:${stats.ino}`, bytes: stats.size }));
}
