// Volumes on a host whose disk is xfs with quotas of projects: directories of it, with the same promises as
// those that are images elsewhere. Such a kernel is in the guest (./dev vm), and other disks anywhere.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  createVolume,
  inspectVolume,
  removeVolume,
  resizeVolume,
  sendJobInput,
} from '../src/client/methods.ts';
import { LAUNCH_BINARY } from '../src/daemon/linux/launch-binary.ts';
import { hasRoomForProjects } from '../src/daemon/linux/project-quota.ts';
import { Disk, type FileSystem } from './disk.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start } from './job-calls.ts';

const MB = 2 ** 20;

function cannotLimit(): string | false {
  if (existsSync('/sys/fs/cgroup/cgroup.controllers') === false) {
    return 'volumes are images on a host with cgroup v1';
  }
  if (spawnSync('mkfs.xfs', ['-V']).error !== undefined) return 'there is no mkfs.xfs';
  const quotas = spawnSync('grep', ['-q', '^xfs ', '/proc/modules']);
  return quotas.status === 0 ? false : 'this kernel has no xfs of which quotas are known';
}

const skip = cannotRun() || cannotLimit();

/** A script that writes until it may not, and says how many bytes that were. */
const fill = (file: string) =>
  `dd if=/dev/zero of=${file} bs=64k 2>&1 | grep -o "No space left on device"; stat -c %s ${file}; rm ${file}`;

/** Says which project a directory is, after making it one that what comes into being in it belongs to. */
const PROJECT = `
import fcntl, os, struct, sys
file = os.open(sys.argv[1], os.O_RDONLY)
fields = list(struct.unpack('7I', fcntl.ioctl(file, 0x801c581f, bytes(28))))
if len(sys.argv) > 2:
    fields[0] |= 0x200
    fields[3] = int(sys.argv[2])
    fcntl.ioctl(file, 0x401c5820, struct.pack('7I', *fields))
print(fields[3])
`;

function projectOf(directory: string, ...wanted: readonly string[]): number {
  const said = execFileSync('python3', ['-c', PROJECT, directory, ...wanted], { encoding: 'utf8' });
  return Number(said);
}

async function sh(daemon: Daemon, script: string, volume = 'data'): Promise<string> {
  const { job, stdout, stderr } = await finish(
    daemon.as('developer'),
    shell(script, { volumes: [volume] }),
  );
  assert.equal(job.exitCode, 0, stderr + job.message);
  return stdout;
}

/** Whether volumes on a new disk would be projects, and whether quotas of projects hold there at all. */
async function judge(t: TestContext, type: FileSystem, options: string): Promise<boolean[]> {
  const disk = new Disk(320, type, options);
  t.after(() => disk.remove());
  const folder = path.join(disk.directory, 'a/b');
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync(LAUNCH_BINARY, ['quota', 'limit', folder, '1000000', '100']);
  return [await hasRoomForProjects(disk.directory), status === 0];
}

test(
  'a disk without quotas of projects has no room for volumes by quota',
  {
    skip: cannotRun(),
  },
  async (t) => assert.deepEqual(await judge(t, 'ext4', 'rw'), [false, false]),
);

test('nor has one of xfs that was mounted without them, or of ext4, of which a full one would say EDQUOT', {
  skip,
}, async (t) => {
  assert.deepEqual(await judge(t, 'xfs', 'prjquota'), [true, true]);
  assert.deepEqual(await judge(t, 'xfs', 'noquota'), [false, false]);
  assert.deepEqual(await judge(t, 'ext4 with projects', 'prjquota'), [false, true]);
});

test('a volume is a directory with a quota where the disk has them, and keeps the same promises', {
  skip,
}, async (t) => {
  const disk = new Disk(512, 'xfs', 'prjquota');
  t.after(() => disk.remove());
  const usedMb = () =>
    Number(
      execFileSync('df', ['-B1M', '--output=used', disk.directory], { encoding: 'utf8' }).split(
        '\n',
      )[1],
    );
  const before = usedMb();
  const base = disk.directory;
  // Whoever runs the host may have made a project of it all.
  projectOf(base, '7');
  const daemon = await startDaemon({ volumes: { base_path: base } });
  t.after(() => daemon.stop());
  const admin = () => daemon.as('admin');
  await admin().unary(createVolume, { name: 'data', size: '20MB' });
  await admin().unary(createVolume, { name: 'other', size: '40MB' });
  assert.equal(existsSync(path.join(base, 'data/volume.img')), false);
  const projects = ['.', 'data/files', 'other/files'].map((at) => projectOf(path.join(base, at)));
  assert.equal(new Set(projects).size, 3, projects.join());
  // Each has its own size, within a twentieth, by bytes and by files.
  for (const [volume, bytes] of [
    ['data', 20 * MB],
    ['other', 40 * MB],
  ] as const) {
    const [said, held] = (await sh(daemon, fill(`/volumes/${volume}/f`), volume)).split('\n');
    assert.equal(said, 'No space left on device');
    assert.ok(Math.abs(Number(held) - bytes) <= bytes / 20, `${volume} held ${held} bytes`);
  }
  const room = 'df -B1M --output=size,itotal /volumes/data | tail -1';
  assert.deepEqual((await sh(daemon, room)).trim().split(/ +/), ['20', '16384']);
  // What it reads of where that lies is no path of the daemon's.
  const place = 'grep " /volumes/data " /proc/self/mountinfo | cut -d" " -f4';
  assert.equal(await sh(daemon, place), '/data/files\n');
  // A job can neither leave its project nor take what is in it elsewhere uncounted.
  const leaving = 'cd /volumes/data; mkdir d; chattr -p 0 d 2>/dev/null || echo refused; rmdir d';
  assert.equal(await sh(daemon, leaving), 'refused\n');

  await t.test('it grows and shrinks while a job writes to it', async () => {
    const api = daemon.as('developer');
    const writer = await start(
      api,
      shell(`echo ready; read line; ${fill('/volumes/data/f')}`, {
        volumes: ['data'],
        stdin: true,
      }),
    );
    await printed(api, writer, 'ready');
    await admin().unary(resizeVolume, { name: 'data', size: '60MB' });
    await api.clientStream(sendJobInput, [{ uuid: writer, data: Buffer.from('go\n'), end: true }]);
    const held = Number((await ended(api, writer)).stdout.split('\n')[2]);
    assert.ok(Math.abs(held - 60 * MB) <= 3 * MB, `it held ${held} bytes`);
    await admin().unary(resizeVolume, { name: 'data', size: '10MB' });
    const shrunk = Number((await sh(daemon, fill('/volumes/data/f'))).split('\n')[1]);
    assert.ok(Math.abs(shrunk - 10 * MB) <= MB / 2, `it held ${shrunk} bytes`);
    await sh(daemon, 'head -c 6M /dev/zero >/volumes/data/f');
    await assert.rejects(admin().unary(resizeVolume, { name: 'data', size: '2MB' }), {
      kind: 'wrong-state',
    });
  });

  await t.test(
    'it outlives the daemon, and no job uses it while its quota is not in force',
    async () => {
      await sh(daemon, 'echo kept >/volumes/data/kept');
      await daemon.end();
      disk.unmount();
      disk.mount('noquota');
      await daemon.restart();
      const lost = await finish(daemon.as('developer'), shell('true', { volumes: ['data'] }));
      assert.match(lost.job.message, /volume data cannot be mounted: quotas of projects/);
      disk.unmount();
      disk.mount('prjquota');
      assert.equal(await sh(daemon, 'cat /volumes/data/kept'), 'kept\n');
    },
  );

  await t.test('it is removed with what is in it, and its room is free', async () => {
    const { usedBytes } = await daemon.as('viewer').unary(inspectVolume, { name: 'data' });
    assert.ok(Number(usedBytes) > 6 * MB && Number(usedBytes) < 7 * MB, `${usedBytes} used`);
    for (const name of ['data', 'other']) await admin().unary(removeVolume, { name });
    assert.equal(existsSync(path.join(base, 'data')), false);
    const left = usedMb() - before;
    assert.ok(left < 5, `${left} MB are used yet`);
  });
});
