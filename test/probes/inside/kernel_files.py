"""/proc and /sys: nothing to write, the dangerous parts empty, nothing of the host's identity."""

import os
import re
import stat

from finding import check, done, facts, read, refused, text, write

MASKED = 'kcore keys timer_list sched_debug sysrq-trigger acpi scsi kmsg latency_stats cmdline bootconfig swaps'.split()
HIDDEN = '/sys/firmware /sys/kernel/debug /sys/kernel/tracing /sys/fs/bpf /sys/kernel/security'.split()
POWERFUL = '''
    /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hostname
    /proc/sys/kernel/ns_last_pid /proc/sys/vm/drop_caches /proc/sys/net/ipv4/ip_forward
    /proc/sys/fs/binfmt_misc/register /proc/sys/user/max_user_namespaces
    /proc/irq/0/smp_affinity /proc/mtrr /proc/bus/pci/00/00.0 /sys/kernel/uevent_helper
    /sys/power/state /sys/kernel/mm/ksm/run /sys/devices/system/cpu/cpu1/online
'''.split()
CGROUP_FILES = '''
    cgroup.procs tasks release_agent cgroup.kill cgroup.freeze notify_on_release
    memory.limit_in_bytes memory.max cpu.max cpu.cfs_quota_us pids.max
'''.split()
ADDRESSES = '''
    /proc/kallsyms /proc/modules /proc/vmallocinfo /proc/slabinfo /proc/iomem /proc/kpageflags
'''.split()


def content(path):
    """What can be had of a path; empty when there is nothing or it is refused."""
    try:
        if os.path.isdir(path):
            return os.listdir(path)
        return read(path, 4096)
    except OSError:
        return b''


for name in MASKED:
    check(f'/proc/{name} is masked', not content(f'/proc/{name}'), content(f'/proc/{name}')[:64])
try:
    trigger = os.stat('/proc/sysrq-trigger')
    # Covered by the job's /dev/null, which takes everything and does nothing.
    check('/proc/sysrq-trigger does nothing', trigger.st_rdev == os.makedev(1, 3), trigger)
except FileNotFoundError:
    check('/proc/sysrq-trigger is not there', True)
for path in HIDDEN:
    check(f'{path} is hidden', not content(path), content(path)[:5])

# Every file below, opened for writing. The job's own entries of /proc are its own business.
tried, written = 0, []
for start in ('/proc/sys', '/sys'):
    for top, directories, names in os.walk(start):
        for name in names:
            path = os.path.join(top, name)
            if os.path.islink(path):
                continue
            tried += 1
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                written.append(path)
            except OSError:
                continue
check('the walk saw the trees', tried > 1000, tried)
check('nothing below /proc/sys and /sys opens for writing', not written, written[:10])
for path in POWERFUL:
    refused(f'writing {path}', lambda: write(path))

top_written = []
for name in os.listdir('/proc'):
    path = f'/proc/{name}'
    if name.isdigit() or os.path.islink(path) or not os.path.isfile(path):
        continue
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        # A masked file may be the job's own null device: what is written there is gone.
        if not stat.S_ISCHR(os.stat(path).st_mode):
            top_written.append(path)
    except OSError:
        continue
check('nothing in /proc opens for writing', not top_written, top_written)

# Cgroups: the job's own can be read, none can be changed, none of the host's are there.
cgroup_files = []
for top, directories, names in os.walk('/sys/fs/cgroup'):
    cgroup_files += [os.path.join(top, name) for name in names]
for path in cgroup_files:
    if os.path.basename(path) in CGROUP_FILES:
        refused(f'writing {path}', lambda: write(path, b'0'), 'EROFS', 'EACCES', 'EPERM')
check('no cgroup lies beside or below', not [p for p in cgroup_files if 'job' in p.lower()], cgroup_files[:5])
refused('making a cgroup', lambda: os.mkdir('/sys/fs/cgroup/x'), 'EROFS', 'EACCES', 'EPERM')
for line in text('/proc/self/cgroup').splitlines():
    check(f'cgroup {line.split(":")[1]!r} is shown as the root', line.split(':', 2)[2] == '/', line)

# Every byte that can be read there, for words that only the host can know.
needles = [needle.encode() for needle in facts.get('needles', [])]
leaks, seen = {}, 0
for start in ('/proc', '/sys', '/etc', '/run', '/dev'):
    for top, directories, names in os.walk(start):
        if os.path.basename(top) in ('task', 'map_files', 'fd'):
            directories.clear()
            continue
        for name in names:
            path = os.path.join(top, name)
            try:
                if os.path.islink(path):
                    found = os.readlink(path).encode()
                elif stat.S_ISREG(os.lstat(path).st_mode):
                    found = read(path, 1 << 17)
                else:
                    continue
            except OSError:
                continue
            seen += 1
            for needle in needles:
                if needle in found:
                    leaks.setdefault(needle.decode(), []).append(path)
check('the walk read the trees', seen > 1000, seen)
for needle in needles:
    check(f'nobody says {needle.decode()!r}', needle.decode() not in leaks, leaks.get(needle.decode(), [])[:8])

# Addresses of the kernel.
for path in ADDRESSES:
    shown = content(path)
    # Where anything is shown at all, addresses read as zero.
    words = shown.decode(errors='replace').split()[:500] if isinstance(shown, bytes) else []
    addresses = [word for word in words if re.fullmatch('(0x)?[0-9a-f]{16}', word)]
    told = [word for word in addresses if set(word) - set('0x')]
    check(f'{path} gives no address', not told, told[:2])
done()
