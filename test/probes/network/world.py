"""The outside world: in a network namespace of its own, answers whoever comes, and says so.

Writes `ready` first; then a line for each thing that arrives: `tcp PORT FROM`, `udp PORT FROM`. A TCP
client is told where it came from; one on port 9 marks what came before it. With names as arguments (`name=address`) it answers DNS as well, and
says `dns NAME` for each question. Port 7001 takes whatever comes, and 7002 sends 4 MiB.
"""

import selectors
import socket
import struct
import sys
import threading

MARK_PORT = 9
SINK_PORT, SOURCE_PORT = 7001, 7002
TCP_PORTS = (MARK_PORT, 80, 443, 8080, SINK_PORT, SOURCE_PORT)
SOURCE_BYTES = 4 << 20
UDP_PORTS = (5000,)
names = dict(argument.split('=') for argument in sys.argv[1:])
chooser = selectors.DefaultSelector()


def say(*words):
    print(*words, flush=True)


def plain(address):
    return address[0].removeprefix('::ffff:')


def listen(kind, port, handler):
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(('::', port))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    chooser.register(made, selectors.EVENT_READ, lambda: handler(made, port))


def on_tcp(listener, port):
    connection, peer = listener.accept()
    if port in (SINK_PORT, SOURCE_PORT):
        threading.Thread(target=on_load, args=(connection, port), daemon=True).start()
        return
    say('tcp', port, plain(peer))
    connection.sendall((plain(peer) + '\n').encode())
    if port != 8080:
        connection.close()
        return
    # Stays open: says again whatever it is told.
    chooser.register(connection, selectors.EVENT_READ, lambda: on_words(connection))


def on_load(connection, port):
    with connection:
        if port == SOURCE_PORT:
            connection.sendall(bytes(SOURCE_BYTES))
            return
        while connection.recv(1 << 20):
            pass
        connection.sendall(b'all')


def on_words(connection):
    try:
        words = connection.recv(65536)
    except OSError:
        words = b''
    if words:
        connection.sendall(words)
    else:
        chooser.unregister(connection)
        connection.close()


def on_udp(sock, port):
    data, peer = sock.recvfrom(4096)
    say('udp', port, plain(peer))
    sock.sendto(data, peer)


def question_of(message):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    kind = struct.unpack('>H', message[at + 1:at + 3])[0]
    return '.'.join(labels).lower(), kind, message[12:at + 5]


def answer(message):
    name, kind, question = question_of(message)
    say('dns', name)
    address = names.get(name, '')
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    matches = address and kind == (28 if family == socket.AF_INET6 else 1)
    code = 0 if name in names else 3
    head = message[:2] + struct.pack('>HHHHH', 0x8180 | code, 1, 1 if matches else 0, 0, 0)
    if not matches:
        return head + question
    data = socket.inet_pton(family, address)
    return head + question + struct.pack('>HHHIH', 0xc00c, kind, 1, 60, len(data)) + data


def on_dns(sock, _port):
    message, peer = sock.recvfrom(4096)
    sock.sendto(answer(message), peer)


def on_dns_stream(listener, _port):
    connection, _peer = listener.accept()
    with connection, connection.makefile('rb') as stream:
        length = struct.unpack('>H', stream.read(2))[0]
        text = answer(stream.read(length))
        connection.sendall(struct.pack('>H', len(text)) + text)


for each in TCP_PORTS:
    listen(socket.SOCK_STREAM, each, on_tcp)
for each in UDP_PORTS:
    listen(socket.SOCK_DGRAM, each, on_udp)
if names:
    listen(socket.SOCK_DGRAM, 53, on_dns)
    listen(socket.SOCK_STREAM, 53, on_dns_stream)
say('ready')
while True:
    for key, _ in chooser.select():
        key.data()
