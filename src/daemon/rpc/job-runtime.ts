// The runtime that a job asks for: which one that is on this node, and whether the job fits it.

import { invalid } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';
import type { JobSpec } from '../jobs/job.ts';
import { refOf } from '../runtimes/catalogue.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';

/**
 * The same job with the exact runtime that is meant, `name@version`: whatever is installed while it
 * waits, it runs in that one.
 * @throws JobletError not-found with the name that was meant, perhaps; wrong-state when no job can use
 * it; invalid when the job has too little memory for it
 */
export function inRuntime(spec: JobSpec, runtimes: Pick<Runtimes, 'getUsable'>): JobSpec {
  if (spec.runtime === '') return spec;
  const runtime = runtimes.getUsable(spec.runtime);
  const ref = refOf(runtime);
  const least = runtime.file.requirements.minMemoryBytes;
  const { memoryBytes } = spec.limits;
  if (memoryBytes > 0 && memoryBytes < least) {
    const message = `is ${formatBytes(memoryBytes)}, and ${ref} needs at least ${formatBytes(least)} (requirements.min_memory of its runtime.yml)`;
    throw invalid([{ field: 'max_memory', message }]);
  }
  return { ...spec, runtime: ref };
}
