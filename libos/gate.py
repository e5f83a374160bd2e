"""Programs that are executed, not forked, are the same host too where their configuration says so: who has its network
has a *gate*, under a name that follows from the device and the addresses, and who knocks there gets the page of the
tree (libos/tree.py) and a knocker of its own. It has records of ends of its own, too (libos/line.py).

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
from libos.line import Door
from libos.meeting import close_all, receive, send
from libos.memory_file import high
from libos.refusal import Refused
from libos.tree import line

COMPILED = __file__.endswith(".so")
FORMAT = 1  # another one where records, pages, or what is said at gates, doors and lines are others
EADDRINUSE = 98
BACKLOG = 128
PATIENCE = 5000  # ms until who has the network has answered


def host(values, run):
    """The words for the host that a configuration describes; None where it is each program's own: a segment allots
    addresses. `run`: what the programs of one `catflap run` have in common, or None.
    """
    return f"{values['device']} {values['addresses'] or run}" if values["addresses"] or run else None


def made():
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    return _socket.socket(_socket.AF_UNIX, kind)


def name(words):
    return b"\0catflap/host/%d/%08x" % (FORMAT, crc32(words.encode()))


def claimed(words):
    """The socket of a gate; None where another process has it. Raises OSError."""
    sock = made()
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
    """(the network's interface, descriptors of a tree's page and of a knocker). Raises Fail, OSError."""
    sock = made()
    try:
        sock.connect(name(words))
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        if user(sock) != os.geteuid():
            raise Fail(Kind.IN_USE, "another user's process has it")
        if not poll.poll(PATIENCE):
            raise Fail(Kind.TIMED_OUT, "another process has it, and does not answer")
        text, fds = receive(sock, 2)
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
        if network.tree is None:
            return
        door, knocker = line()
        try:
            text = marshal.dumps((network.host, network.shown))
            send(visitor, text, network.tree.page_fd, knocker.fileno())
        except OSError:
            door.close()
            raise
        finally:
            knocker.close()
        Door(network, door)
