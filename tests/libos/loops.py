"""Two Catloops in one process, with a real TCP connection between them: as two processes, but for the address space."""

import ctypes
import socket
from contextlib import contextmanager

from libos import calls, endpoint
from libos.catloop import Catloop


class Side:
    """One end: `push(bytes)` and `pop(size)` as the POSIX layer calls them; errors are negative."""

    def __init__(self, sock, accepting):
        self.catloop = Catloop(worth=1)
        self.sock = sock
        self.queue = self.catloop.adopt(sock.fileno(), 1)
        self.queue.accepting = accepting
        self.end = self.queue.end

    def attend(self):
        self.queue.uses += 1000
        self.catloop.attend(self.queue, True)

    def push(self, data, flags=0):
        room = ctypes.create_string_buffer(data, max(len(data), 1))
        return endpoint.push(self.end, ctypes.addressof(room), len(data), flags | calls.NOSIGNAL)

    def pop(self, size, flags=0):
        """Bytes, or the negative error."""
        room = ctypes.create_string_buffer(max(size, 1))
        r = endpoint.pop(self.end, ctypes.addressof(room), size, flags)
        return room.raw[:r] if r >= 0 else r

    def drain(self, size=1 << 20):
        """All bytes that are there now."""
        found = b""
        for _ in range(1000):
            got = self.pop(size, calls.LOOK_NOW)
            if not isinstance(got, bytes) or not got:
                break
            found += got
        return found

    def close(self):
        self.catloop.release(self.queue)
        self.sock.close()
        self.queue.owner = None
        self.catloop.freed(self.queue)


def tcp_pair(family=socket.AF_INET):
    listener = socket.create_server(("127.0.0.1" if family == socket.AF_INET else "::1", 0), family=family)
    a = socket.create_connection(listener.getsockname()[:2])
    b, _ = listener.accept()
    listener.close()
    for sock in (a, b):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return a, b


@contextmanager
def pair(family=socket.AF_INET, upgraded=True):
    a, b = tcp_pair(family)
    left, right = Side(a, False), Side(b, True)
    try:
        if upgraded:
            upgrade(left, right)
        yield left, right
    finally:
        left.close()
        right.close()


def upgrade(left, right):
    """Both directions in the ring. Each side takes its steps as the program uses the connection."""
    for _ in range(12):
        left.attend()
        right.attend()
    for one, other in ((left, right), (right, left)):
        assert one.push(b"!") == 1
        assert other.drain() == b"!"
        assert one.push(b"?") == 1
        assert other.drain() == b"?"
