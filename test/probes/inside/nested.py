"""As root of a user namespace within the job, with its own copy of the mounts: the sandbox holds on.

The job was allowed user namespaces. What it may do there it may do to its own things alone.
"""

import ctypes
import os
import socket
import subprocess

from finding import check, done, libc, refused, text, write


def mount(source, target, kind, flags=0, data=None):
    words = [source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), data]
    if libc.mount(*words) != 0:
        raise OSError(ctypes.get_errno(), f'mount {kind} on {target}')
    return f'{kind} on {target}'


def umount(target, flags=0):
    if libc.umount2(target.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), f'umount {target}')
    return target


MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MNT_DETACH = 2
capabilities = text('/proc/self/status').split('CapEff:\t')[1][:16]
check('this is root of a namespace', int(capabilities, 16) != 0 and os.getuid() == 0, capabilities)

# What covers something cannot be lifted, what is read-only cannot be made writable.
for line in text('/proc/self/mountinfo').splitlines():
    target, options = line.split()[4], line.split()[5].split(',')
    if target != '/':
        refused(f'lifting {target}', lambda: umount(target))
        refused(f'lifting {target} at once', lambda: umount(target, MNT_DETACH))
    for option, flag in (('ro', MS_RDONLY), ('nosuid', MS_NOSUID), ('nodev', MS_NODEV)):
        if option in options:
            others = MS_REMOUNT | MS_BIND | (MS_RDONLY | MS_NOSUID | MS_NODEV) & ~flag
            refused(f'{target} without {option}', lambda: mount('none', target, None, others))

# The file system of the host cannot be mounted anew, nor a /proc or /sys without its masks.
FOREIGN = '''
    proc sysfs ext4 btrfs squashfs nfs cgroup debugfs tracefs securityfs bpf efivarfs devtmpfs
'''.split()
for kind in FOREIGN:
    refused(f'mounting {kind}', lambda: mount('none', '/tmp', kind))
for device in ('/dev/vda', '/dev/sda', '/dev/loop0'):
    refused(f'mounting {device}', lambda: mount(device, '/tmp', 'ext4', MS_RDONLY))

# A bind without what lies above it would show what is masked.
os.makedirs('/tmp/bound', exist_ok=True)
for source in ('/proc', '/sys', '/'):
    refused(f'{source} without its masks', lambda: mount(source, '/tmp/bound', None, MS_BIND))

for kind, word in ((0o020000, 'character'), (0o060000, 'block')):
    refused(f'a {word} device', lambda: os.mknod('/tmp/device', kind | 0o600, os.makedev(1, 1)), 'EPERM')
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/vm/drop_caches', '/sys/kernel/uevent_helper'):
    refused(f'writing {path}', lambda: write(path))
refused('changing a file of the host', lambda: os.chmod('/usr/bin/env', 0o777), 'EROFS')
refused('ids beyond the job\'s', lambda: os.setuid(1), 'EINVAL')
refused('a raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1), 'EPERM')
refused('packets', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3), 'EPERM')
own_network = subprocess.run(['unshare', '-n', 'true'], capture_output=True).returncode
check('a network of its own is what it may have', own_network == 0, own_network)
for name in ('mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup'):
    refused(f"init's {name} namespace", lambda: os.open(f'/proc/1/ns/{name}', os.O_RDONLY))
done()
