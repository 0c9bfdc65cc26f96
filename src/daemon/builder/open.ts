// The builds of a node as its configuration has them.

import path from 'node:path';
import type { Config } from '../config.ts';
import { version } from '../version.ts';
import type { BuildConfig } from './build.ts';
import { Builds } from './builds.ts';
import { DebCache } from './deb-cache.ts';

type Parts = Omit<ConstructorParameters<typeof Builds>[0], 'config' | 'cache' | 'env'>;

/** Call `recover` on them before the first build. */
export function openBuilds(config: Config, parts: Parts): Builds {
  const { directory, packageCacheBytes } = config.runtimes;
  return new Builds({
    ...parts,
    config: buildConfigOf(config),
    cache: new DebCache(path.join(directory, '.packages'), packageCacheBytes),
    env: process.env,
  });
}

function buildConfigOf({ runtimes, filesystem }: Config): BuildConfig {
  return {
    directory: path.join(runtimes.directory, '.builds'),
    specifications: runtimes.specifications,
    allowedMounts: filesystem.allowedMounts,
    aptSources: runtimes.aptSources,
    maxBuilds: runtimes.maxBuilds,
    maxBytes: runtimes.buildBytes,
    memoryBytes: runtimes.buildMemoryBytes,
    processes: runtimes.buildProcesses,
    timeoutMs: runtimes.buildTimeoutMs,
    builtWith: `joblet ${version.version}`,
  };
}
