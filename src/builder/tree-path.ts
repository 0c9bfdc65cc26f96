// Paths in the tree, as its own programs would see them: a link that begins with a slash begins at the
// tree. What is outside of the tree cannot be named.

import { lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/** Links that a path may lead through, as in the kernel. */
const MAX_LINKS = 40;

/**
 * Where a path of the tree lies, with all links on the way followed, the last one only with `follow`.
 * Parts that are not there are taken as they are. Undefined when the links lead in a circle.
 */
export function resolveIn(tree: string, target: string, follow: boolean): string | undefined {
  let rest = partsOf(target);
  let at: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [part = '', ...behind] = rest;
    rest = behind;
    if (part === '..') {
      at = at.slice(0, -1);
      continue;
    }
    const here = path.join(tree, ...at, part);
    const isLink =
      (follow || behind.length > 0) &&
      lstatSync(here, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    if (!isLink) {
      at.push(part);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return undefined;
    const text = readlinkSync(here);
    if (text.startsWith('/')) at = [];
    rest = [...partsOf(text), ...behind];
  }
  return path.join(tree, ...at);
}

function partsOf(target: string): string[] {
  return target.split('/').filter((part) => part !== '' && part !== '.');
}
