// Where joblet-launch lies: built beside the sources, and packed in the same order.

import path from 'node:path';

export const LAUNCH_BINARY = path.resolve(
  import.meta.dirname,
  '../../../native/build/joblet-launch',
);
