// What this build is. The commit is written in by packaging; from a checkout it is asked for.

import { readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

function readCommit(): string {
  try {
    const head = readFileSync(path.join(root, '.git/HEAD'), 'utf8').trim();
    if (!head.startsWith('ref: ')) return head;
    return readFileSync(path.join(root, '.git', head.slice(5)), 'utf8').trim();
  } catch {
    // Not a checkout, or packed: then it is not known.
    return '';
  }
}

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  version: string;
};

export const version = { version: manifest.version, gitCommit: readCommit() } as const;
