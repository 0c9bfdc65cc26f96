// Everything that is looked at on a host.

import { type Check, missing, ok } from './check.ts';
import { files } from './files-checks.ts';
import { isolation } from './isolation-checks.ts';
import { kernel } from './kernel-checks.ts';
import { limits } from './limits-checks.ts';
import { networks } from './networks-checks.ts';

const host: readonly Check[] = [
  {
    group: 'Host',
    name: 'systemd',
    needed: 'jobs',
    means: 'It may take cgroups for its own that lie below one of its units.',
    remedy: 'Start the daemon as a unit with Delegate=yes.',
    look: ({ isUnderSystemd }) =>
      ok(isUnderSystemd ? 'it runs this host; joblet’s unit wants Delegate=yes' : 'not here'),
  },
  {
    group: 'Host',
    name: 'NVIDIA devices',
    needed: { later: 'GPUs' },
    means: 'Jobs can have no GPU here.',
    remedy: 'Nothing, where there is none; else install NVIDIA’s driver.',
    look: ({ nvidia }) => (nvidia.length > 0 ? ok(nvidia.join(', ')) : missing('none')),
  },
];

export const checks: readonly Check[] = [
  ...kernel,
  ...isolation,
  ...limits,
  ...files,
  ...networks,
  ...host,
];
