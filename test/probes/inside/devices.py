"""/dev: exactly what a program needs, and nothing that reaches hardware or the host."""

import fcntl
import os
import pty
import stat
import termios

from finding import check, done, refused

EXPECTED = set('null zero full random urandom tty ptmx pts shm fd stdin stdout stderr'.split())
DANGEROUS = '''
    kmsg mem port kvm fuse loop-control vsock vhost-vsock vhost-net net/tun sda vda loop0 mapper/control
    console tty0 hwrng rtc0 snapshot uinput userfaultfd cpu_dma_latency autofs btrfs-control
'''.split()
names = set(os.listdir('/dev'))
check('/dev holds what is promised and no more', names - EXPECTED == set(), names - EXPECTED)
check('/dev holds all that is promised', EXPECTED - names == set(), EXPECTED - names)
for name in DANGEROUS:
    refused(f'/dev/{name}', lambda: os.open(f'/dev/{name}', os.O_RDONLY), 'ENOENT', 'ENOTDIR')

NODES = {'null': (1, 3), 'zero': (1, 5), 'full': (1, 7), 'random': (1, 8), 'urandom': (1, 9), 'tty': (5, 0)}
for name, numbers in NODES.items():
    device = os.stat(f'/dev/{name}').st_rdev
    check(f'/dev/{name} is that device', (os.major(device), os.minor(device)) == numbers, device)


def devices_below(start, leave_out=()):
    for top, directories, files in os.walk(start):
        directories[:] = [name for name in directories if os.path.join(top, name) not in leave_out]
        for name in files:
            path = os.path.join(top, name)
            if stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFCHR, stat.S_IFBLK):
                yield path


block = [path for path in devices_below('/dev') if stat.S_ISBLK(os.lstat(path).st_mode)]
check('no block device', not block, block)
elsewhere = list(devices_below('/', ('/proc', '/sys', '/dev')))
check('no device file elsewhere', not elsewhere, elsewhere)
refused('a file in /dev', lambda: os.open('/dev/x', os.O_CREAT | os.O_WRONLY), 'EROFS', 'EACCES')
refused('removing /dev/null', lambda: os.unlink('/dev/null'), 'EROFS', 'EACCES')
refused('changing /dev/null', lambda: os.chmod('/dev/null', 0o600), 'EROFS', 'EPERM')

# Terminals of the job's own, into which nobody can type for it.
check('no terminal at first', set(os.listdir('/dev/pts')) <= {'ptmx'}, os.listdir('/dev/pts'))
master, terminal = pty.openpty()
check('a terminal of its own', os.ttyname(terminal).startswith('/dev/pts/'), os.ttyname(terminal))
refused('typing for others', lambda: fcntl.ioctl(terminal, termios.TIOCSTI, b'x'), 'EPERM')
refused('pasting for others', lambda: fcntl.ioctl(terminal, 0x541C, b'\3'), 'EPERM')
refused('taking the console', lambda: fcntl.ioctl(terminal, 0x541D, 0), 'EPERM')
refused('a line discipline', lambda: fcntl.ioctl(terminal, 0x5423, bytes([21, 0, 0, 0])), 'EPERM')
refused('a controlling terminal of the host', lambda: os.open('/dev/tty', os.O_RDWR), 'ENXIO')
# They are counted for the host as a whole, so one job must not get them all.
opened = []


def open_terminals():
    while len(opened) < 500:
        opened.append(os.open('/dev/ptmx', os.O_RDWR))


refused('more terminals than a job needs', open_terminals, 'ENOSPC')
check('some terminals', len(opened) > 30, len(opened))
check('random is random', os.read(os.open('/dev/random', os.O_RDONLY), 16) != bytes(16))
done()
