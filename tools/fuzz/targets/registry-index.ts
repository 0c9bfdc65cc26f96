// The index of a registry: what is read is written out and read again the same, and names nothing that
// is no name.

import assert from 'node:assert/strict';
import { registryAddress } from '../../../src/daemon/runtimes/fetch.ts';
import {
  chooseEntry,
  formatIndex,
  parseIndex,
} from '../../../src/daemon/runtimes/registry-index.ts';
import { platforms } from '../../../src/shared/platform.ts';
import { runtimeSpecProblem } from '../../../src/shared/runtime-names.ts';
import { orRefused, target } from '../target.ts';

const entry = (version: string) => ({
  version,
  description: 'One',
  download_url: `x-${version}.zip`,
  checksum: `sha256:${'0a'.repeat(32)}`,
  size: 7,
  platforms: ['linux/amd64', 'ubuntu-arm64'],
});
const sample = JSON.stringify({
  version: '1',
  updated_at: '2026-11-26T00:00:00Z',
  runtimes: { 'openjdk-21': { '1.9.0': entry('1.9.0'), '1.10.0': entry('1.10.0') }, x: {} },
});

export default target({
  seeds: [
    sample,
    '{"version":"1","runtimes":{}}',
    sample.replace('openjdk-21', 'constructor'),
    sample.replace('"size":7', '"size":-1'),
    'https://example.com/a',
    '/srv/runtimes',
    '[]',
  ],
  words: [
    '"runtimes":',
    '__proto__',
    'constructor',
    '../',
    'sha256:',
    '"checksum":',
    'file://',
    'http://',
  ],
  run(input) {
    const text = input.toString();
    const index = orRefused(() => parseIndex(text), 'invalid');
    if (index !== undefined) {
      const written = formatIndex(index);
      assert.equal(formatIndex(parseIndex(written)), written);
      assert.equal(parseIndex(written).entries.length, index.entries.length);
      for (const { name, version, size } of index.entries) {
        assert.equal(runtimeSpecProblem(`${name}@${version}`), undefined);
        assert.ok(Number.isSafeInteger(size) && size >= 0);
      }
      for (const spec of ['openjdk-21', 'java:21@latest', 'x', '__proto__']) {
        orRefused(() => chooseEntry(index, spec, platforms.x64), 'not-found', 'unsupported');
      }
    }
    const address = orRefused(() => registryAddress(text), 'invalid');
    if (address !== undefined) assert.match(address.protocol, /^(file|https):$/);
  },
});
