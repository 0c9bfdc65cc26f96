// Where the trees of runtimes lie, and what lies beside them, all of one file system:
//
//   NAME/VERSION/          an installed tree
//   .staging/ID/           what is on its way in; nothing of it outlives the daemon
//   .retired/NAME@VERSION@ID/   a tree that was replaced or removed, as long as jobs run in it
//   .store/                every content once; see contents.ts

import { closeSync, fsyncSync, openSync } from 'node:fs';
import path from 'node:path';

export const STAGING_FOLDER = '.staging';
export const RETIRED_FOLDER = '.retired';
export const STORE_FOLDER = '.store';

/** The file that makes a folder a runtime. */
export const RUNTIME_FILE = 'runtime.yml';

export interface Places {
  readonly root: string;
  readonly staging: string;
  readonly retired: string;
  readonly store: string;
}

export function placesBelow(root: string): Places {
  return {
    root,
    staging: path.join(root, STAGING_FOLDER),
    retired: path.join(root, RETIRED_FOLDER),
    store: path.join(root, STORE_FOLDER),
  };
}

/** A tree that nobody shall start jobs in any more. */
export interface Retired {
  readonly directory: string;
  readonly name: string;
  /** Empty for one that was unpacked by hand, without a folder for its version. */
  readonly version: string;
}

export function retiredName(name: string, version: string, id: string): string {
  return `${name}@${version}@${id}`;
}

/** The inverse of retiredName; undefined for anything else. */
export function parseRetired(folder: string, entry: string): Retired | undefined {
  const [name, version, id] = entry.split('@');
  if (name === undefined || version === undefined || id === undefined) return undefined;
  return { directory: path.join(folder, entry), name, version };
}

/** What was renamed in a directory stays so over a power cut. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
