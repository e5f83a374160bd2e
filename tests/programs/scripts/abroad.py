"""Both ends of TCP connections, by their role: what each call answers, one line for each, names as words.

abroad.py server ADDRESS PORT [TIMES] | client ADDRESS PORT [TIMES]: how much more than one MiB all buffers hold
"""

import errno
import os
import select
import socket
import struct
import sys
import time

ROLE, ADDRESS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
BIG = bytes(range(256)) * 4096
TIMES = int(sys.argv[4]) if len(sys.argv) > 4 else 8


def said(*words):
    print(*words, flush=True)


def failed(call, *arguments):
    """The name of the error of a call that must fail."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return "no error"


def all_of(sock):
    found = bytearray()
    while part := sock.recv(65536):
        found += part
    return bytes(found)


def exactly(sock, size):
    found = bytearray()
    while len(found) < size:
        part = sock.recv(size - len(found))
        if not part:
            break
        found += part
    return bytes(found)


def named(name):
    """Where a name points: the address, and whether the port is the server's."""
    return name[0], name[1] == PORT, len(name)


# --- what the server does with each connection, and the client with its own; in this order ---
def serve_echo(sock):
    sock.sendall(all_of(sock))


def echo(sock):
    sock.sendall(BIG[:200000])
    sock.shutdown(socket.SHUT_WR)
    said("echoed", all_of(sock) == BIG[:200000], failed(sock.send, b"x"))


def serve_names(sock):
    said("names", named(sock.getsockname())[:2], sock.getpeername()[0])
    sock.sendall(b"n")
    all_of(sock)


def names(sock):
    said("names", named(sock.getpeername()), sock.getsockname()[0], sock.recv(1))


def serve_one_way(sock):
    sock.shutdown(socket.SHUT_RD)
    sock.sendall(BIG)


def one_way(sock):
    said("one way", all_of(sock) == BIG)


def serve_reset(sock):
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(sock):
    sock.sendall(b"r")
    said("reset", failed(sock.recv, 1), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def serve_unread(sock):
    exactly(sock, 10)


def unread(sock):
    sock.sendall(BIG[:100])
    said("unread", failed(exactly, sock, 1))


def serve_peeked(sock):
    sock.sendall(b"peeked at")
    all_of(sock)


def peeked(sock):
    sock.settimeout(20)
    said("peeked", sock.recv(6, socket.MSG_PEEK), exactly(sock, 9))
    sock.settimeout(0.05)
    said("timed out", failed(sock.recv, 1))
    sock.setblocking(False)
    said("would block", failed(sock.recv, 1))


def serve_polled(sock):
    time.sleep(0.2)
    sock.sendall(b"p")
    all_of(sock)


def polled(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    first = poll.poll(20000)[0][1]
    poll.modify(sock, select.POLLIN)
    second = poll.poll(20000)[0][1]
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    said("polled", first, second, epoll.poll(20)[0][1], sock.recv(10))
    epoll.close()


def serve_slow(sock):
    time.sleep(0.5)
    said("slow", all_of(sock) == BIG * TIMES)


def slow(sock):
    """More than all buffers hold, and the reader has not begun."""
    sock.sendall(BIG * TIMES)


def serve_exit(sock):
    said("all that an ended process had sent", all_of(sock) == BIG[:50000])


def ended(sock):
    if os.fork() == 0:
        time.sleep(0.1)
        sock.sendall(BIG[:50000])
        os._exit(0)
    sock.close()
    said("child", os.wait()[1])


STEPS = (
    (serve_echo, echo),
    (serve_names, names),
    (serve_one_way, one_way),
    (serve_reset, reset),
    (serve_unread, unread),
    (serve_peeked, peeked),
    (serve_polled, polled),
    (serve_slow, slow),
    (serve_exit, ended),
)


def server():
    listener = socket.socket(FAMILY)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((ADDRESS, PORT))
    listener.listen()
    said("listens", named(listener.getsockname()))
    other = socket.socket(FAMILY)
    said("taken", failed(lambda: (other.bind((ADDRESS, PORT)), other.listen())))
    for serve, _ in STEPS:
        sock, peer = listener.accept()
        said("accepted", peer[0], len(peer))
        serve(sock)
        sock.close()


def client():
    with socket.socket(FAMILY) as sock:
        said("refused", failed(sock.connect, (ADDRESS, PORT + 1)))
    with socket.socket(FAMILY) as sock:
        sock.setblocking(False)
        said("begun", failed(sock.connect, (ADDRESS, PORT + 1)))
        said("events", select.select([], [sock], [], 20)[1] == [sock])
        said("error", errno.errorcode[sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
    with socket.socket(FAMILY) as sock:
        said("not connected", failed(sock.getpeername), failed(sock.shutdown, socket.SHUT_WR))
    for _, step in STEPS:  # with the last one the server ends
        with socket.socket(FAMILY) as sock:
            sock.connect((ADDRESS, PORT))
            step(sock)


server() if ROLE == "server" else client()
