// The manifest of a runtime and its signature: what is read is written out the same, and leads nowhere
// outside its tree.

import assert from 'node:assert/strict';
import path from 'node:path';
import { formatManifest, MAX_ID, parseManifest } from '../../../src/daemon/runtimes/manifest.ts';
import { parseSignature } from '../../../src/daemon/runtimes/signature.ts';
import { orRefused, target } from '../target.ts';

const owned = { uid: 0, gid: 42 };
const sha256 = '01'.repeat(32);
const sample = formatManifest({
  name: 'python-3.11',
  version: '1.0.0',
  specification: '',
  entries: [
    { type: 'folder', path: 'isolated', mode: 0o755, ...owned },
    { type: 'file', path: 'isolated/a', mode: 0o644, size: 3, sha256, ...owned },
    { type: 'link', path: 'isolated/b', target: '/bin/a', ...owned },
    { type: 'file', path: 'runtime.yml', mode: 0o644, size: 1, sha256, ...owned },
  ],
});

export default target({
  seeds: [
    sample,
    '{"format":1,"name":"a","version":"1","specification":"","entries":[\n\n]}\n',
    `{"algorithm":"ed25519","key":"${'0'.repeat(32)}","signature":"AAAA"}\n`,
    '[]',
  ],
  words: [
    '"path":"',
    '"type":"link"',
    '"target":"../',
    '"mode":"0755"',
    '"uid":',
    '..',
    '/',
    '\\u0000',
    '__proto__',
  ],
  run(input) {
    const read = orRefused(() => parseManifest(input), 'invalid');
    if (read !== undefined) {
      assert.equal(formatManifest(read), input.toString());
      for (const entry of read.entries) {
        assert.ok(path.join('/tree', entry.path).startsWith('/tree/'), entry.path);
        assert.ok(entry.uid <= MAX_ID && entry.gid <= MAX_ID);
        if (entry.type !== 'link') assert.equal(entry.mode & ~0o777, 0);
      }
    }
    orRefused(() => parseSignature(input.toString()), 'invalid');
  },
});
