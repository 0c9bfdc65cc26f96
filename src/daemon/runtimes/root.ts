// What jobs of a runtime see as their root: its tree, read-only, around what every job has of its own,
// and nothing of the host.

import path from 'node:path';
import { ownPlaces } from '../../shared/runtime-file.ts';
import { keyOf, leastFiles, ownOperations, type Root, SEARCH_PATH } from '../linux/root.ts';
import { type UsableRuntime, unfit } from './catalogue.ts';
import { RUNTIME_FILE, TREE_FOLDER } from './layout.ts';
import { type Shown, showMounts } from './mounts.ts';
import { PASSWD, usersOf } from './passwd.ts';
import { Seen } from './seen.ts';
import { followWithin, listFolder } from './within.ts';

/** A root, and what has to be as it was for it to be still the right one. */
export interface RuntimeRoot {
  readonly root: Root;
  readonly seen: Seen;
}

/**
 * Looks at the tree of a runtime, and describes the root.
 * @throws JobletError wrong-state when it has not what its runtime.yml says
 */
export function rootOf(runtime: UsableRuntime): RuntimeRoot {
  const seen = new Seen();
  seen.note(path.join(runtime.directory, RUNTIME_FILE));
  const { mounts, environment } = runtime.file;
  const { operations, readOnly } =
    mounts.length === 0 ? showWhole(runtime, seen) : showMounts(runtime, mounts, seen);
  return {
    root: {
      // The same operations on another tree in the same place are another root.
      key: keyOf(operations, [runtime.id, ...seen.states()]),
      operations,
      readOnly,
      environment: environmentOf(environment),
    },
    seen,
  };
}

/** The tree shows through wherever a job has nothing of its own. */
function showWhole(runtime: UsableRuntime, seen: Seen): Shown {
  const tree = path.join(runtime.directory, TREE_FOLDER);
  const found = followWithin(runtime.directory, TREE_FOLDER, seen);
  if (found?.stats.isDirectory() !== true || found.file !== tree) {
    throw unfit(runtime, `it has no folder ${TREE_FOLDER}, and its runtime.yml no mounts`);
  }
  const files = Object.keys(leastFiles).filter((file) => followWithin(tree, file, seen));
  const passwd = followWithin(tree, PASSWD, seen);
  const homes = passwd?.stats.isFile() === true ? usersOf(passwd, seen) : [];
  return {
    operations: ['tree', tree, 'tree-root', ...ownOperations(new Set(files)), ...homes],
    readOnly: listFolder(tree, seen)
      .map(({ name }) => `/${name}`)
      .filter((place) => !ownPlaces.some((own) => own === place))
      .sort(),
  };
}

/** A variable that goes before the PATH of jobs, and is not theirs. */
const PATH_PREPEND = 'PATH_PREPEND';

function environmentOf(variables: Readonly<Record<string, string>>): Record<string, string> {
  const { [PATH_PREPEND]: first, ...rest } = variables;
  return first === undefined ? rest : { ...rest, PATH: `${first}:${rest['PATH'] ?? SEARCH_PATH}` };
}
