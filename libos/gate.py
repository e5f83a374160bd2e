"""Programs that are executed, not forked, are the same host too where their configuration says so: who has its network
has a *gate*, under a name that follows from the device and the addresses, and who knocks there gets what the processes
of a tree share (libos/tree.py). It has records of ends of its own, and a line of its own.

Only programs of the same user are let in. Linux' abstract names (unix(7)) are those of a network namespace, and end
with their owner.
"""

import _socket
import marshal
import os
import select
import struct
from binascii import crc32

from libos import own_socket
from libos.errors import Fail, Kind
from libos.meeting import close_all, receive, send
from libos.memory_file import high
from libos.refusal import Refused

COMPILED = __file__.endswith(".so")
EADDRINUSE = 98
BACKLOG = 128
PATIENCE = 5000  # ms until who has the network has answered
DIAGNOSE, BY_FAMILY, DUMP = 4, 20, 0x301  # netlink(7), sock_diag(7)
ERROR, DONE, LISTEN = 2, 3, 10


def host(values, run):
    """The words for the host that a configuration describes; None where it is each program's own: a segment allots
    addresses. `run`: what the programs of one `catflap run` have in common, or None.
    """
    return f"{values['device']} {values['addresses'] or run}" if values["addresses"] or run else None


def made(nonblock=0):
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | nonblock)


def name(words):
    return b"\0catflap/host/%08x" % crc32(words.encode())


def claimed(words):
    """The socket of a gate; None where another process has it. Raises OSError."""
    sock = made(_socket.SOCK_NONBLOCK)
    try:
        sock.bind(name(words))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == EADDRINUSE:
            return None
        raise
    return own_socket.raised(sock)


def user(sock):
    """Of the process at the other end."""
    return struct.unpack("=3i", sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12))[1]


def knock(words):
    """(the network's interface, descriptors of a tree's page, door and knocker). Raises Fail, OSError."""
    sock = made(_socket.SOCK_NONBLOCK)
    try:
        sock.connect(name(words))
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        if user(sock) != os.geteuid():
            raise Fail(Kind.IN_USE, "another user's process has it")
        if not poll.poll(PATIENCE):
            raise Fail(Kind.TIMED_OUT, "another process has it, and does not answer")
        text, fds = receive(sock, 3)
        said, shown = marshal.loads(text)
        if said != words:
            close_all(fds)
            raise Fail(Kind.IN_USE, f"its name is taken by {said!r}")
        return shown, [high(fd) for fd in fds]
    except (EOFError, Refused):
        raise Fail(Kind.IN_USE, "another process has it, and lets nobody in")
    finally:
        sock.close()


class Gate:
    """`sock`: as of `claimed`. Heard by the keeper."""

    def __init__(self, network, sock):
        self.network = network
        self.sock = sock
        network.watch(sock, self)

    def heard(self):
        while True:
            try:
                fd, _ = self.sock._accept()
            except OSError:  # nobody is there any more
                return
            visitor = own_socket.standing_for(fd)
            try:
                if user(visitor) == os.geteuid():
                    self.let_in(visitor)
            except OSError as error:
                self.network.log("another program is not let in", error)
            finally:
                visitor.close()

    def let_in(self, visitor):
        network = self.network
        network.forks.grow_once()
        tree = network.tree
        if tree is not None:
            text = marshal.dumps((network.host, network.shown))
            send(visitor, text, tree.page_fd, tree.door.fileno(), tree.knocker.fileno())


def listens(family, port):
    """Whether a TCP socket of the kernel's listens on a port, whosever it is. Raises OSError."""
    kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
    sock = _socket.socket(_socket.AF_NETLINK, kind, DIAGNOSE)
    try:
        asked = struct.pack("=BBBxI", family, _socket.IPPROTO_TCP, 0, 1 << LISTEN)
        asked += struct.pack(">HH", port, 0) + bytes(32 + 4 + 8)
        sock.send(struct.pack("=IHHII", 16 + len(asked), BY_FAMILY, DUMP, 1, 0) + asked)
        kind = struct.unpack_from("=IH", sock.recv(65536))[1]
        if kind == ERROR:
            raise OSError(95, "the kernel does not say who listens")
        return kind != DONE
    finally:
        sock.close()
