// Patterns of paths in the tree: `*` and `?` stay within a part, `**` stands for any number of parts.

import { readdirSync } from 'node:fs';
import path from 'node:path';

/** Whether a path, or a folder that it lies in, is meant by a pattern. */
export function globToRegExp(glob: string): RegExp {
  const source = glob
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (part === '**' ? '(?:/[^/]+)*' : `/${partToSource(part)}`))
    .join('');
  // `/usr/share/doc/**` means what is in the folder, not the folder.
  const whole = glob.endsWith('/**') ? source.replace(/\*$/, '+') : source;
  return new RegExp(`^${whole}$`, 's');
}

function partToSource(part: string): string {
  return part
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('?', '[^/]')
    .replaceAll(/\*+/g, '[^/]*');
}

/** A path of the tree, with a slash at its begin, and what it is. */
export interface Found {
  readonly target: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
}

/** Everything in the tree: a folder before what it holds, in an order that is always the same. */
export function* walk(tree: string, below = ''): Generator<Found> {
  const entries = readdirSync(path.join(tree, below), { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const target = `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      yield { target, kind: 'folder' };
      yield* walk(tree, target);
    } else {
      yield {
        target,
        kind: entry.isSymbolicLink() ? 'link' : entry.isFile() ? 'file' : 'other',
      };
    }
  }
}
