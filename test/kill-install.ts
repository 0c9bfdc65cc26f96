// Installs the tree in its second argument below the first, and tells its progress: for a test to kill.

import { openTrees } from './small-tree.ts';

const [directory = '', staged = ''] = process.argv.slice(2);
await openTrees(directory).install(
  staged,
  { name: 'small', version: '2.0.0', force: true },
  { progress: (done, total) => process.stdout.write(`${done} of ${total}\n`) },
);
process.stdout.write('installed\n');
