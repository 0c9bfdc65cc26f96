// Everything that is looked at on a host.

import { type Check, limited, missing, ok } from './check.ts';
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
    name: 'GPUs',
    needed: { feature: 'GPUs for jobs' },
    means: 'A job that asks for a GPU is refused.',
    remedy: 'Nothing, where there is none; else NVIDIA’s driver whole, and gpu.enabled: true.',
    look: ({ gpus: { isEnabled, count, problem } }) => {
      if (problem !== '') return missing(problem);
      const found = count === 1 ? '1 that is given whole' : `${count} that are given whole`;
      return isEnabled ? ok(found) : limited(`${found}, and gpu.enabled is false`);
    },
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
