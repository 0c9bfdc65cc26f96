"""The root, what is writable, mounts, and the ways out of a root."""

import errno
import os
import stat
import subprocess

from finding import check, done, facts, read, refused, text

MOUNTING = '''
    mount -t tmpfs none /tmp
    mount -o remount,rw /
    mount --bind / /tmp
    umount /proc
    umount -l /work
    unshare -U true
    unshare -m true
    nsenter -t 1 -m true
    chroot / true
    pivot_root /tmp /tmp
    fusermount3 -u /tmp
    swapon /work/x
    losetup -f /etc/passwd
'''
WRITABLE = {'/work', '/tmp', '/dev/shm', *facts.get('volumes', [])}


class Mount:
    def __init__(self, line):
        left, right = line.split(' - ', 1)
        fields = left.split(' ')
        self.line = line
        self.device, self.target = fields[2], fields[4]
        self.options, self.shared = fields[5].split(','), fields[6:]
        self.type, self.source, self.super = right.split(' ', 2)


lines = text('/proc/self/mountinfo').splitlines()
mounts = [Mount(line) for line in lines]
check('there is a mount table', len(mounts) > 5, len(mounts))
# The file system of /dev has the device files; what they are is another probe's question. Empty
# places of it cover what is hidden elsewhere.
small_devices = [mount.device for mount in mounts if mount.target == '/dev']
for mount in mounts:
    check(f'{mount.target} propagates nothing', mount.shared == [], mount.line)
    check(f'{mount.target} is nosuid', 'nosuid' in mount.options, mount.line)
    if mount.device in small_devices:
        check(f'{mount.target} is read-only', 'ro' in mount.options, mount.line)
    elif mount.target != '/dev/pts':
        check(f'{mount.target} is nodev', 'nodev' in mount.options, mount.line)
    if mount.target in WRITABLE:
        # A tmpfs says so; an image on disk is as big as it is.
        sized = 'size=' in mount.super or mount.type.startswith('ext')
        check(f'{mount.target} has a size limit', sized, mount.line)
    elif mount.target not in ('/proc', '/dev/pts'):
        check(f'{mount.target} is read-only', 'ro' in mount.options, mount.line)

# Nothing that the host mounted, and no path of the daemon's.
for needle in facts.get('needles', []):
    for name in ('mountinfo', 'mounts', 'mountstats', 'environ', 'cmdline', 'cgroup', 'maps'):
        for who in ('self', '1'):
            try:
                held = needle.encode() in read(f'/proc/{who}/{name}')
            except OSError:
                held = False
            check(f'/proc/{who}/{name} does not hold {needle!r}', not held, needle)
for path in facts.get('hostPaths', []):
    refused(f'{path} of the host', lambda: os.lstat(path), 'ENOENT', 'ENOTDIR')

# Writing: everywhere that is not named, as what may write anything that is not read-only.
def make(directory):
    path = os.path.join(directory, '.joblet-probe')
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(path)
    return f'made a file in {directory}'


found_writable = []
for top, directories, _ in os.walk('/'):
    if top.startswith(('/proc', '/sys')) or top.count('/') > 3:
        directories.clear()
        continue
    try:
        make(top)
        found_writable.append(top)
        # What lies below a writable place is the job's own.
        directories.clear()
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            check(f'{top} refuses a file', False, errno.errorcode[error.errno])
check('writable are only the places that are meant', set(found_writable) == WRITABLE, found_writable)
for path in ('/usr/bin/env', '/etc/passwd', '/bin/sh', '/etc/resolv.conf', '/etc/hosts'):
    refused(f'writing {path}', lambda: os.open(path, os.O_WRONLY), 'EROFS', 'EACCES', 'ETXTBSY')
    refused(f'deleting {path}', lambda: os.unlink(path), 'EROFS', 'EACCES', 'EBUSY')
    refused(f'changing the mode of {path}', lambda: os.chmod(path, 0o777), 'EROFS', 'EPERM')
    refused(f'changing the times of {path}', lambda: os.utime(path), 'EROFS', 'EPERM')
    refused(f'a second name for {path}', lambda: os.link(path, '/work/link'), 'EXDEV', 'EPERM')
refused('replacing the root by a name', lambda: os.rename('/tmp', '/gone'))

# Mounting, by whatever name.
for line in MOUNTING.strip().splitlines():
    try:
        code = subprocess.run(line.split(), stdin=subprocess.DEVNULL, capture_output=True).returncode
    except FileNotFoundError:
        continue
    check(line.strip(), code != 0, 'ended well')

# Upwards out of the root, along every road that once led there.
def inode(path):
    found = os.stat(path)
    return found.st_dev, found.st_ino


here = inode('/')
for path in ('/..', '/../../../..', '/proc/self/root', '/proc/self/root/..', '/proc/self/task/../root',
             '/proc/thread-self/root', '/dev/fd/../../..', '/tmp/../..', '/proc/self/cwd/../..'):
    check(f'{path} is the root', inode(path) == here, os.listdir(path))
root = os.open('/', os.O_RDONLY | os.O_DIRECTORY)
outside = os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
check('the parent of the root is the root', inode(outside) == here)
os.symlink('/../../../../etc/shadow', '/work/shadow')
refused('a link out of the root', lambda: os.open('/work/shadow', os.O_RDONLY), 'ENOENT')
refused('shadow passwords', lambda: os.open('/etc/shadow', os.O_RDONLY), 'ENOENT')
roots = [mount.line for mount in mounts if mount.target == '/']
check('one mount is the root, and no other lies below it', len(roots) == 1, roots)

# Device files cannot be made, also where one may write; fifos, sockets and files can.
for directory in WRITABLE:
    path = os.path.join(directory, 'made')
    for kind, word in ((stat.S_IFCHR, 'character'), (stat.S_IFBLK, 'block')):
        for numbers in ((1, 1), (1, 3), (8, 0), (0, 0), (5, 1)):
            device = os.makedev(*numbers)
            refused(f'a {word} device {numbers} in {directory}', lambda: os.mknod(path, kind | 0o666, device), 'EPERM')
    os.mknod(path, stat.S_IFIFO | 0o600)
    os.unlink(path)
    room = os.statvfs(directory)
    check(f'{directory} has room', room.f_bavail > 0)
    check(f'{directory} has not much room', room.f_blocks * room.f_frsize <= 1 << 30, room)
done()
