// The end of trees, in a thread of its own: what nobody else has is free again.

import { lstatSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Contents } from './contents.ts';
import { MANIFEST_FILE, parseManifest, SIGNATURE_FILE } from './manifest.ts';
import type { Places } from './places.ts';
import { walkTree } from './walk.ts';

/** Removes a tree. Answers the bytes that are free again. */
export function discardTree(places: Places, tree: string): number {
  const contents = new Contents(places.store);
  const entries = readEntries(tree);
  const alone = bytesAlone(tree);
  rmSync(tree, { recursive: true, force: true });
  let freed = 0;
  for (const entry of entries) if (entry.type === 'file') freed += contents.drop(entry);
  return freed + alone;
}

/** Removes what an earlier daemon left unfinished. Answers the bytes that nothing links to any more. */
export function sweepTrees(places: Places, leftovers: readonly string[]): number {
  for (const leftover of leftovers) rmSync(leftover, { recursive: true, force: true });
  return new Contents(places.store).sweep();
}

/** Of one that was unpacked by hand and changed since, the manifest says nothing to rely on. */
function readEntries(tree: string) {
  try {
    return parseManifest(readFileSync(path.join(tree, MANIFEST_FILE))).entries;
  } catch {
    return [];
  }
}

/** The bytes of files that have no link anywhere but in this tree, without what describes it. */
function bytesAlone(tree: string): number {
  const seen = new Map<number, { readonly size: number; links: number }>();
  if (lstatSync(tree, { throwIfNoEntry: false })?.isDirectory() !== true) return 0;
  for (const { path: name, stats } of walkTree(tree, Number.POSITIVE_INFINITY)) {
    if (!stats.isFile() || name === MANIFEST_FILE || name === SIGNATURE_FILE) continue;
    const file = seen.get(stats.ino) ?? { size: stats.size, links: stats.nlink };
    file.links -= 1;
    seen.set(stats.ino, file);
  }
  return seen.values().reduce((sum, { size, links }) => sum + (links === 0 ? size : 0), 0);
}
