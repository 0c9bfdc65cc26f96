"""Ways to the host that are neither files nor processes: network, sockets, shared memory, keys, log."""

import ctypes
import os
import socket
import struct

from finding import call, check, done, facts, libc, refused, text

X86 = os.uname().machine == 'x86_64'

# Network: loopback of its own, and nothing else.
check('no device but loopback', [n for _, n in socket.if_nameindex()] == ['lo'], socket.if_nameindex())
check('no route', text('/proc/net/route').count('\n') <= 1, text('/proc/net/route'))
for port in facts.get('hostPorts', []):
    refused(f'port {port} of the host', lambda: socket.create_connection(('127.0.0.1', port), 5), 'ECONNREFUSED')
for address in ('169.254.169.254', '10.0.0.1', '8.8.8.8'):
    refused(f'a way to {address}', lambda: socket.create_connection((address, 80), 5), 'ENETUNREACH')
for name in facts.get('hostSockets', []):
    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.connect(name.replace('@', '\0', 1))

    refused(f'socket {name} of the host', connect, 'ECONNREFUSED', 'ENOENT')
# The first line is the heading.
check('no socket of the host is listed', text('/proc/net/unix').count('\n') <= 1, text('/proc/net/unix'))


def configure(kind, body):
    """Asks the network to be changed; raises what the kernel answers."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as routes:
        request_and_acknowledge = 1 | 4
        routes.send(struct.pack('=IHHII', 16 + len(body), kind, request_and_acknowledge, 1, 0) + body)
        _, kind, _, _, _, error = struct.unpack_from('=IHHIIi', routes.recv(4096))
    if error != 0:
        raise OSError(-error, os.strerror(-error))


RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_DELLINK = 16, 20, 24, 17
LOOPBACK_DOWN = struct.pack('=BBHiII', 0, 0, 0, 1, 0, 1)
ADDRESS = struct.pack('=BBBBIHHI', 2, 8, 0, 0, 1, 8, 2, 0x0100000A)
refused('taking loopback down', lambda: configure(RTM_NEWLINK, LOOPBACK_DOWN), 'EPERM')
refused('deleting loopback', lambda: configure(RTM_DELLINK, LOOPBACK_DOWN), 'EPERM')
refused('adding an address', lambda: configure(RTM_NEWADDR, ADDRESS), 'EPERM')
refused('adding a route', lambda: configure(RTM_NEWROUTE, bytes(12)), 'EPERM')

STREAM, DATAGRAM, RAW, SEQUENCE, PACKET = 1, 2, 3, 5, 10
REFUSED_SOCKETS = (
    ('packets', 17, RAW, 3),
    ('packets without headers', 17, DATAGRAM, 0x300),
    ('packets, the old way', 2, PACKET, 0x300),
    ('raw internet', 2, RAW, 1),
    ('raw internet, own headers', 2, RAW, 255),
    ('raw internet 6', 10, RAW, 58),
    ('vsock', 40, STREAM, 0),
    ('vsock datagrams', 40, DATAGRAM, 0),
)
for what, family, kind, protocol in REFUSED_SOCKETS:
    refused(what, lambda: socket.socket(family, kind, protocol), 'EPERM', 'EACCES', 'ENOSYS')
ABSENT_SOCKETS = (
    ('kernel crypto', 38, SEQUENCE, 0),
    ('netlink xfrm', 16, RAW, 6),
    ('netlink audit', 16, RAW, 9),
    ('netlink netfilter', 16, RAW, 12),
    ('netlink events', 16, RAW, 15),
    ('netlink generic', 16, RAW, 16),
    ('key management', 15, RAW, 2),
    ('CAN', 29, RAW, 1),
    ('bluetooth', 31, RAW, 0),
    ('TIPC', 30, STREAM, 0),
    ('XDP', 44, RAW, 0),
    ('SCTP', 2, STREAM, 132),
    ('UDP lite', 2, DATAGRAM, 136),
)
for what, family, kind, protocol in ABSENT_SOCKETS:
    refused(what, lambda: socket.socket(family, kind, protocol), 'EAFNOSUPPORT', 'EPROTONOSUPPORT')

# System V and POSIX shared memory, queues.
def attach(identifier):
    libc.shmat.restype = ctypes.c_long
    if libc.shmat(ctypes.c_int(identifier), None, 0o10000) == -1:
        raise OSError(ctypes.get_errno(), 'shmat')


for identifier in facts.get('sharedMemory', []):
    refused(f'shared memory {identifier} of the host', lambda: attach(identifier), 'EINVAL', 'EIDRM')
for name in ('shm', 'sem', 'msg'):
    check(f'no System V {name} of the host is listed', text(f'/proc/sysvipc/{name}').count('\n') == 1)
check('/dev/shm is empty', os.listdir('/dev/shm') == [], os.listdir('/dev/shm'))
check('/tmp is empty', os.listdir('/tmp') == [], os.listdir('/tmp'))

# Keys of the kernel.
ADD_KEY, KEYCTL, REQUEST_KEY = (248, 250, 249) if X86 else (217, 219, 218)
for what, attempt in (
    ('adding a key', lambda: call(ADD_KEY, b'user', b'joblet', b'x', 1, -3)),
    ('the session keyring', lambda: call(KEYCTL, 0, -3, 1)),
    ('the user keyring', lambda: call(KEYCTL, 0, -4, 0)),
    ('a new session keyring', lambda: call(KEYCTL, 1, b'joblet')),
    ('asking for a key', lambda: call(REQUEST_KEY, b'user', b'joblet', 0, -3)),
):
    refused(what, attempt, 'EPERM', 'EACCES', 'ENOSYS')

# The log of the kernel, clocks, names: with arguments that would work.
SYSLOG, SETHOSTNAME, CLOCK_SETTIME, ADJTIMEX, REBOOT = (
    (103, 170, 227, 159, 169) if X86 else (116, 161, 112, 171, 142)
)
room = ctypes.create_string_buffer(4096)
for what, attempt in (
    ('reading the kernel log', lambda: call(SYSLOG, 3, room, 4096)),
    ('the size of the kernel log', lambda: call(SYSLOG, 10, 0, 0)),
    ('changing the host name', lambda: call(SETHOSTNAME, b'x', 1)),
    ('changing the clock, to a time that is none', lambda: call(CLOCK_SETTIME, 0, (ctypes.c_long * 2)(0, -1))),
    ("asking for the clock's state", lambda: call(ADJTIMEX, room)),
    ('rebooting, with the wrong words', lambda: call(REBOOT, 0, 0, 0, 0)),
):
    refused(what, attempt, 'EPERM', 'EACCES', 'ENOSYS')
done()
