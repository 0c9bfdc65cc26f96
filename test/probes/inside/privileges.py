"""Capabilities, no_new_privs, the filter, descriptors, ids: nothing to start from, nothing to gain."""

import ctypes
import fcntl
import glob
import os
import resource
import shutil
import stat
import subprocess

from finding import call, check, done, facts, refused, text, write

NONE = '0' * 16
status = dict(line.split(':\t', 1) for line in text('/proc/self/status').splitlines() if ':\t' in line)
for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
    check(f'{name} is empty', status[name] == NONE, status[name])
check('no_new_privs is set', status['NoNewPrivs'] == '1', status['NoNewPrivs'])
check('a filter is in force', status['Seccomp'] == '2', status['Seccomp'])
check('no further groups', status['Groups'].strip() == '', status['Groups'])
for name in ('Uid', 'Gid'):
    check(f'{name} is 0 inside', status[name].split() == ['0'] * 4, status[name])

# The file list has the descriptor of the list itself.
listed = os.listdir('/proc/self/fd')
inherited = [fd for fd in listed if int(fd) > 2 and os.path.exists(f'/proc/self/fd/{fd}')]
check('descriptors 0, 1, 2 only', inherited == [], inherited)
for fd in range(3):
    target = os.readlink(f'/proc/self/fd/{fd}')
    own = target == '/dev/null' or target.startswith('pipe:')
    check(f'descriptor {fd} names nothing of the host', own, target)

# The ids: 65536 of them, none of them privileged outside.
for kind in ('uid_map', 'gid_map'):
    inside, outside, length = map(int, text(f'/proc/self/{kind}').split())
    check(f'{kind} is one range of 65536', (inside, length) == (0, 65536), (inside, length))
    check(f'{kind} starts beyond the host\'s users', outside >= 65536, outside)
    check(f'{kind} is the one that the test knows', outside == facts.get('ids', outside), outside)
    refused(f'writing {kind}', lambda: write(f'/proc/self/{kind}', b'0 0 1'))
refused('writing setgroups', lambda: write('/proc/self/setgroups', b'deny'))

# Becoming somebody: without capabilities not even another id of the job.
refused('setuid', lambda: os.setuid(1000), 'EPERM')
refused('setgid', lambda: os.setgid(1000), 'EPERM')
refused('setgroups', lambda: os.setgroups([0]), 'EPERM')
refused('setresuid to the overflow id', lambda: os.setresuid(65534, 65534, 65534), 'EPERM')
open('/work/mine', 'w').close()
refused('chown to another', lambda: os.chown('/work/mine', 1, 1), 'EPERM')


class Header(ctypes.Structure):
    _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]


class Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ('effective', 'permitted', 'inheritable')]


CAPSET = {'x86_64': 126, 'aarch64': 91}[os.uname().machine]
for field in ('effective', 'permitted', 'inheritable'):
    sets = (Sets * 2)()
    setattr(sets[0], field, 1 << 21)
    header = Header(0x20080522, 0)
    refused(f'raising {field} capabilities', lambda: call(CAPSET, ctypes.byref(header), sets), 'EPERM')

PR_SET_NO_NEW_PRIVS, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 38, 28, 47
PRCTL = {'x86_64': 157, 'aarch64': 167}[os.uname().machine]
refused('clearing no_new_privs', lambda: call(PRCTL, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), 'EINVAL')
refused('setting securebits', lambda: call(PRCTL, PR_SET_SECUREBITS, 1, 0, 0, 0), 'EPERM')
refused('raising an ambient capability', lambda: call(PRCTL, PR_CAP_AMBIENT, 2, 21, 0, 0), 'EPERM')

# A set-uid program of our own, and those of the host, raise nothing. It keeps its name: some file
# systems have one program for all, which goes by that.
os.mkdir('/work/raise')
RAISE = shutil.copy(shutil.which('cat'), '/work/raise/cat')
os.chmod(RAISE, 0o6755)
shown = subprocess.run([RAISE, '/proc/self/status'], capture_output=True, text=True).stdout
raised = dict(line.split(':\t', 1) for line in shown.splitlines())
check('a set-uid program of the job stays who it was', raised['Uid'].split() == ['0'] * 4, raised['Uid'])
check('a set-uid program of the job may no more', raised['CapEff'] == NONE, raised['CapEff'])
set_uid = [
    path
    for pattern in ('/usr/bin/*', '/usr/sbin/*', '/usr/lib/*/*', '/usr/lib/*/*/*')
    for path in glob.glob(pattern)
    if os.path.isfile(path) and os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID)
]
for path in {'/', '/usr', *(os.path.dirname(path) for path in set_uid)}:
    flags = os.statvfs(path).f_flag
    check(f'set-uid bits mean nothing below {path}', flags & os.ST_NOSUID, flags)

# File capabilities need a capability to be set.
one = bytes.fromhex('0100000200002000000000000000000000000000')
refused('setting file capabilities', lambda: os.setxattr(RAISE, 'security.capability', one), 'EPERM')
refused('setting a trusted attribute', lambda: os.setxattr(RAISE, 'trusted.x', b'1'))

# Limits only go down, priorities too.
RLIMIT_NOFILE = 7
PRLIMIT = {'x86_64': 302, 'aarch64': 261}[os.uname().machine]
more = (ctypes.c_ulong * 2)(1 << 21, 1 << 21)
refused('raising the limit of open files', lambda: call(PRLIMIT, 0, RLIMIT_NOFILE, more, 0), 'EPERM')
core = resource.getrlimit(resource.RLIMIT_CORE)
check('no core dumps', max(core) <= 1, core)
# At zero a host that pipes its core dumps into a program would start that program.
if 1 in core:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    check('core dumps stay off', resource.getrlimit(resource.RLIMIT_CORE) == core, core)
space = resource.getrlimit(resource.RLIMIT_AS)
check('address space is not limited', space[0] == resource.RLIM_INFINITY, space)
first = os.sched_param(1)
refused('a real-time priority', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, first), 'EPERM')
refused('a better priority', lambda: os.setpriority(os.PRIO_PROCESS, 0, -5), 'EACCES', 'EPERM')
refused('escaping the memory killer', lambda: write('/proc/self/oom_score_adj', b'-1000'), 'EACCES')

# A file that is the host's cannot be held against the host.
F_SETLEASE, F_WRLCK, LOCK_EX = 1024, 1, 2


def lease():
    file = os.open('/usr/bin/env', os.O_RDONLY)
    fcntl.fcntl(file, F_SETLEASE, fcntl.F_RDLCK)
    return 'a lease on /usr/bin/env'


refused('a lease on a file of the host', lease)
done()
