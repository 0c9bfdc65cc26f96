// Volumes on a host that fails them: its disk fills up, and mounts disappear.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createVolume, inspectVolume, removeVolume, stopJob } from '../src/client/methods.ts';
import { Disk } from './disk.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { finish, printed, python, shell, start } from './job-calls.ts';

const skip = cannotRun();

test('a full host disk fails who writes to a volume, loses nothing that was safe, and harms nobody else', {
  skip,
}, async (t) => {
  const disk = new Disk(64);
  t.after(() => disk.remove());
  const base = path.join(disk.directory, 'volumes');
  const daemon = await startDaemon({ volumes: { base_path: base } });
  t.after(() => daemon.stop());
  const [api, admin] = [daemon.as('developer'), daemon.as('admin')];
  await admin.unary(createVolume, { name: 'thin', size: '500MB' });
  const write = (mb: number) =>
    `
import os
for n in range(${mb}):
    fd = os.open('/volumes/thin/%d' % n, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b'%d' % n * (1 << 20)); os.fsync(fd); print(n, flush=True)
`;
  const filler = path.join(disk.directory, 'filler');
  execFileSync('fallocate', ['-l', '20M', filler]);
  const filled = await finish(api, python(write(90), { volumes: ['thin'] }));
  assert.match(filled.stderr, /No space left|Input\/output error|Read-only file system/);
  const safe = filled.stdout.trim().split('\n').length;
  assert.ok(safe > 10 && safe < 44, `${safe} MB were safe with 44 MB free`);
  // Jobs without that volume run on, and the daemon answers.
  assert.equal((await finish(api, shell('echo fine'))).stdout, 'fine\n');
  assert.equal((await admin.unary(inspectVolume, { name: 'thin' })).name, 'thin');

  // What was acknowledged is there when the disk has room again, and the file system is sound.
  execFileSync('truncate', ['-s', '0', path.join(disk.directory, 'nothing')]);
  rmSync(filler);
  const read = `for n in $(seq 0 ${safe - 1}); do [ $(tr -d $n </volumes/thin/$n | wc -c) = 0 ] || echo $n; done; echo read`;
  assert.equal((await finish(api, shell(read, { volumes: ['thin'] }))).stdout, 'read\n');
  const again = await finish(api, python(write(3), { volumes: ['thin'] }));
  assert.equal(again.stdout, '0\n1\n2\n', again.stderr);
  await daemon.end();
  execFileSync('e2fsck', ['-f', '-n', path.join(base, 'thin/volume.img')], { stdio: 'pipe' });
  await daemon.restart();
  await daemon.as('admin').unary(removeVolume, { name: 'thin' });
});

test('an image that a job still has open is never mounted as a second file system', {
  skip,
}, async (t) => {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const [api, admin] = [daemon.as('developer'), daemon.as('admin')];
  await admin.unary(createVolume, { name: 'open', size: '16MB' });
  const volumes = ['open'];
  const script = 'mkfifo /volumes/open/go; echo waits; cat /volumes/open/go; cat /volumes/open/new';
  const holder = await start(api, shell(script, { volumes }));
  await printed(api, holder, 'waits');
  // As for a service with mounts of its own, which begins anew without those of the one before.
  const mounted = path.join(daemon.directory, 'volumes/open/mount');
  execFileSync('umount', ['-l', mounted]);
  const wrote = await finish(
    api,
    shell('echo same >/volumes/open/new; echo said >/volumes/open/go', { volumes }),
  );
  assert.equal(wrote.job.exitCode, 0, wrote.stderr);
  assert.equal(await printed(api, holder, 'same'), 'waits\nsaid\nsame\n');
  await admin.unary(stopJob, { uuid: holder, force: true }).catch(() => {});
  await admin.unary(removeVolume, { name: 'open' });
});
