// Jobs in runtimes, as a user sees them and as a process inside does. The runtimes are small trees made
// by hand; see runtime-tree.ts. (S0-39, S1-2, S1-4, S1-5, S1-17)

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import {
  cancelJob,
  createVolume,
  getJobStatus,
  queryJobs,
  runJob,
  sendJobInput,
  stopJob,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, shell, start, statusOf } from './job-calls.ts';
import { cannotMakeTree, describeRuntime, makeRuntime, makeTree } from './runtime-tree.ts';

const skip = cannotRun() || cannotMakeTree();

let daemon: Daemon;
let api: Connection;
let runtimes: string;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  api = daemon.as('admin');
  runtimes = path.join(daemon.directory, 'runtimes');
  makeRuntime(path.join(runtimes, 'small-1.0'), { name: 'small-1.0', version: '1.0.0' });
});

after(async () => {
  await daemon?.stop();
});

const inside = (script: string, more: JobRequest = {}): JobRequest =>
  shell(script, { runtime: 'small-1.0', ...more });

/** What a script prints in the small runtime, line by line. */
async function linesOf(script: string, more: JobRequest = {}): Promise<string[]> {
  const { job, stdout, stderr } = await finish(api, inside(script, more));
  assert.equal(job.exitCode, 0, `${job.message} ${stderr}`);
  return stdout.trimEnd().split('\n');
}

/** A program that prints one word, in the tree of a runtime. */
function putTool(folder: string, word: string): void {
  const file = path.join(folder, 'isolated/usr/bin/tool');
  writeFileSync(file, `#!/bin/sh\necho ${word}\n`, { mode: 0o755 });
}

function makeVersion(name: string, version: string): void {
  putTool(makeRuntime(path.join(runtimes, name, version), { name, version }), version);
}

describe('a job in a runtime', { skip }, () => {
  test('S0-44 S1-3 sees the tree, read-only, and nothing of the host', async () => {
    const canary = '/usr/bin/joblet-canary';
    writeFileSync(canary, 'of the host');
    try {
      const look = `echo $(ls /); ls ${canary} 2>&1; cat /etc/os-release`;
      assert.deepEqual(await linesOf(look), [
        'bin dev etc proc run sys tmp usr var volumes work',
        `ls: ${canary}: No such file or directory`,
        'ID=small',
      ]);
    } finally {
      rmSync(canary);
    }
    const { stdout, stderr } = await finish(
      api,
      inside('for d in / /usr /usr/bin /etc /var /run; do touch $d/x; done; rm /bin/cat; echo $?'),
    );
    assert.equal(stdout, '1\n');
    assert.equal(stderr.match(/Read-only file system/g)?.length, 7, stderr);
  });

  test('has an /etc of the tree, with what is the job’s own in it', async () => {
    const look =
      'head -1 /etc/hosts; cat /etc/hostname; head -1 /etc/passwd; readlink /etc/resolv.conf; id -u';
    const [hosts = '', hostname = '', ...rest] = await linesOf(look);
    assert.match(hosts, /^127\.0\.0\.1 localhost job-[0-9a-f]{8}$/);
    assert.match(hostname, /^job-[0-9a-f]{8}$/);
    assert.deepEqual(rest, ['root:x:0:0:root:/work:/bin/sh', '/run/resolv.conf', '0']);
  });

  test('has /work as its home also for those who ask the tree’s list of users', async () => {
    const folder = path.join(runtimes, 'users');
    makeRuntime(folder, { name: 'users', version: '1' });
    const users = 'root:*:0:0:root:/root:/bin/bash\nredis:x:100:100::/var/lib/redis:/bin/false\n';
    writeFileSync(path.join(folder, 'isolated/etc/passwd'), users);
    assert.deepEqual(await linesOf('cat /etc/passwd; echo ~root', { runtime: 'users' }), [
      'root:*:0:0:root:/work:/bin/bash',
      'redis:x:100:100::/var/lib/redis:/bin/false',
      '/work',
    ]);
  });

  test('names the runtime in its status, with the version', async () => {
    const { job } = await finish(api, inside('true'));
    assert.equal(job.runtime, 'small-1.0@1.0.0');
  });

  test('is held as every job is, and the kernel confirms it', async () => {
    const uuid = await start(api, inside('sleep 600'));
    const { posture } = await api.unary(getJobStatus, { uuid, posture: true });
    assert.equal(posture?.root, 'small-1.0@1.0.0');
    assert.deepEqual(posture.readOnly, ['/bin', '/etc', '/usr', '/var']);
    assert.deepEqual(posture.kernel?.deviations, []);
    assert.ok(posture.kernel.confirmed.includes('read-only root'));
    await api.unary(stopJob, { uuid, force: true });
  });

  test('S0-56 whose runtime is unknown is refused before anything of it exists', async () => {
    const known = async () => (await api.unary(queryJobs, { limit: 1000 })).jobs.length;
    const before = await known();
    await assert.rejects(
      api.unary(runJob, inside('true', { runtime: 'smal-1.0' })),
      /runtime not found: smal-1\.0 \(did you mean small-1\.0\?\)/,
    );
    await assert.rejects(
      api.unary(runJob, inside('true', { runtime: '../small-1.0' })),
      /runtime: "\.\.\/small-1\.0" must start with/,
    );
    assert.equal(await known(), before);
  });

  test('S2-20 starts a program of its work directory, and writes there', async () => {
    const content = Buffer.from('#!/bin/sh\necho up > here; cat here\n');
    const uploads = [{ path: 'service', content, mode: 0o755 }];
    const { stdout } = await finish(api, { command: './service', runtime: 'small-1.0', uploads });
    assert.equal(stdout, 'up\n');
  });

  test('S0-43 S0-51 has the variables of the runtime, and the user’s go before', async () => {
    makeRuntime(path.join(runtimes, 'variables'), {
      name: 'variables',
      version: '1',
      environment: { PYTHON_HOME: '/usr/local', PATH_PREPEND: '/opt/bin', LANG: 'C', COUNT: 1 },
    });
    makeRuntime(path.join(runtimes, 'own-path'), {
      name: 'own-path',
      version: '1',
      environment: { PATH: '/usr/bin', PATH_PREPEND: '/opt/bin' },
    });
    const show = 'echo $PATH $PYTHON_HOME $LANG $COUNT $HOME $TOKEN $PATH_PREPEND';
    const shown = await linesOf(show, {
      runtime: 'variables',
      environment: { COUNT: '2' },
      secretEnvironment: { TOKEN: 't' },
    });
    const search = '/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    assert.deepEqual(shown, [`${search} /usr/local C 2 /work t`]);
    assert.deepEqual(await linesOf('echo $PATH', { runtime: 'own-path' }), ['/opt/bin:/usr/bin']);
  });

  // S0-42
  test('S0-41 sees what the mounts of its runtime.yml say, each at its target', async () => {
    const folder = path.join(runtimes, 'python-3.11-ml');
    const mount = (source: string, target: string) => ({
      source: `isolated/${source}`,
      target,
      readonly: true,
    });
    makeRuntime(folder, {
      name: 'python-3.11-ml',
      version: '3.11',
      mounts: [
        mount('bin', '/bin'),
        mount('lib64', '/lib64'),
        mount('usr/bin', '/usr/bin'),
        mount('usr/lib', '/usr/lib'),
        mount('usr/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu'),
        mount('etc/ssl', '/etc/ssl'),
        mount('usr/lib/python3/dist-packages', '/usr/local/lib/python3.11/site-packages'),
        mount('usr/local/bin', '/usr/local/bin'),
      ],
      environment: { PYTHONPATH: '/usr/local/lib/python3.11/site-packages' },
    });
    const packages = path.join(folder, 'isolated/usr/lib/python3/dist-packages');
    mkdirSync(packages, { recursive: true });
    writeFileSync(path.join(packages, 'numpy.py'), 'here = True\n');
    const look = 'cat $PYTHONPATH/numpy.py; echo $(ls / /usr /etc); test -L /bin; echo $?';
    assert.deepEqual(await linesOf(look, { runtime: 'python:3.11-ml' }), [
      'here = True',
      '/: bin dev etc proc run sys tmp usr var volumes work ' +
        '/etc: group hostname hosts machine-id mtab nsswitch.conf passwd resolv.conf shells ' +
        '/usr: bin lib local',
      '1',
    ]);
  });

  test('S0-51 sees of a managed runtime the programs that it selects', async () => {
    const folder = path.join(runtimes, 'shells/shell-1-custom');
    makeTree(path.join(folder, 'whole'));
    mkdirSync(path.join(folder, 'lib'));
    symlinkSync('whole/usr/bin', path.join(folder, 'bin'));
    describeRuntime(folder, {
      name: 'shell-1-custom',
      type: 'managed',
      version: '1.0.0',
      mounts: [
        { source: 'bin', target: '/usr/local/bin', selective: ['busybox', 'no-such-program'] },
        { source: 'lib', target: '/usr/local/lib', readonly: true },
      ],
      environment: { PATH_PREPEND: '/usr/local/bin' },
    });
    const command = { command: 'busybox', args: ['ls', '-R', '/usr'], runtime: 'shell-1-custom' };
    const { stdout } = await finish(api, command);
    assert.equal(
      stdout.replaceAll(/\n+/g, ' ').trim(),
      '/usr: local /usr/local: bin lib /usr/local/bin: busybox /usr/local/lib:',
    );
  });

  test('is led out of the tree by no link', async () => {
    const folder = path.join(runtimes, 'links');
    makeRuntime(folder, {
      name: 'links',
      version: '1',
      mounts: [
        { source: 'isolated/usr', target: '/usr' },
        { source: 'isolated/out', target: '/out' },
        { source: 'isolated/up', target: '/up' },
      ],
    });
    symlinkSync('/etc', path.join(folder, 'isolated/out'));
    symlinkSync('../../../../../../etc', path.join(folder, 'isolated/up'));
    const args = ['ls', '/out', '/up'];
    const request = { command: '/usr/bin/busybox', args, runtime: 'links' };
    // Both are the /etc of the tree.
    const { stdout } = await finish(api, request);
    assert.equal(stdout, '/out:\nos-release\n\n/up:\nos-release\n');
  });

  test('S0-34 S0-35 has its limits and volumes as any other job', async () => {
    await api.unary(createVolume, { name: 'datasets', size: '16MB', type: 'memory' });
    const limit = 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes';
    const lines = await linesOf(
      `${limit} 2>/dev/null; echo kept > /volumes/datasets/file; cat /volumes/datasets/file`,
      { maxMemory: 64, maxCpu: 50, cpuCores: '0', volumes: ['datasets'] },
    );
    assert.deepEqual(lines, [String(64 * 2 ** 20), 'kept']);
  });

  test('S0-51 finds what its installer has kept, where the node has the volume for that', async () => {
    makeRuntime(path.join(runtimes, 'installs'), {
      name: 'installs',
      version: '1',
      package_manager: { type: 'pip', cache_volume: 'pip-cache' },
    });
    const runtime = 'installs';
    assert.deepEqual(await linesOf('echo "<$PIP_CACHE_DIR>"', { runtime }), ['<>']);
    await api.unary(createVolume, { name: 'pip-cache', size: '16MB', type: 'memory' });
    await linesOf('echo wheel > $PIP_CACHE_DIR/package', { runtime });
    const again = await linesOf('echo $PIP_CACHE_DIR; cat /volumes/pip-cache/package', { runtime });
    assert.deepEqual(again, ['/volumes/pip-cache', 'wheel']);
    const elsewhere = { runtime, volumes: ['pip-cache:/elsewhere:ro'] };
    assert.deepEqual(await linesOf('cat /elsewhere/package; ls /volumes', elsewhere), ['wheel']);
  });

  test('S0-44 gains nothing by what somebody has put into its tree', async () => {
    const folder = makeRuntime(path.join(runtimes, 'bait'), { name: 'bait', version: '1' });
    const tree = path.join(folder, 'isolated');
    execFileSync('mknod', [path.join(tree, 'usr/memory'), 'c', '1', '1']);
    execFileSync('mknod', [path.join(tree, 'usr/hidden'), 'c', '0', '0']);
    execFileSync('chmod', ['6755', path.join(tree, 'usr/bin/busybox')]);
    symlinkSync('/proc/1/root', path.join(tree, 'usr/root'));
    const script =
      'head -c 1 /usr/memory; ls /usr/hidden; cd /usr/root && pwd; grep -E "^(CapPrm|CapEff)" /proc/self/status';
    const { stdout, stderr } = await finish(api, inside(script, { runtime: 'bait' }));
    assert.equal(stdout, 'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n');
    assert.match(stderr, /\/usr\/memory: Permission denied\n.*\/usr\/hidden: No such file/);
    assert.match(stderr, /can't cd to \/usr\/root/);
  });

  test('is refused where its memory is less than the runtime needs', async () => {
    makeRuntime(path.join(runtimes, 'big'), {
      name: 'big',
      version: '1',
      requirements: { min_memory: '256MB' },
    });
    await assert.rejects(
      api.unary(runJob, inside('true', { runtime: 'big', maxMemory: 128 })),
      /max_memory: is 128 MB, and big@1 needs at least 256 MB/,
    );
    const { job } = await finish(api, inside('true', { runtime: 'big', maxMemory: 256 }));
    assert.equal(job.exitCode, 0);
  });

  test('is refused where the runtime has not what its runtime.yml says', async () => {
    makeRuntime(path.join(runtimes, 'hollow'), {
      name: 'hollow',
      version: '1',
      mounts: [{ source: 'isolated/opt/java', target: '/opt/java' }],
    });
    await assert.rejects(
      api.unary(runJob, inside('true', { runtime: 'hollow' })),
      /hollow@1 cannot be used: mounts\[0\]\.source isolated\/opt\/java of its runtime\.yml is not/,
    );
  });
});

describe('a runtime', { skip }, () => {
  test('that changes is seen by the next job as it is then, and a running one keeps its own', async () => {
    const folder = path.join(runtimes, 'changing');
    const keys = { name: 'changing', version: '1' };
    putTool(makeRuntime(folder, keys), 'old');
    const script = 'tool; read x; tool';
    const running = await start(api, inside(script, { runtime: 'changing', stdin: true }));
    await printed(api, running, 'old');
    renameSync(folder, path.join(runtimes, '.old'));
    putTool(makeRuntime(folder, keys), 'new');
    assert.deepEqual(await linesOf('tool', { runtime: 'changing' }), ['new']);
    await api.unary(sendJobInput, { uuid: running, data: Buffer.from('\n'), end: true });
    assert.equal((await ended(api, running)).stdout, 'old\nold\n');
    rmSync(path.join(folder, 'isolated/usr'), { recursive: true });
    makeTree(path.join(folder, 'again'));
    renameSync(path.join(folder, 'again/usr'), path.join(folder, 'isolated/usr'));
    putTool(folder, 'newer');
    assert.deepEqual(await linesOf('tool', { runtime: 'changing' }), ['newer']);
  });

  test('S1-12 is there in several versions side by side', async () => {
    for (const version of ['2.7.0', '3.13.0-alpha', '3.11.0']) makeVersion('two', version);
    const printedBy = async (runtime: string) => (await linesOf('tool', { runtime }))[0];
    assert.equal(await printedBy('two'), '3.11.0');
    assert.equal(await printedBy('two@2.7.0'), '2.7.0');
    assert.equal(await printedBy('two@3.13.0-alpha'), '3.13.0-alpha');
  });

  test('is the one that a job was admitted for, however long it waits, or is said to be gone', async () => {
    makeVersion('later', '1.0.0');
    const tomorrow = new Date(Date.now() + 24 * 60 * 60_000).toISOString();
    const waiting = await start(api, inside('tool', { runtime: 'later', schedule: tomorrow }));
    makeVersion('later', '2.0.0');
    assert.equal((await statusOf(api, waiting)).runtime, 'later@1.0.0');
    await api.unary(cancelJob, { uuid: waiting });

    const soon = new Date(Date.now() + 1000).toISOString();
    const lost = await start(api, inside('tool', { runtime: 'later@2.0.0', schedule: soon }));
    rmSync(path.join(runtimes, 'later/2.0.0'), { recursive: true });
    const { job } = await ended(api, lost);
    assert.equal(job.reason, 'NOT_STARTED');
    assert.match(
      job.message,
      /runtime not found: later@2\.0\.0 \(installed versions of later: 1\./,
    );
  });
});
