// Where the trees of runtimes lie, and what lies beside them, all of one file system:
//
//   NAME/VERSION/          an installed tree
//   .staging/ID/           what is on its way in; nothing of it outlives the daemon
//   .retired/NAME@VERSION@ID/   a tree that was replaced or removed, as long as jobs run in it
//   .store/                every content once; see contents.ts

import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';

export const STAGING_FOLDER = '.staging';
export const RETIRED_FOLDER = '.retired';
export const STORE_FOLDER = '.store';

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

/** A name for a tree that no job shall start in any more; it tells people what it was. */
export function retiredName(name: string, version: string, id: string): string {
  return `${name}@${version}@${id}`;
}

/** How an installation ends that was not told to take the place of what is there. */
export function alreadyThere(name: string, version: string, isFlat = false): JobletError {
  const what = isFlat
    ? `runtime ${name} is installed already, unpacked without a folder for its version`
    : `runtime ${name}@${version} is installed already`;
  return new JobletError('exists', `${what}; --force takes its place`);
}
