// "Inside a job": for each line of that promise programs that try to break it, run as jobs of a real
// daemon. A probe prints what it should not have got as `LEAK: ...`, and how much it tried. What only
// the host can see of a job is looked at from here.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { getJobStatus, sendJobInput, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { NESTED, type Probe, type Probing, probes, startProbing } from './inside-probes.ts';
import { ended, finish, printed, shell, start } from './job-calls.ts';
import { cannotBringPython } from './portable-python.ts';
import { buildProbe, cannotBuildProbes } from './probe-build.ts';
import { cannotMakeTree, makeRuntime } from './runtime-tree.ts';
import { processesBelow } from './snapshot.ts';

const skip = cannotRun();
const noProbes = skip || cannotBuildProbes();

/** Those that look at files, at who they are, and at what of the host is in reach. */
const inRuntimes = [
  'privileges.py',
  'filesystem.py',
  'kernel_files.py',
  'devices.py',
  'outside.py',
  'identity.py',
] as const;
const noRuntime = cannotMakeTree() || cannotBringPython();

let daemon: Daemon;
let api: Connection;
let probing: Probing;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  api = daemon.as('admin');
  probing = await startProbing(daemon);
});

after(async () => {
  probing?.stop();
  await daemon?.stop();
});

/** Makes a runtime, once; what is then the host's, and no job in it sees. */
function runtimeFacts(): Record<string, unknown> {
  const folder = path.join(daemon.directory, 'runtimes/small');
  if (!existsSync(folder)) makeRuntime(folder, { name: 'small', version: '1' });
  const others = ['/usr/sbin', '/usr/share', '/usr/include', '/usr/bin/python3', '/usr/bin/dpkg'];
  return { hostPaths: [...(probing.facts['hostPaths'] as string[]), ...others] };
}

/** Host ids of the processes of a running job, init first. */
async function hostPids(uuid: string): Promise<number[]> {
  const { posture } = await api.unary(getJobStatus, { uuid, posture: true });
  const init = posture?.kernel?.pid;
  assert.ok(init, 'the job does not run');
  return [init, ...processesBelow(init).keys()];
}

function statusOnHost(pid: number): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n');
  return new Map(lines.map((line) => line.split(':\t') as [string, string]));
}

/** First host id and number of ids of a process's user namespace. */
function idsOnHost(pid: number): { first: number; count: number } {
  const [inside, first = 0, count = 0] = readFileSync(`/proc/${pid}/uid_map`, 'utf8')
    .trim()
    .split(/ +/)
    .map(Number);
  assert.equal(inside, 0);
  return { first, count };
}

describe('inside a job (S2-4, S3-1, S4-9)', { skip }, () => {
  for (const name of Object.keys(probes).filter((each) => each !== NESTED) as Probe[]) {
    test(`${name} finds no way out`, async () => {
      await probing.run(name);
    });
  }

  for (const name of ['privileges.py', 'processes.py', 'kernel_files.py'] as const) {
    test(`${name} finds no way out as process 1`, async () => {
      await probing.run(name, { request: { noInit: true }, facts: { init: false }, least: 30 });
    });
  }

  for (const name of ['filesystem.py', 'kernel_files.py'] as const) {
    test(`${name} finds no way out of a work directory on disk`, async (t) => {
      if (!existsSync('/dev/loop-control')) {
        t.skip('this host has no loop devices, so no work directory lies on disk');
        return;
      }
      await probing.run(name, { onDisk: true });
    });
  }

  for (const name of inRuntimes) {
    test(`S0-45 ${name} finds no way out of a runtime`, { skip: noRuntime }, async () => {
      const request = { runtime: 'small' };
      await probing.run(name, { request, facts: runtimeFacts(), portable: true });
    });
  }

  test('user namespaces within a job, where they are allowed, are no way out', async () => {
    const unshare = ['-U', '-r', '-m', '--propagation', 'unchanged', '/usr/bin/python3', '-B'];
    await probing.run(NESTED, {
      request: {
        command: '/usr/bin/unshare',
        args: [...unshare, `/work/${NESTED}`],
        allow: ['userns'],
      },
    });
  });

  test('the environment is exactly the defaults, what was asked for, and the secrets', async () => {
    const wished = { GREETING: 'hello = world', EMPTY: '', LINES: 'a\nb' };
    const secret = { TOKEN: 'only for the job' };
    const stdout = await probing.run('identity.py', {
      request: { environment: wished, secretEnvironment: secret },
    });
    const environment = JSON.parse(/^environment (.*)$/m.exec(stdout)?.[1] ?? '{}');
    const { HOSTNAME, ...rest } = environment as Record<string, string>;
    assert.match(HOSTNAME ?? '', /^job-[0-9a-f]{8}$/);
    assert.deepEqual(rest, {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/work',
      USER: 'root',
      LANG: 'C.UTF-8',
      ...wished,
      ...secret,
    });
  });

  test('arguments arrive byte for byte, also empty ones', async () => {
    const args = [
      '',
      ' ',
      '--',
      '-x',
      '"quoted"',
      "it's",
      '$HOME `id` *',
      'a\nb\t',
      '\\',
      'ünï→😀',
      '',
    ];
    const stdout = await probing.run('identity.py', { args });
    assert.deepEqual(JSON.parse(/^arguments (.*)$/m.exec(stdout)?.[1] ?? '[]'), args);
  });

  test('a crash leaves no core dump', async () => {
    const script =
      'ulimit -c; ulimit -Hc; sh -c "kill -SEGV \\$\\$"; ls -A /work /tmp; kill -ABRT $$';
    const { job, stdout } = await finish(api, shell(script));
    assert.equal(stdout.replaceAll(/^\/(work|tmp):$/gm, '').trim(), '0\n0');
    assert.equal(job.signal, 6);
  });
});

describe('a running job, seen from the host (S2-31, S4-61)', { skip }, () => {
  const sleep: JobRequest = { command: '/usr/bin/sleep', args: ['600'] };

  /** Runs jobs as long as `look` looks at them. */
  async function whileRunning(
    requests: readonly JobRequest[],
    look: (uuids: readonly string[]) => Promise<void> | void,
  ): Promise<void> {
    const uuids = await Promise.all(requests.map((request) => start(api, request)));
    try {
      await look(uuids);
    } finally {
      for (const uuid of uuids) await api.unary(stopJob, { uuid, force: true });
      for (const uuid of uuids) await ended(api, uuid);
    }
  }

  test('every process of it is nobody, may do nothing, and is filtered', async () => {
    await whileRunning([sleep, { ...sleep, noInit: true }], async (uuids) => {
      for (const [at, uuid] of uuids.entries()) {
        const pids = await hostPids(uuid);
        assert.equal(pids.length, at === 0 ? 2 : 1, 'init and the command, or the command alone');
        for (const pid of pids) {
          const status = statusOnHost(pid);
          const { first, count } = idsOnHost(pid);
          assert.equal(count, 65_536);
          assert.ok(first >= 65_536, `ids start at ${first}`);
          for (const kind of ['Uid', 'Gid']) {
            assert.equal(status.get(kind), Array(4).fill(first).join('\t'), `${kind} of ${pid}`);
          }
          for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
            assert.equal(status.get(set), '0'.repeat(16), `${set} of ${pid}`);
          }
          assert.equal(status.get('NoNewPrivs'), '1');
          assert.equal(status.get('Seccomp'), '2');
          assert.equal(status.get('Groups')?.trim(), '');
        }
      }
    });
  });

  test('no two running jobs share an id or a namespace', async () => {
    await whileRunning(Array(5).fill(sleep), async (uuids) => {
      const pids = await Promise.all(uuids.map(hostPids));
      const inits = pids.map(([init]) => init ?? -1);
      const firsts = inits.map((pid) => idsOnHost(pid).first).toSorted((a, b) => a - b);
      for (const [at, first] of firsts.slice(1).entries()) {
        assert.ok(first - (firsts[at] ?? 0) >= 65_536, `${firsts}`);
      }
      for (const name of Object.keys(probing.facts['namespaces'] as Record<string, number>)) {
        const inodes = [process.pid, ...inits].map(
          (pid) => statSync(`/proc/${pid}/ns/${name}`).ino,
        );
        assert.equal(new Set(inodes).size, inodes.length, `${name}: ${inodes}`);
      }
    });
  });

  test('it sees other jobs neither as processes nor as files nor by any socket', async () => {
    const serve = `import os, socket, sys
for name in ('\\0joblet-neighbour', '/tmp/neighbour'):
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    globals()[name] = server
tcp = socket.create_server(('127.0.0.1', 47001))
open('/dev/shm/neighbour', 'w').close()
print('serving', flush=True)
sys.stdin.read()`;
    const look = `import os, socket
for family, where in ((socket.AF_UNIX, '\\0joblet-neighbour'), (socket.AF_UNIX, '/tmp/neighbour'), (socket.AF_INET, ('127.0.0.1', 47001))):
    try:
        socket.socket(family).connect(where)
        print('reached', where)
    except OSError as error:
        print(error.strerror)
print(os.listdir('/dev/shm'), os.listdir('/tmp'), len([n for n in os.listdir('/proc') if n.isdigit()]))`;
    const program = (text: string): JobRequest => ({
      command: '/usr/bin/python3',
      args: ['-c', text],
    });
    await whileRunning([{ ...program(serve), stdin: true }], async ([uuid = '']) => {
      await printed(api, uuid, 'serving');
      const { stdout } = await finish(api, program(look));
      const refused = ['Connection refused', 'No such file or directory', 'Connection refused'];
      assert.deepEqual(stdout.trim().split('\n'), [...refused, '[] [] 2']);
    });
  });

  test('what is open for a job is in its status', async () => {
    const { job } = await finish(api, { command: '/bin/true', allow: ['ptrace', 'userns'] });
    assert.deepEqual(job.allow, ['ptrace', 'userns']);
    assert.deepEqual((await finish(api, { command: '/bin/true' })).job.allow, []);
  });
});

test('mounts of the host are not seen, neither earlier nor later ones', { skip }, async (t) => {
  // Below /tmp or /run the job's own would cover it.
  const shown = mkdtempSync('/var/joblet-shown-');
  for (const name of ['earlier', 'later', 'none']) {
    mkdirSync(path.join(shown, name));
    writeFileSync(path.join(shown, name, 'below'), '');
  }
  const mounted: string[] = [];
  const mount = (options: readonly string[], target: string): void => {
    execFileSync('mount', [...options, target]);
    mounted.unshift(target);
  };
  t.after(() => {
    for (const target of mounted) execFileSync('umount', [target]);
    rmSync(shown, { recursive: true });
  });
  // Shared, as systemd makes everything: what is mounted below reaches whoever is in the group.
  mount(['--bind', shown], shown);
  execFileSync('mount', ['--make-shared', shown]);
  mount(['-t', 'tmpfs', 'none'], path.join(shown, 'earlier'));

  const other = await startDaemon({
    filesystem: { allowedMounts: ['/usr', '/bin', '/lib', '/lib64', shown] },
  });
  t.after(() => other.stop());
  const look = `ls -A ${shown}/*; grep -c ${shown} /proc/self/mountinfo`;
  const script = `echo ready; read -r line; ${look}`;
  const operator = other.as('operator');
  const uuid = await start(operator, shell(script, { stdin: true }));
  await printed(operator, uuid, 'ready');
  mount(['-t', 'tmpfs', 'none'], path.join(shown, 'later'));
  await operator.unary(sendJobInput, { uuid, data: Buffer.from('\n'), end: true });
  const { stdout } = await ended(operator, uuid);
  const listing = ['earlier', 'later', 'none'].map((name) => `${shown}/${name}:\nbelow\n`);
  assert.equal(stdout, `ready\n${listing.join('\n')}1\n`);
});

describe('refused system calls', { skip: noProbes }, () => {
  let probe: Uint8Array;

  before(() => {
    probe = readFileSync(buildProbe('syscalls'));
  });

  /** Names of the calls that the kernel looked at, and how many calls were made. */
  async function reachedBy(request: JobRequest): Promise<{ names: string[]; tried: number }> {
    const { stdout, stderr } = await finish(api, {
      command: '/work/syscalls',
      uploads: [{ path: 'syscalls', content: probe, mode: 0o755 }],
      ...request,
    });
    const [, count, tried] = /^reached (\d+) of (\d+)$/m.exec(stdout) ?? [];
    const lines = stdout
      .trim()
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' '));
    const refused = ['EPERM', 'EACCES', 'ENOSYS', 'SIGSYS', 'no-convention', 'pretended'];
    const reached = lines.filter(([, , result = '']) => !refused.includes(result));
    assert.equal(reached.length, Number(count), stderr);
    return {
      names: [...new Set(reached.map(([name = '']) => name))].toSorted(),
      tried: Number(tried),
    };
  }

  for (const [what, request] of [
    ['', {}],
    [' as process 1', { noInit: true }],
  ] as const) {
    test(`none is reached in any calling convention${what}`, async () => {
      const { names, tried } = await reachedBy(request);
      assert.deepEqual(names, []);
      assert.ok(tried > 250 || process.arch !== 'x64', `${tried} calls tried`);
    });
  }

  test('a job may be allowed to trace its own processes, and nothing else', async () => {
    const { names } = await reachedBy({ allow: ['ptrace'] });
    const tracing = ['kcmp', 'pidfd_getfd', 'process_vm_readv', 'process_vm_writev', 'ptrace'];
    assert.deepEqual(names, tracing);
  });

  test('a job may be allowed user namespaces of its own, and not what the host alone may', async () => {
    const { names } = await reachedBy({ allow: ['userns'] });
    for (const name of ['clone', 'unshare', 'setns']) assert.ok(names.includes(name), name);
    for (const name of ['ptrace', 'bpf', 'init_module', 'reboot', 'add_key', 'socket', 'mknod']) {
      assert.ok(!names.includes(name), name);
    }
    const nested = 'unshare -Ur sh -c "id -u; mount -t tmpfs none /tmp && echo mounted"';
    const { stdout, stderr } = await finish(api, shell(nested, { allow: ['userns'] }));
    assert.equal(stdout, '0\n', stderr);
  });
});
