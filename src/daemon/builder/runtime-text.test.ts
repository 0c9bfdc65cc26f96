import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildLock } from '../../shared/build-lock.ts';
import { parseBuildSpec } from '../../shared/build-spec.ts';
import { runtimeFileOf } from './runtime-text.ts';

test('a runtime says which packages it was asked for, and what that came to (S0-14, S0-22)', () => {
  const text = [
    'schema_version: "1.0"',
    'name: numbers',
    'version: 1.0.0',
    'base: {debian: bookworm}',
    'pip: ["numpy>=1.24.3,<2.0", requests==2.34.2]',
    'package_manager: {type: pip, cache_volume: pip-cache}',
  ];
  const spec = parseBuildSpec(text.join('\n'), 'runtime.yaml');
  const lock: BuildLock = {
    schema_version: '1.0',
    base: 'Debian bookworm',
    platform: 'linux/amd64',
    time: '2026-11-26T00:00:00.000Z',
    apt: [
      {
        name: 'libc6',
        version: '2.36-9',
        architecture: 'amd64',
        sha256: '0'.repeat(64),
        essential: true,
      },
    ],
    pip: [
      { name: 'numpy', version: '1.26.4', sha256: '0'.repeat(64) },
      { name: 'requests', version: '2.34.2', sha256: '0'.repeat(64) },
    ],
    npm: [],
  };
  const { packages, packageManager } = runtimeFileOf(spec, lock, 'a test');
  assert.deepEqual(packages, [
    'numpy>=1.24.3,<2.0',
    'requests==2.34.2',
    'numpy==1.26.4',
    'libc6=2.36-9',
  ]);
  assert.deepEqual(packageManager, { type: 'pip', cacheVolume: 'pip-cache' });
});
