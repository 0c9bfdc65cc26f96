"""What a job reaches. Arguments: `tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT`, `name:NAME`, addresses of IPv6
in brackets. Writes a line for each: what was asked, and `open` with what was said, or why not."""

import socket
import sys

PATIENCE_S = 1.0


def tcp(address, port):
    with socket.create_connection((address, port), PATIENCE_S) as connection:
        return connection.recv(100).decode().strip()


def udp(address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
        sock.send(b'x')
        return sock.recv(100).decode()


def look(what):
    kind, rest = what.split(':', 1)
    if kind == 'name':
        found = {entry[4][0] for entry in socket.getaddrinfo(rest, 80, type=socket.SOCK_STREAM)}
        return ','.join(sorted(found))
    address, port = rest.rsplit(':', 1)
    return {'tcp': tcp, 'udp': udp}[kind](address.strip('[]'), int(port))


for argument in sys.argv[1:]:
    try:
        print(argument, 'open', look(argument), flush=True)
    except OSError as error:
        print(argument, 'closed', type(error).__name__, error, flush=True)
