// Volumes as jobs see them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JobRequest } from '../src/client/messages.ts';
import {
  createNetwork,
  createVolume,
  getJobStatus,
  inspectVolume,
  listVolumes,
  queryJobs,
  removeNetwork,
  removeVolume,
  resizeVolume,
  runJob,
  sendJobInput,
  stopJob,
} from '../src/client/methods.ts';
import { canGrowMounted } from '../src/daemon/linux/volume-disk.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, shell, start } from './job-calls.ts';

const skip = cannotRun();
const MB = 2 ** 20;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
});

after(async () => {
  if (skip !== false) return;
  for (const { name, jobUuids } of (await daemon.as('admin').unary(listVolumes, {})).volumes) {
    for (const uuid of jobUuids) await stop(uuid);
    await remove(name);
  }
  await daemon.stop();
});

const create = (name: string, size: string, type = '') =>
  daemon.as('operator').unary(createVolume, { name, size, type });
const remove = (name: string) => daemon.as('admin').unary(removeVolume, { name });
const stop = (uuid: string) => daemon.as('admin').unary(stopJob, { uuid, force: true });
const run = (request: JobRequest) => finish(daemon.as('developer'), request);

/** Runs a shell script with volumes, which has to end well; answers what it printed. */
async function sh(volumes: readonly string[], script: string): Promise<string> {
  const { job, stdout, stderr } = await run(shell(script, { volumes }));
  assert.equal(job.exitCode, 0, stderr + job.message);
  return stdout;
}

test('S0-13 S0-35 S2-18 S2-26 S2-30 what one job leaves in a volume the next one finds, as its own', {
  skip,
}, async () => {
  await create('data', '64MB');
  const { stdout } = await run(
    shell('ls -A /volumes/data; echo one >/volumes/data/file; stat -c "%u %g %a" /volumes/data', {
      volumes: ['data'],
      network: 'isolated',
    }),
  );
  // It was empty.
  assert.equal(stdout, '0 0 755\n');
  // Two that run at once have other ids on the host, and both own what is there.
  const holder = await start(
    daemon.as('developer'),
    shell('echo two >>/volumes/data/file; echo wrote; sleep 1000', { volumes: ['data'] }),
  );
  await printed(daemon.as('developer'), holder, 'wrote');
  const seen = await sh(
    ['data'],
    'cat /volumes/data/file; stat -c %u:%g /volumes/data/file; chmod 600 /volumes/data/file; rm /volumes/data/file',
  );
  assert.equal(seen, 'one\ntwo\n0:0\n');
  await stop(holder);
  await remove('data');
});

test('S2-40 a volume stands where the job wants it, also to be read only', { skip }, async () => {
  await create('data-volume', '16MB');
  await sh(['data-volume:/data'], 'echo 1,2 >/data/input.csv');
  assert.equal(await sh(['data-volume:/data'], 'cat /data/input.csv'), '1,2\n');
  assert.equal(await sh(['data-volume:/work/in'], 'cat in/input.csv'), '1,2\n');
  // As the work directory itself.
  assert.equal(await sh(['data-volume:/work'], 'pwd; cat input.csv'), '/work\n1,2\n');
  // Twice, once to write and once to read.
  const both = ['data-volume:/srv/deep/in:ro', 'data-volume:/out'];
  assert.equal(await sh(both, 'cp /srv/deep/in/input.csv /out/copy; cat /out/copy'), '1,2\n');
  const { stderr } = await run(
    shell('echo no >/volumes/data-volume/x; rm /volumes/data-volume/copy; exit 0', {
      volumes: ['data-volume:ro'],
    }),
  );
  assert.equal(stderr.match(/Read-only file system/g)?.length, 2);
  await remove('data-volume');
});

test('in a volume nothing is set-uid, nothing is a device, and nothing leads out', {
  skip,
}, async () => {
  await create('plain', '16MB');
  const out = await sh(
    ['plain'],
    `cd /volumes/plain
    cp /bin/sh . && chmod 4755 sh && ./sh -c 'grep -E "^(Uid|NoNewPrivs|CapEff)" /proc/self/status'
    mknod dev b 1 1 2>&1 | grep -c "not permitted"
    ls -a .. ; findmnt -no OPTIONS,FSROOT -T .`,
  );
  assert.match(out, /Uid:\t0\t0\t0\t0/);
  assert.match(out, /CapEff:\t0000000000000000/);
  assert.match(out, /NoNewPrivs:\t1/);
  assert.match(out, /^1$/m);
  assert.match(out, /\.\n\.\.\nplain\n/);
  assert.match(out, /rw,nosuid,nodev.*\/files$/m);
  assert.doesNotMatch(out, new RegExp(daemon.directory));
  await remove('plain');
});

test('a volume that is not there is named before anything starts', { skip }, async () => {
  const api = daemon.as('developer');
  await create('present', '8MB');
  const before = (await api.unary(queryJobs, { limit: 1000 })).jobs.length;
  for (const volumes of [['absent'], ['present', 'absent']]) {
    await assert.rejects(api.unary(runJob, { command: 'true', volumes }), {
      kind: 'not-found',
      message: /volume not found: absent/,
    });
  }
  await assert.rejects(api.unary(runJob, { command: 'true', volumes: ['presnet'] }), {
    message: /did you mean present\?/,
  });
  assert.equal((await api.unary(queryJobs, { limit: 1000 })).jobs.length, before);
  // Nothing holds the one that is there.
  await remove('present');
});

test('a volume is not removed while a job uses it or waits to, nor made smaller', {
  skip,
}, async () => {
  await create('busy', '8MB');
  const running = await start(daemon.as('developer'), {
    command: 'sleep',
    args: ['1000'],
    volumes: ['busy:ro'],
  });
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const scheduled = await start(daemon.as('developer'), {
    command: 'true',
    volumes: ['busy'],
    schedule: later,
  });
  for (const left of [running, scheduled]) {
    await assert.rejects(remove('busy'), {
      kind: 'wrong-state',
      message: /volume busy is in use by job .* and cannot be removed; stop or cancel them first/,
    });
    await assert.rejects(daemon.as('operator').unary(resizeVolume, { name: 'busy', size: '4MB' }), {
      kind: 'wrong-state',
      message: /in use by job/,
    });
    const { jobUuids } = await daemon.as('viewer').unary(inspectVolume, { name: 'busy' });
    assert.ok(jobUuids.includes(left));
    // A daemon that comes back knows of them.
    await daemon.kill();
    await daemon.restart();
    await daemon.as('developer').unary(stopJob, { uuid: left, force: true });
  }
  await remove('busy');
});

test('S2-9 a job that fills a volume is told so, and nobody else is', { skip }, async () => {
  await create('small', '20MB');
  await create('memory', '20MB', 'memory');
  for (const name of ['small', 'memory']) {
    const path = `/volumes/${name}`;
    const filled = await run(
      shell(`dd if=/dev/zero of=${path}/big bs=64k; stat -c %s ${path}/big; rm ${path}/big`, {
        volumes: [name],
      }),
    );
    assert.match(filled.stderr, /No space left on device/);
    const bytes = Number(filled.stdout);
    assert.ok(Math.abs(bytes - 20 * MB) <= MB, `${name} held ${bytes} bytes`);
    // Small files, holes, and two that write at once.
    const many = `cd ${path}; mkdir many; i=0; while [ $i -lt 10000 ]; do echo $i >many/$i; i=$((i+1)); done`;
    const counted = name === 'small' ? `${many}; ls many | wc -l; rm -r many` : 'echo 10000';
    assert.equal(await sh([name], counted), '10000\n');
    assert.equal(
      await sh(
        [name],
        `cd ${path}; truncate -s 1T hole; stat -c "%s %b" hole; dd if=/dev/zero of=hole bs=64k conv=notrunc 2>&1 |
         grep -o "No space left"; [ $(du -m hole | cut -f1) -le 21 ] && echo fits; rm hole`,
      ),
      `${1024 ** 4} 0\nNo space left\nfits\n`,
    );
    const writer = (file: string) =>
      run(shell(`dd if=/dev/zero of=${path}/${file} bs=64k; exit 0`, { volumes: [name] }));
    await Promise.all([writer('a'), writer('b')]);
    const together = Number(await sh([name], `cat ${path}/a ${path}/b | wc -c; rm ${path}/?`));
    assert.ok(Math.abs(together - 20 * MB) <= MB, `${name} held ${together} bytes of two writers`);
    // Killed in the middle of it.
    const killed = await start(
      daemon.as('developer'),
      shell(`echo writes; while :; do dd if=/dev/zero of=${path}/c bs=64k 2>&-; done`, {
        volumes: [name],
      }),
    );
    await printed(daemon.as('developer'), killed, 'writes');
    await stop(killed);
    assert.equal(await sh([name], `rm ${path}/c; echo fine >${path}/d; cat ${path}/d`), 'fine\n');
    await remove(name);
  }
});

test('a volume grows under a job that fills it, or its growing is refused and the job goes on', {
  skip,
}, async () => {
  const script = (path: string) =>
    `dd if=/dev/zero of=${path} bs=64k 2>&-; echo full; read line; dd if=/dev/zero of=${path} bs=64k 2>&-; stat -c %s ${path}`;
  for (const type of ['filesystem', 'memory']) {
    await create('room', '10MB', type);
    const api = daemon.as('developer');
    const path = '/volumes/room/file';
    const uuid = await start(api, shell(script(path), { volumes: ['room'], stdin: true }));
    await printed(api, uuid, 'full');
    const grown = await daemon
      .as('operator')
      .unary(resizeVolume, { name: 'room', size: '30MB' })
      .then(
        () => 30 * MB,
        (error: { kind: string; message: string }) => {
          assert.deepEqual([type, canGrowMounted()], ['filesystem', false], error.message);
          assert.equal(error.kind, 'wrong-state');
          assert.match(
            error.message,
            new RegExp(`^volume \\w+ is in use by job ${uuid} and cannot be resized here`),
          );
          return 10 * MB;
        },
      );
    await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n'), end: true }]);
    const held = Number((await ended(api, uuid)).stdout.split('\n')[1]);
    assert.ok(Math.abs(held - grown) <= grown / 20, `${type} held ${held} bytes of ${grown}`);
    await remove('room');
  }
});

test('what a job writes into a memory volume counts as its own memory while it runs', {
  skip,
}, async () => {
  await create('shared', '256MB', 'memory');
  const write = (mb: number) =>
    run(
      shell(`dd if=/dev/zero of=/volumes/shared/f bs=1M count=${mb} 2>&1`, {
        volumes: ['shared'],
        maxMemory: 64,
      }),
    );
  const { job } = await write(128);
  assert.equal(job.reason, 'OOM_KILLED');
  assert.equal((await write(32)).job.exitCode, 0);
  // Whoever reads it afterwards has not to pay for it.
  const reader = await run(
    shell('wc -c </volumes/shared/f', { volumes: ['shared'], maxMemory: 16 }),
  );
  assert.equal(reader.stdout, `${32 * MB}\n`);
  await remove('shared');
});

test('a limit of I/O holds in a volume too, and a network of its own is no hindrance', {
  skip,
}, async () => {
  const admin = daemon.as('admin');
  await create('slow', '32MB');
  await admin.unary(createNetwork, { name: 'prod', cidr: '10.213.7.0/24' });
  const write = shell('dd if=/dev/zero of=/volumes/slow/f bs=64k count=96 2>&1 | tail -1', {
    volumes: ['slow'],
    network: 'prod',
    maxIoBps: 2 * MB,
  });
  const { job, stdout } = await run(write);
  const ms = Date.parse(job.endTime) - Date.parse(job.startTime);
  // 6 MB at 2 MB a second, the first burst apart.
  assert.ok(ms > 1800, `it took ${ms} ms: ${stdout}`);
  await remove('slow');
  await admin.unary(removeNetwork, { name: 'prod' });
});

test('the volumes of a job are in its status and in its posture', { skip }, async () => {
  const api = daemon.as('developer');
  await create('shown', '16MB');
  const uuid = await start(api, {
    command: 'sleep',
    args: ['1000'],
    volumes: ['shown:/data', 'shown:/volumes/shown:ro'],
  });
  const { volumes, posture } = await api.unary(getJobStatus, { uuid, posture: true });
  assert.deepEqual(volumes, ['shown:/data', 'shown:ro']);
  assert.deepEqual(
    posture?.writable.find(({ path }) => path === '/data'),
    { path: '/data', bytes: BigInt(16 * MB), kind: 'volume' },
  );
  assert.ok(posture?.readOnly.includes('/volumes/shown'));
  assert.deepEqual(posture?.kernel?.deviations, []);
  await stop(uuid);
  await ended(api, uuid);
  await remove('shown');
});

test('jobs go on with their volumes while the daemon is away, and the next one knows them', {
  skip,
}, async () => {
  await create('kept', '16MB');
  const program = `
import os
fd = os.open('/volumes/kept/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for said in ('wrote', 'again'):
    os.write(fd, b'x\\n'); os.fsync(fd); print(said, flush=True)
    os.mkfifo('/volumes/kept/' + said)
    open('/volumes/kept/' + said).read()
`;
  const api = () => daemon.as('developer');
  const uuid = await start(api(), python(program, { volumes: ['kept'] }));
  await printed(api(), uuid, 'wrote');
  await daemon.end();
  await daemon.restart();
  // The same file system is there, not a second one of the same image.
  await sh(['kept'], ': >/volumes/kept/wrote');
  await printed(api(), uuid, 'again');
  assert.equal(
    await sh(['kept'], 'cat /volumes/kept/log; echo mark >/volumes/kept/mark'),
    'x\nx\n',
  );
  await stop(uuid);
  assert.equal(await sh(['kept'], 'cat /volumes/kept/mark'), 'mark\n');
  await remove('kept');
});
