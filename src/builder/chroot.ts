// Programs of the tree, run with the tree as their root.

import { places } from '../shared/build-task.ts';
import { TREE_TIME_S } from '../shared/tree-time.ts';
import { type RunOptions, run } from './programs.ts';

const environment = {
  DEBIAN_FRONTEND: 'noninteractive',
  DEBCONF_NONINTERACTIVE_SEEN: 'true',
  // What tools write that date or shuffle their output would otherwise differ from build to build.
  SOURCE_DATE_EPOCH: String(TREE_TIME_S),
  PYTHONHASHSEED: '0',
} as const;

export function runInTree(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { env = {}, cwd = '/', ...rest } = options;
  // `env` looks the program up in the tree, and changes its directory there.
  return run('chroot', [places.root, '/usr/bin/env', `--chdir=${cwd}`, program, ...args], {
    name: program,
    ...rest,
    env: { ...environment, ...env },
  });
}
