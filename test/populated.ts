// Waits for processes in a cgroup: the kernel says when there are some.

import { readFileSync, watch } from 'node:fs';
import path from 'node:path';

/** The processes in a cgroup of v2, or of the unified tree, as soon as there are some. */
export async function untilPopulated(directory: string): Promise<number[]> {
  const changes = watch(path.join(directory, 'cgroup.events'));
  try {
    let pids = processesIn(directory);
    while (pids.length === 0) {
      await new Promise((resolve) => changes.once('change', resolve));
      pids = processesIn(directory);
    }
    return pids;
  } finally {
    changes.close();
  }
}

/** The processes in a cgroup now. */
export function processesIn(directory: string): number[] {
  const lines = readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').split('\n');
  return lines.slice(0, -1).map(Number);
}
