// The runtime that a job asks for: which one that is on this node, whether the job fits it, and what
// its package installer keeps between jobs.

import { invalid } from '../../shared/errors.ts';
import type { RuntimeFile } from '../../shared/runtime-file.ts';
import { formatBytes } from '../../shared/units.ts';
import type { JobSpec } from '../jobs/job.ts';
import { refOf } from '../runtimes/catalogue.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import type { Volumes } from '../volumes/volumes.ts';

/** By which variable each package installer is told where to keep what it has downloaded. */
const cacheVariables: Readonly<Record<string, string>> = {
  pip: 'PIP_CACHE_DIR',
  uv: 'UV_CACHE_DIR',
  npm: 'npm_config_cache',
  yarn: 'YARN_CACHE_FOLDER',
  go: 'GOMODCACHE',
};

export interface JobRuntimeParts {
  readonly runtimes: Pick<Runtimes, 'getUsable'>;
  readonly volumes: Pick<Volumes, 'has'>;
}

/**
 * The same job with the exact runtime that is meant, `name@version`: whatever is installed while it
 * waits, it runs in that one.
 * @throws JobletError not-found with the name that was meant, perhaps; wrong-state when no job can use
 * it; invalid when the job has too little memory for it
 */
export function inRuntime(spec: JobSpec, { runtimes, volumes }: JobRuntimeParts): JobSpec {
  if (spec.runtime === '') return spec;
  const runtime = runtimes.getUsable(spec.runtime);
  const ref = refOf(runtime);
  const least = runtime.file.requirements.minMemoryBytes;
  const { memoryBytes } = spec.limits;
  if (memoryBytes > 0 && memoryBytes < least) {
    const message = `is ${formatBytes(memoryBytes)}, and ${ref} needs at least ${formatBytes(least)} (requirements.min_memory of its runtime.yml)`;
    throw invalid([{ field: 'max_memory', message }]);
  }
  return withCache({ ...spec, runtime: ref }, runtime.file, volumes);
}

/** Where the node has the volume that a runtime's installer keeps its downloads in, the job gets it. */
function withCache(
  spec: JobSpec,
  { packageManager: installer }: RuntimeFile,
  volumes: JobRuntimeParts['volumes'],
): JobSpec {
  const name = installer?.cacheVolume ?? '';
  if (name === '' || !volumes.has(name) || spec.volumes.some((mount) => mount.name === name)) {
    return spec;
  }
  const path = `/volumes/${name}`;
  const variable = cacheVariables[installer?.type ?? ''];
  return {
    ...spec,
    volumes: [...spec.volumes, { name, path, readOnly: false }],
    environment: { ...(variable !== undefined && { [variable]: path }), ...spec.environment },
  };
}
