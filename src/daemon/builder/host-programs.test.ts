import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { requirePrograms } from './host-programs.ts';

test('a host that cannot make Debian trees is told what to install', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'joblet-programs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['tar', 'chroot', 'gpgv', 'apt-cache']) {
    writeFileSync(path.join(folder, name), '');
  }
  assert.throws(
    () => requirePrograms([folder]),
    /this host lacks apt-get, dpkg-deb, .*; install apt, dpkg$/,
  );
  for (const name of ['apt-get', 'dpkg-deb']) writeFileSync(path.join(folder, name), '');
  requirePrograms(['/nowhere', folder]);
});
