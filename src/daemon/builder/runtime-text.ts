// From a specification and what was installed for it to the runtime.yml of the tree.

import type { BuildLock } from '../../shared/build-lock.ts';
import type { BuildSpec } from '../../shared/build-spec.ts';
import { formatRuntimeFile, type RuntimeFile } from '../../shared/runtime-file.ts';

export function runtimeFileOf(spec: BuildSpec, lock: BuildLock, builtWith: string): RuntimeFile {
  const { base, requirements, package_manager: installer } = spec;
  const language = base.kind === 'suite' ? base.language : undefined;
  // What was asked for, and then what that came to.
  const packages = new Set([
    ...spec.pip,
    ...lock.pip.map(({ name, version }) => `${name}==${version}`),
    ...lock.npm.map(({ name, version }) => `${name}@${version}`),
    ...lock.apt.map(({ name, version }) => `${name}=${version}`),
  ]);
  return {
    name: spec.name,
    version: spec.version,
    description: spec.description,
    type: 'system',
    aliases: spec.aliases,
    language: language?.name ?? '',
    languageVersion: language?.version ?? '',
    mounts: [],
    environment: spec.environment,
    requirements: {
      minMemoryBytes: requirements.min_memory ?? 0,
      recommendedMemoryBytes: requirements.recommended_memory ?? 0,
      architectures: requirements.architectures,
      gpu: requirements.gpu,
    },
    packages: [...packages],
    libraries: [],
    packageManager: installer && { type: installer.type, cacheVolume: installer.cache_volume },
    tests: spec.tests.map(({ name, command, output = '' }) => ({ name, command, output })),
    built: { at: lock.time, with: builtWith, platform: lock.platform },
  };
}

export function runtimeTextOf(spec: BuildSpec, lock: BuildLock, builtWith: string): string {
  return formatRuntimeFile(runtimeFileOf(spec, lock, builtWith));
}
