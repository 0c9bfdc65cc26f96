// Goes through the files of a tree, in a thread that has nothing else to do. Links are not followed.

import { isUtf8 } from 'node:buffer';
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import { comparePaths, MAX_PATH_BYTES } from './manifest.ts';

/** One thing in a tree, a folder before what is in it. */
export interface Found {
  /** Relative to the tree. */
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Everything below a directory, in the order of manifests.
 * @throws JobletError invalid for names that are no text, exhausted for more than `most` of them
 */
export function walkTree(root: string, most: number): Found[] {
  const all: Found[] = [];
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const raw of readdirSync(`${root}/${folder}`, { encoding: 'buffer' })) {
      const path = folder === '' ? textOf(raw, folder) : `${folder}/${textOf(raw, folder)}`;
      if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
        throw new JobletError('invalid', `${path.slice(0, 200)}... has a path that is too long`);
      }
      const stats = lstatSync(`${root}/${path}`);
      if (stats.isDirectory()) folders.push(path);
      all.push({ path, stats });
      if (all.length <= most) continue;
      throw new JobletError(
        'exhausted',
        `a runtime holds at most ${most} files, folders and links (runtime.maxFiles)`,
      );
    }
  }
  return all.sort((one, other) => comparePaths(one.path, other.path));
}

function textOf(raw: Buffer, folder: string): string {
  if (isUtf8(raw)) return raw.toString();
  const shown = JSON.stringify(raw.toString('latin1'));
  throw new JobletError('invalid', `a name in /${folder} is no text in UTF-8: ${shown}; rename it`);
}
