"""Process 1, what else is visible, and what can be done to it."""

import fcntl
import os
import signal

from finding import call, check, done, facts, refused, text, write

pids = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())
check('a handful of processes', len(pids) <= 4, pids)
own = os.getpid()
if facts.get('init', True):
    check('the command is not process 1', own != 1, own)
    check('process 1 is init', text('/proc/1/comm') == 'init\n', text('/proc/1/comm'))
    arguments = text('/proc/1/cmdline').strip('\0')
    check('init shows no arguments', arguments in ('', 'init'), arguments)
    # Nothing of what init holds: it was the launcher before.
    for name in ('environ', 'maps', 'mem', 'auxv', 'stack', 'syscall', 'io', 'smaps', 'pagemap', 'personality'):
        refused(f'reading /proc/1/{name}', lambda: text(f'/proc/1/{name}'))
    for name in ('exe', 'cwd', 'root', *(f'ns/{n}' for n in os.listdir('/proc/self/ns'))):
        refused(f'following /proc/1/{name}', lambda: os.readlink(f'/proc/1/{name}'))
    for name in ('fd', 'fdinfo', 'map_files'):
        refused(f'listing /proc/1/{name}', lambda: os.listdir(f'/proc/1/{name}'))
    for name in ('oom_score_adj', 'comm', 'clear_refs', 'coredump_filter'):
        refused(f'writing /proc/1/{name}', lambda: write(f'/proc/1/{name}', b'1'))
    PTRACE = {'x86_64': 101, 'aarch64': 117}[os.uname().machine]
    refused('attaching to init', lambda: call(PTRACE, 16, 1, 0, 0), 'EPERM')
    refused('seizing init', lambda: call(PTRACE, 0x4206, 1, 0, 0), 'EPERM')
    # Init cannot be ended from inside, only asked: SIGKILL and SIGSTOP do not reach it.
    os.kill(1, signal.SIGKILL)
    os.kill(1, signal.SIGSTOP)
    check('init lives', text('/proc/1/comm') == 'init\n')
    # Init passes on what asks the job to do something: here back to the one who asked.
    passed_on = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    for number in passed_on:
        os.kill(1, number)
        came = signal.sigwait(passed_on)
        check(f'init passes on {signal.Signals(number).name}', came == number, came)
    # What loses its parent becomes init's child.
    up, down = os.pipe(), os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.read(up[0], 1)  # until the parent is gone
            os.write(down[1], f'{os.getpid()} {os.getppid()}'.encode())
            os._exit(0)
        os._exit(0)
    os.close(down[1])
    os.wait()
    os.write(up[1], b'x')
    orphan, adopter = map(int, os.read(down[0], 64).split())
    check('init adopts orphans', adopter == 1, adopter)

# Nobody outside can be named.
for pid in facts.get('hostPids', []):
    if pid in pids:
        continue
    refused(f'a signal to process {pid} of the host', lambda: os.kill(pid, 0), 'ESRCH')
    refused(f'/proc/{pid} of the host', lambda: os.stat(f'/proc/{pid}'), 'ENOENT')
refused('a signal to a group of the host', lambda: os.killpg(facts.get('hostPids', [4194303])[0], 0))

parent = text('/proc/self/stat').rsplit(')', 1)[1].split()[1]
check('the parent is inside', parent in ('0', '1') or not facts.get('direct', True), parent)

# Every namespace is the job's own.
for name, inode in facts.get('namespaces', {}).items():
    mine = os.stat(f'/proc/self/ns/{name}').st_ino
    check(f'a {name} namespace of its own', mine != inode, mine)

# From a namespace one could ask for its owner or its parent, which lie outside.
NS_GET_USERNS, NS_GET_PARENT = 0xB701, 0xB702
for name in ('mnt', 'net', 'pid', 'uts', 'ipc', 'cgroup', 'user'):
    for word, request in (('owner', NS_GET_USERNS), ('parent', NS_GET_PARENT)):
        def ask():
            file = os.open(f'/proc/self/ns/{name}', os.O_RDONLY)
            return fcntl.ioctl(file, request)

        refused(f'the {word} of the {name} namespace', ask, 'EPERM', 'EINVAL', 'ENOTTY')

# Mount namespaces of the host can be walked on new kernels.
for word, request in (('next', 0x8010B70B), ('previous', 0x8010B70C)):
    def walk():
        file = os.open('/proc/self/ns/mnt', os.O_RDONLY)
        return fcntl.ioctl(file, request, bytes(16))

    refused(f'the {word} mount namespace', walk)
done()
