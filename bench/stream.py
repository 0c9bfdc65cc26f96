"""One TCP stream at a time, as fast as it goes: what bench/trials/bandwidth.ts sends through a network.

    stream.py serve                     says `ready`, and answers at port 7000 until it is killed
    stream.py send|receive HOST SECONDS prints how many megabytes a second went through

Who asks says by a first byte which way it goes. What was sent counts when the other side has it.
"""

import socket
import sys
import threading
import time

PORT = 7000
PIECE = 256 << 10
MB = 1e6


def take_all(connection):
    buffer, taken = bytearray(PIECE), 0
    while count := connection.recv_into(buffer):
        taken += count
    return taken


def give(connection):
    piece = bytes(PIECE)
    try:
        while True:
            connection.sendall(piece)
    except OSError:
        pass


def answer(connection):
    with connection:
        if connection.recv(1) == b'r':
            give(connection)
        else:
            connection.sendall(str(take_all(connection)).encode())


def serve():
    listener = socket.create_server(('::', PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    print('ready', flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def send(connection, seconds):
    connection.sendall(b's')
    piece, until = bytes(PIECE), time.monotonic() + seconds
    while time.monotonic() < until:
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)
    return int(connection.recv(100))


def receive(connection, seconds):
    connection.sendall(b'r')
    buffer, taken, until = bytearray(PIECE), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        taken += connection.recv_into(buffer)
    return taken


def measure(way, host, seconds):
    with socket.create_connection((host, PORT)) as connection:
        began = time.monotonic()
        taken = way(connection, seconds)
        print(round(taken / (time.monotonic() - began) / MB, 3))


if sys.argv[1] == 'serve':
    serve()
else:
    measure({'send': send, 'receive': receive}[sys.argv[1]], sys.argv[2], float(sys.argv[3]))
