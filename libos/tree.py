"""What the processes of one tree share, forked from a program with a network of our own: they are one host.

Made at the first fork. One process, the *owner*, has the stack (libos/network.py); the others, its *members*, ask it
for what they need (libos/member.py, libos/line.py). Shared memory says who the owner is, and who is at the other end of
connections that nobody has accepted yet, whichever process will. A *door* is where a member leaves its end of a line to
the owner: a pair of sockets that all of them have had from birth, so that it takes no name, and no user or root that
they may have left.
"""

import _socket
import os

from libos import own_socket, raw
from libos.catnip import unpacked, words
from libos.memory_file import mapped, sealed

COMPILED = __file__.endswith(".so")
OWNER = 0  # the word that has its process number, 0 for nobody's
KEY = 8  # and the one that has the key of letters (libos/letters.py)
NAMES, PORTS, ENTRY = 4096, 65536, 64  # by family and by port of a far end: whose connection it is
HANDLE, LOCAL, PEER, OWN_PORT, PEER_PORT = 0, 8, 24, 40, 48
SIZE = NAMES + 2 * PORTS * ENTRY


def line():
    """The two ends of a line between processes of ours, on which messages keep their bounds."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    return [own_socket.raised(end) for end in _socket.socketpair(_socket.AF_UNIX, kind)]


class Tree:
    """`owner`: the number of the process that has the stack, 0 where there is none yet; `given`: descriptors of the
    page of a tree that is there, and of a knocker (libos/gate.py): it has no door. Raises OSError.
    """

    def __init__(self, owner, given=None):
        self.page_fd = given[0] if given else sealed("catflap-tree", SIZE)
        self.page = mapped(self.page_fd, SIZE, SIZE, 0, True)
        if given:
            self.door, self.knocker = None, own_socket.standing_for(given[1])
        else:
            raw.store(self.page + KEY, int.from_bytes(os.urandom(8), "little") | 1)
            raw.store(self.page + OWNER, owner)
            self.door, self.knocker = line()

    def key(self):
        return raw.load(self.page + KEY)

    def owner(self):
        """The process that has the stack, 0 where that was nobody or has been killed."""
        pid = raw.load(self.page + OWNER)
        return 0 if pid and raw.ended(pid) else pid

    def vacant(self):
        """Nobody has the stack after all."""
        raw.store(self.page + OWNER, 0)

    def claim(self, pid):
        """Be the owner from now on, unless another process is. True when that is said."""
        before = raw.load(self.page + OWNER)
        return before == pid or (self.owner() == 0 and raw.compare_exchange(self.page + OWNER, before, pid))

    def pass_on(self, pid):
        """The owner ends, and another process has all that it had."""
        raw.store(self.page + OWNER, pid)

    def place(self, met):
        """Where the entry of a far end is that has the address `met` on loopback: (host, port)."""
        return self.page + NAMES + ((":" in met[0]) * PORTS + met[1]) * ENTRY

    def announce(self, met, crossing):
        """A connection is on its way to the program's listening socket."""
        at = self.place(met)
        for (packed, port), name, number in ((crossing.local, LOCAL, OWN_PORT), (crossing.peer, PEER, PEER_PORT)):
            high, low = words(packed)
            raw.store(at + name, high)
            raw.store(at + name + 8, low)
            raw.store(at + number, port)
        raw.fence()
        raw.store(at + HANDLE, crossing.handle)

    def withdraw(self, met):
        """It has been accepted, or will never be."""
        raw.store(self.place(met) + HANDLE, 0)

    def arrived(self, met):
        """(handle, local, peer) of a connection that was accepted from `met`, None for the kernel's own. Once."""
        at = self.place(met)
        handle = raw.load(at + HANDLE)
        if not handle or not raw.compare_exchange(at + HANDLE, handle, 0):
            return None
        local, peer = (
            (unpacked(raw.load(at + name), raw.load(at + name + 8)), raw.load(at + number))
            for name, number in ((LOCAL, OWN_PORT), (PEER, PEER_PORT))
        )
        return handle, local, peer
