// joblet-launch alone: what a job is, and what it is held to.
// Shows S2-31 and S4-61 (namespaces, cgroups) and S2-33 (limits hold, failures stay inside) on this level.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { LauncherWorld } from './launcher-world.ts';
import { endJob, FIRST_ID, KeeperClient, launchBinary, type Wishes } from './launching.ts';

const here = new LauncherWorld();
const { start, run } = here;

describe('joblet-launch', { skip: here.skip }, () => {
  describe('a job', () => {
    test('ends with its exit code, and its log holds each stream and the same end', async () => {
      const { end, log } = await run('echo out; echo err >&2; exit 7');
      assert.equal(end.get('how'), 'exited');
      assert.equal(end.get('code'), '7');
      assert.equal(log.stdout, 'out\n');
      assert.equal(log.stderr, 'err\n');
      assert.deepEqual(log.end, end);
      assert.equal(end.get('log-bytes'), '8');
      assert.ok(BigInt(end.get('ended-ns') ?? 0) > BigInt(end.get('started-ns') ?? 0));
    });

    test('that is killed by a signal ends with that signal', async () => {
      const { end } = await run('kill -ABRT $$');
      assert.equal(end.get('how'), 'signaled');
      assert.equal(end.get('code'), '6');
      assert.equal(end.get('cause'), undefined);
    });

    test('whose init is killed from outside has ended by that signal', async () => {
      const job = await start(['sleep', '1000']);
      process.kill(job.initPid, 'SIGKILL');
      const end = await job.ended;
      assert.deepEqual([end.get('how'), end.get('code')], ['signaled', '9']);
    });

    test('gets its arguments byte for byte, empty ones too', async () => {
      const args = ['', 'a b', '*', '$HOME', 'ü\n', '--', ''];
      const job = await start(['sh', '-c', 'for a; do printf "%s|" "$a"; done', ...args]);
      await job.ended;
      assert.equal(here.world.readLog(job.id).stdout, `${args.slice(1).join('|')}|`);
    });

    test('has exactly the environment of its plan', async () => {
      const job = await start(['env'], { env: ['A=', 'B=x=y\nz'] });
      await job.ended;
      assert.equal(
        here.world.readLog(job.id).stdout,
        'PATH=/usr/bin:/bin\nHOME=/work\nA=\nB=x=y\nz\n',
      );
    });

    test('has no capability in any set, and cannot gain one', async () => {
      const { log } = await run('grep -E "^(Cap|NoNewPrivs)" /proc/self/status');
      const none = '0'.repeat(16);
      assert.equal(
        log.stdout.replaceAll('\t', ' '),
        `CapInh: ${none}\nCapPrm: ${none}\nCapEff: ${none}\nCapBnd: ${none}\nCapAmb: ${none}\n` +
          'NoNewPrivs: 1\n',
      );
    });

    test('runs under a seccomp filter', async () => {
      const { log } = await run('grep ^Seccomp: /proc/self/status /proc/1/status');
      assert.equal(log.stdout.replaceAll('\t', ' ').match(/Seccomp: 2/g)?.length, 2);
    });

    test('has no descriptor but its three, none of them of the host', async () => {
      const { log } = await run('ls /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/1');
      assert.match(log.stdout, /^0\n1\n2\n\/dev\/null\npipe:\[\d+\]\n$/);
    });

    test('opens its standard streams by their names in /dev, each in its direction only', async () => {
      const script =
        'cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr;' +
        'for f in 0 1 2; do chmod 666 /proc/self/fd/$f; chown 0 /proc/self/fd/$f; done 2>/dev/null;' +
        'exec 9<>/dev/stdin || head -c 1 /proc/$$/fd/1 /proc/$$/fd/2 2>&1 | grep -c "Permission denied"';
      const job = await start(['bash', '-c', script], { stdin: 'pipe' });
      const keeper = await KeeperClient.connect(job.id);
      keeper.send('stdin-close');
      await job.ended;
      const { stdout, stderr } = here.world.readLog(job.id);
      assert.equal(stdout, 'out\n2\n', stderr);
      assert.match(stderr, /^err\n.*\/dev\/stdin: Permission denied\n$/);
    });

    test('is left by whoever reads its files a while after it has ended', async () => {
      const job = await start([
        'sh',
        '-c',
        'head -c 8388608 /dev/zero >big; echo there; exec sleep 1000',
      ]);
      const keeper = await KeeperClient.connect(job.id);
      assert.equal((await keeper.next())[0], 'state');
      keeper.send('watch');
      assert.equal((await keeper.next())[0], 'bell');
      const at = `job:${job.initPid}:${FIRST_ID}`;
      const most = ['10', String(2 ** 30), String(2 ** 30), '100'];
      const reader = spawn(launchBinary, ['files', 'read', at, '/work/big', ...most], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      // It has begun, and waits for somebody to read on.
      await once(reader.stdout, 'readable');
      await endJob(job.id);
      const [, signal] = (await once(reader, 'exit')) as [number | null, string];
      assert.equal(signal, 'SIGKILL');
    });

    test('sees itself as root, and is nobody in particular on the host', async () => {
      const first = FIRST_ID + 65536;
      const job = await start(['sh', '-c', 'id -u; cat; cat /proc/self/uid_map'], {
        ids: first,
        stdin: 'pipe',
      });
      const status = readFileSync(`/proc/${job.initPid}/status`, 'utf8');
      assert.match(status, new RegExp(`^Uid:\t${first}\t${first}\t${first}\t${first}$`, 'm'));
      assert.match(status, new RegExp(`^Gid:\t${first}\t${first}\t${first}\t${first}$`, 'm'));
      assert.match(status, /^Groups:\t *$/m);
      const keeper = await KeeperClient.connect(job.id);
      keeper.send('stdin-close');
      await job.ended;
      assert.match(here.world.readLog(job.id).stdout, new RegExp(`^0\n +0 +${first} +65536\n$`));
    });

    test('has namespaces of its own, all of them', async () => {
      const { log } = await run('cd /proc/self/ns && readlink mnt pid net ipc uts cgroup user');
      const names = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user'];
      const inside = log.stdout.trim().split('\n');
      assert.equal(inside.length, names.length);
      names.forEach((name, i) => {
        assert.notEqual(inside[i], readlinkSync(`/proc/self/ns/${name}`), name);
      });
    });

    test('has a tiny init as process 1 that shows nothing of itself', async () => {
      const { log } = await run(
        'cat /proc/1/comm; tr "\\0" " " </proc/1/cmdline; echo; ls /proc | grep -c "^[0-9]";' +
          'for f in exe cwd root; do readlink /proc/1/$f; done;' +
          'cat /proc/1/environ /proc/1/maps /proc/1/mem; ls /proc/1/fd',
      );
      assert.match(log.stdout, /^init\ninit *\n[2-5]\n$/);
      assert.equal(log.stderr.match(/Permission denied/g)?.length, 4 + 0);
    });

    test('whose orphans end is not burdened with them', async () => {
      const { log } = await run(
        'sh -c "sleep 0.01 & exit"; sleep 0.1; ls /proc | grep -c "^[0-9]"',
      );
      assert.ok(Number(log.stdout) <= 4, log.stdout);
    });

    test('is process 1 itself without an init', async () => {
      const { end, log } = await run('echo $$; exit 5', { noInit: true });
      assert.equal(log.stdout, '1\n');
      assert.equal(end.get('code'), '5');
    });

    test('sees only mounts of its own, none shared with anybody', async () => {
      const { log } = await run('cat /proc/self/mountinfo');
      const lines = log.stdout.trim().split('\n');
      assert.ok(lines.length > 10);
      for (const line of lines) assert.doesNotMatch(line, /shared:|master:|propagate_from:/);
      assert.doesNotMatch(log.stdout, new RegExp(here.world.directory));
      const byTarget = new Map(lines.map((line) => [line.split(' ')[4], line]));
      for (const [target = '', line] of byTarget) {
        const writable = ['/work', '/tmp', '/dev/shm', '/dev/pts', '/proc'].includes(target);
        assert.match(line.split(' ')[5] ?? '', writable ? /^rw,/ : /^ro,/, line);
        assert.match(line.split(' ')[5] ?? '', /nosuid/, line);
      }
      for (const target of ['/work', '/tmp', '/dev/shm']) {
        assert.match(byTarget.get(target) ?? '', /nosuid,nodev.*size=16384k/);
      }
    });

    test('sees of a tree what it was given, and not where that lies', async () => {
      const tree = `${here.world.directory}/tree`;
      mkdirSync(`${tree}/a/b`, { recursive: true });
      writeFileSync(`${tree}/a/b/file`, 'in the tree\n', { mode: 0o6644 });
      const wishes: Wishes = {
        root: ['tree', tree, 'bind-tree', '/a/b', '/opt/b', 'bind-tree', '/a/b/file', '/opt/file'],
      };
      const script =
        'cat /opt/b/file /opt/file; stat -c "%u %g" /opt/file; touch /opt/b/new; cat /proc/self/mountinfo';
      const { log } = await run(script, wishes);
      const [first, second, owner, ...mounts] = log.stdout.trimEnd().split('\n');
      assert.deepEqual([first, second, owner], ['in the tree', 'in the tree', '0 0']);
      assert.match(log.stderr, /Read-only file system/);
      const shown = mounts.filter((line) => line.includes(' /opt/'));
      assert.equal(shown.length, 2);
      for (const line of shown)
        assert.match(line, / ro,nosuid,nodev.* - overlay .*lowerdir=own:tree/);
      assert.ok(!log.stdout.includes(here.world.directory));
    });

    test('cannot write outside of its own directories', async () => {
      const { log } = await run(
        'for d in / /usr /etc /dev /run /var /sys /proc/sys/kernel /sys/fs/cgroup; do' +
          ' touch $d/x 2>/dev/null && echo "wrote $d"; done;' +
          'for d in /work /tmp /dev/shm; do touch $d/x || echo "no $d"; done;' +
          'echo x >/proc/sys/kernel/hostname; echo 1 >/proc/sys/vm/drop_caches',
      );
      assert.equal(log.stdout, '');
    });

    test('finds its file systems bounded', async () => {
      const { log } = await run(
        'head -c 17M /dev/zero >/work/big; stat -c %s /work/big;' +
          'cd /tmp; i=0; while [ $i -lt 1100 ] && : >f$i; do i=$((i+1)); done; echo $i',
      );
      const [size, files] = log.stdout.trim().split('\n').map(Number);
      assert.equal(size, 16 << 20);
      assert.ok((files ?? 0) < 1024);
    });

    test('has a /dev of exactly what a program needs', async () => {
      const { log } = await run(
        'ls /dev; head -c 2 /dev/urandom | wc -c; echo x >/dev/null; head -c 3 /dev/zero | wc -c;' +
          'cat /dev/zero 2>&1 >/dev/full; echo shm >/dev/shm/a;' +
          'python3 -c "import pty; pty.openpty()" && echo pty',
      );
      const [devices, results] = log.stdout.split('zero\n');
      assert.equal(
        `${devices}zero`.split('\n').join(' '),
        'fd full null ptmx pts random shm stderr stdin stdout tty urandom zero',
      );
      assert.match(results ?? '', /^2\n3\n.*No space left on device\npty\n$/);
    });

    test('finds the dangerous parts of /proc and /sys empty', async () => {
      const { log } = await run(
        'cat /proc/keys /proc/timer_list /proc/sysrq-trigger 2>/dev/null | wc -c;' +
          'for d in /proc/acpi /proc/scsi /sys/firmware /sys/kernel/debug /sys/kernel/tracing' +
          ' /sys/fs/bpf; do ls -A $d 2>/dev/null; done; head -c1 /proc/kcore 2>/dev/null | wc -c;' +
          'grep -c ^processor /proc/cpuinfo',
      );
      assert.match(log.stdout, /^0\n0\n[1-9]\d*\n$/);
    });

    test('has an identity that is not the host’s', async () => {
      const { log } = await run(
        'hostname; cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id',
      );
      assert.equal(
        log.stdout,
        `a-job\na-job\n${'ab'.repeat(16)}\n11111111-2222-4333-8444-555555555555\n`,
      );
    });

    test('does not learn what the host was booted with, nor where it swaps', async () => {
      assert.notEqual(readFileSync('/proc/cmdline', 'utf8'), '');
      const { log } = await run('cat /proc/cmdline /proc/swaps; echo read');
      assert.equal(log.stdout, 'read\n');
    });

    test('does not learn the NIS domain of the host', async () => {
      const named = 'echo example.nis >/proc/sys/kernel/domainname && exec "$@"';
      const host = await here.world.start(['unshare', '-u', 'sh', '-c', named, 'sh']);
      const job = await host.launch(here.world.plan(['cat', '/proc/sys/kernel/domainname']));
      await job.ended;
      assert.equal(here.world.readLog(job.id).stdout, '(none)\n');
    });

    test('has a network of nothing but loopback, up', async () => {
      const { log } = await run(
        'ls /sys/class/net; python3 -c "' +
          "import socket; s = socket.create_server(('127.0.0.1', 0));" +
          "c = socket.create_connection(s.getsockname()); print('connected')\"",
      );
      assert.equal(log.stdout, 'lo\nconnected\n');
    });

    test('never gets a network in which anything was sent before', async () => {
      for (let i = 0; i < 24; i++) {
        const { log } = await run(
          'tail -n +3 /proc/net/dev | tr -d " :lo0";' +
            'python3 -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);' +
            "s.sendto(b'x', ('127.0.0.1', 9))\"",
        );
        assert.equal(log.stdout, '\n');
      }
    });

    test('reads its limits where programs look for them', async () => {
      const { log } = await run(
        'cat /sys/fs/cgroup/memory.max 2>/dev/null ||' +
          ' cat /sys/fs/cgroup/memory/memory.limit_in_bytes; cut -d: -f3 /proc/self/cgroup | sort -u',
        { limits: { memoryBytes: 64 << 20 } },
      );
      assert.equal(log.stdout, `${64 << 20}\n/\n`);
    });

    test('gets files copied in, as its own and without set-uid', async () => {
      const source = `${here.world.directory}/upload`;
      execFileSync('sh', [
        '-c',
        `mkdir -p ${source}/a/b && cd ${source} &&` +
          ' echo deep >a/b/f && printf "#!/bin/sh\\necho run" >x && chmod 4755 x && : >empty',
      ]);
      const { log } = await run('cat a/b/f; ./x; stat -c "%a %u %n" * a/b/f', {
        mounts: ['copy-in', source, '/work'],
      });
      rmSync(source, { recursive: true });
      assert.equal(log.stdout, 'deep\nrun\n755 0 a\n644 0 empty\n755 0 x\n644 0 a/b/f\n');
    });

    test('writes to a bound directory as its own user', async () => {
      const source = `${here.world.directory}/volume`;
      execFileSync('sh', ['-c', `mkdir ${source} && echo host >${source}/old`]);
      const { log } = await run(
        'cat /volumes/v/old; echo new >/volumes/v/new; stat -c %u /volumes/v/*',
        {
          root: ['dir', '/volumes/v', '0755'],
          mounts: ['bind-rw', source, '/volumes/v'],
        },
      );
      const owner = execFileSync('stat', ['-c', '%u', `${source}/new`]).toString();
      rmSync(source, { recursive: true });
      assert.equal(log.stdout, 'host\n0\n0\n');
      assert.equal(owner, '0\n');
    });

    test('runs a script without an interpreter line by the shell', async () => {
      const { log } = await run('echo "echo script \\$1" >s; chmod 755 s; exec env ./s arg');
      assert.equal(log.stdout, 'script arg\n');
    });

    test('has no core dumps and only ever lowered limits', async () => {
      const { log } = await run('ulimit -c; ulimit -Hc; ulimit -n; ulimit -Hn', {
        more: ['rlimit', 'nofile', '64', '128'],
      });
      assert.equal(log.stdout, '0\n0\n64\n128\n');
    });
  });

  describe('a job that installs packages', () => {
    const kept = ['chown', 'dac-override', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid'];
    const more = [...kept, 'sys-chroot'].flatMap((name) => ['capability', name]);
    const chroot = ['allow', 'chroot'];

    test('keeps the capabilities of its plan in its own user namespace, and no other', async () => {
      const { log } = await run('grep ^Cap /proc/self/status', { more });
      const sets = [0, 0x400fb, 0x400fb, 0x400fb, 0].map((set) =>
        set.toString(16).padStart(16, '0'),
      );
      assert.deepEqual(
        log.stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.split('\t')[1]),
        sets,
      );
    });

    test('changes the root of its processes, and finds there what was bound for it', async () => {
      const wishes: Wishes = {
        root: ['dir', '/build', '0755'],
        mounts: [
          ...['tmpfs', '/build', '1048576', '64', '0755', 'dir', '/build/dev', '0755'],
          ...['dir', '/build/usr', '0755', 'bind-own', '/usr', '/build/usr'],
          ...['symlink', 'usr/lib', '/build/lib', 'symlink', 'usr/lib64', '/build/lib64'],
          ...['bind-own', '/dev', '/build/dev'],
        ],
        more: [...more, ...chroot],
      };
      const { end, log } = await run(
        '/usr/sbin/chroot /build /usr/bin/sh -c "ls /; echo x >/dev/null && test -c /dev/pts/ptmx && echo ok"',
        wishes,
      );
      assert.deepEqual([log.stderr, log.stdout], ['', 'dev\nlib\nlib64\nusr\nok\n']);
      assert.equal(end.get('code'), '0');
    });

    test('cannot mount, make namespaces or devices, or chroot unless it may', async () => {
      const tries = [
        'mount -t tmpfs x /tmp',
        'unshare -m true',
        'unshare -U true',
        'mknod /tmp/x b 7 0',
        '/usr/sbin/chroot / true',
      ];
      const script = tries.map((line) => `${line} 2>/dev/null && echo "${line}"`).join(';');
      assert.equal((await run(`${script}; true`, { more })).log.stdout, '');
      const opened = await run(`${script}; true`, { more: [...more, ...chroot] });
      assert.equal(opened.log.stdout, '/usr/sbin/chroot / true\n');
    });

    test('is in the network of the host when its plan says so', async () => {
      const { log } = await run('readlink /proc/self/ns/net', { more: ['host-net'] });
      assert.equal(log.stdout, `${readlinkSync('/proc/self/ns/net')}\n`);
    });
  });

  describe('limits', () => {
    test('a job over its memory is killed as a whole, and its end says so', async () => {
      const script =
        'sleep 1000 & python3 -c "x = bytearray(200 << 20)"; echo survived; sleep 1000';
      const { end, log } = await run(script, { limits: { memoryBytes: 48 << 20 } });
      assert.equal(end.get('how'), 'signaled');
      assert.equal(end.get('code'), '9');
      assert.ok(Number(end.get('oom-kills')) > 0);
      assert.ok(Number(end.get('memory-peak')) > 40 << 20);
      // On v1 the kernel kills one process and the keeper the rest, so a last word may get out; but
      // the job does not go on to its sleep.
      assert.ok(['', 'survived\n'].includes(log.stdout));
    });

    test('a fork bomb stays within its processes', async () => {
      const { end, log } = await run(
        'i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all',
        { limits: { processes: 16 } },
      );
      assert.notEqual(end.get('code'), '0');
      assert.equal(log.stdout, '');
      assert.match(log.stderr, /fork|Resource temporarily unavailable/);
    });

    test('the end tells processor time and memory', async () => {
      const { end } = await run('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done');
      assert.ok(Number(end.get('cpu-usec')) > 1000);
      assert.ok(Number(end.get('memory-peak')) > 100_000);
      assert.equal(end.get('oom-kills'), '0');
    });
  });
});
