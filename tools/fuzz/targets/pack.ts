// A pack of any kind, unpacked onto the disk: all of it lies where it belongs, is of what a runtime may
// hold, and keeps the bounds; what is refused is refused as such.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { openSigningKey } from '../../../src/daemon/runtimes/signature.ts';
import { unpack } from '../../../src/daemon/runtimes/unpack.ts';
import { walkTree } from '../../../src/daemon/runtimes/walk.ts';
import { tarEnd, tarHeader, tarPadding } from '../../../src/shared/tar-writer.ts';
import { orRefusedLater, target } from '../target.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-pack-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const pack = path.join(directory, 'pack');
const place = path.join(directory, 'target');
const limits = { maxFiles: 20, maxBytes: 100_000, reserveBytes: 0 };
const signing = openSigningKey(path.join(directory, 'key.pem'));
const trust = { keys: { signing, trusted: [] }, requireSignatures: false };
const witness = { goOn: () => {}, tell: () => {} };

const text = Buffer.from('name: x\nversion: 1.0.0\n');
const header = {
  path: 'x/runtime.yml',
  type: 'file',
  uid: 0,
  gid: 0,
  time: 0,
  target: '',
} as const;
const tar = Buffer.concat([
  tarHeader({ ...header, mode: 0o644, size: text.length }),
  text,
  tarPadding(text.length),
  tarHeader({ ...header, path: 'x/isolated/a', type: 'link', mode: 0o777, size: 0, target: '/b' }),
  tarEnd(),
]);

/** A zip file by a program that has written more of them than ours. */
function zipSample(): Buffer {
  mkdirSync(path.join(directory, 'x/isolated'), { recursive: true });
  writeFileSync(path.join(directory, 'x/runtime.yml'), text);
  writeFileSync(path.join(directory, 'x/isolated/a'), 'aaaaaaaaaaaaaaaaaaaaaaaaaaa');
  const script = "import shutil,sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2], 'x')";
  execFileSync('python3', ['-c', script, path.join(directory, 'sample'), directory]);
  rmSync(path.join(directory, 'x'), { recursive: true });
  return readFileSync(path.join(directory, 'sample.zip'));
}

export default target({
  maxBytes: 8192,
  seeds: [tar, zstdCompressSync(tar), zipSample()],
  words: ['../', '/etc/passwd', 'PK\u0001\u0002', 'PK\u0003\u0004', 'PK\u0005\u0006', 'ustar\0'],
  async run(input) {
    writeFileSync(pack, input);
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    const kinds = ['invalid', 'exhausted', 'denied'] as const;
    const order = { pack, target: place, limits, trust };
    const done = await orRefusedLater(() => unpack(order, witness), ...kinds);
    const found = walkTree(place, limits.maxFiles + 10);
    const bytes = found.reduce((sum, { stats }) => sum + (stats.isFile() ? stats.size : 0), 0);
    assert.ok(bytes <= limits.maxBytes);
    for (const { stats } of found) {
      assert.ok(stats.isFile() || stats.isDirectory() || stats.isSymbolicLink());
      if (!stats.isSymbolicLink()) assert.equal(stats.mode & 0o6000, 0);
    }
    if (done !== undefined) assert.ok(`${done.tree}/`.startsWith(`${place}/`));
    const known = ['key.pem', 'pack', 'sample.zip', 'target'];
    assert.deepEqual(readdirSync(directory).toSorted(), known);
  },
});
