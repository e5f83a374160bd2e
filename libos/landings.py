"""Where sockets of programs are connected to that ask for a connection to a network of our own: listening sockets of
ours on loopback, by family. What they accept are far ends (libos/crossing.py).
"""

import _socket
import os

from libos import own_socket
from libos.crossing import LOOPBACK
from libos.refusal import Refusal

COMPILED = __file__.endswith(".so")
BACKLOG = 4096
ENOMEM = 12
STRANGERS = 64
PATIENCE = 1000  # turns until the kernel has made a connection of its own ends


class Landings:
    """`early`: by family and port, far ends that others of our threads are about to ask for."""

    def __init__(self):
        self.socks = {}
        self.early = {}

    def of(self, family):
        """The listening socket of a family. Raises OSError."""
        if family not in self.socks:
            sock = own_socket.raised(own_socket.made(family, _socket.SOCK_STREAM))
            sock.bind((LOOPBACK[family], 0))
            sock.listen(BACKLOG)
            if self.socks.setdefault(family, sock) is not sock:  # another thread's is there meanwhile
                sock.close()
        return self.socks[family]

    def landed(self, family, port):
        """The far end of the connection from `port`. Raises Refusal."""
        landing = self.of(family)
        for _ in range(PATIENCE):
            if (family, port) in self.early:
                return self.early.pop((family, port))
            try:
                fd, peer = landing._accept()
            except BlockingIOError:
                os.sched_yield()
                continue
            os.set_blocking(fd, False)
            self.early[family, peer[1]] = own_socket.standing_for(own_socket.high(fd))
            while len(self.early) > STRANGERS:  # programs that have no business here
                self.early.pop(next(iter(self.early))).close()
        raise Refusal(ENOMEM)

    def forget(self):
        """The descriptors, which are somebody else's from now on."""
        numbers = [sock.detach() for sock in (*self.socks.values(), *self.early.values())]
        self.socks.clear()
        self.early.clear()
        return numbers
