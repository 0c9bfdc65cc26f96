// A copy of a tree with its owners and permissions, for trees that lie on another disk or that somebody
// else may go on changing.

import {
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import type { TreeLimits, Witness } from './settle.ts';
import { type Found, walkTree } from './walk.ts';

/** Copies a tree into a directory that does not exist yet. */
export function copyTree(from: string, to: string, limits: TreeLimits, witness: Witness): void {
  const found = walkTree(from, limits.maxFiles);
  mkdirSync(to, { mode: 0o755 });
  let done = 0;
  for (const each of found) {
    witness.goOn();
    copyOne(from, to, each);
    done += 1;
    witness.tell(done, found.length);
  }
}

function copyOne(from: string, to: string, { path, stats }: Found): void {
  const [source, target] = [`${from}/${path}`, `${to}/${path}`];
  if (stats.isSymbolicLink()) {
    symlinkSync(readlinkSync(source, { encoding: 'buffer' }), target);
    lchownSync(target, stats.uid, stats.gid);
    return;
  }
  if (stats.isDirectory()) mkdirSync(target);
  else if (stats.isFile()) copyFileSync(source, target);
  else throw new JobletError('invalid', `${source} is neither a file nor a folder nor a link`);
  chownSync(target, stats.uid, stats.gid);
  chmodSync(target, stats.mode & 0o777);
}
