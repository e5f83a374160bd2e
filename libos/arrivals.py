"""Connections that come in from a network of our own, on their way to the program's listening socket: a far end of ours
connects there, and whichever process of the tree accepts it finds out by its address whose connection it is.
"""

import _socket

from libos import layout, own_socket
from libos.crossing import LOOPBACK, Crossing
from libos.net.tcp import user
from libos.refusal import Refused

COMPILED = __file__.endswith(".so")
ECONNREFUSED = 111
IDLE = 60  # seconds, as long as the kernel keeps the end of a connection that nobody has any more


def make_sure(sock):
    """A far end whose program may be gone without a word, once it has said goodbye: the kernel is to find out."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_KEEPIDLE, IDLE)


class Arrivals:
    """`expected`: by the address that the program will see, connections that it has not accepted yet."""

    def __init__(self, network):
        self.network = network
        self.expected = {}

    def bring(self, listener, record):
        """A connection has come in: a far end of ours connects to the program's listening socket."""
        network = self.network
        gateway, tree = network.gateway, network.tree
        crossing = Crossing(network, record, listener.family, gateway.name(record, False), gateway.name(record, True))
        sock = None
        try:
            sock = own_socket.raised(own_socket.made(listener.family, _socket.SOCK_STREAM))
            sock.bind((LOOPBACK[listener.family], 0))
            crossing.met = sock.getsockname()[:2]
            self.expected[crossing.met] = crossing
            crossing.begin(sock, layout.R_OPENING)  # till it is connected: threads of the program take turns meanwhile
            if tree is not None:
                tree.announce(crossing.met, crossing)
                make_sure(sock)
            if sock.connect_ex(listener.where) == ECONNREFUSED:
                listener.over()  # who had it was killed
                self.give_up(crossing, sock)
            else:
                crossing.met_program()
        except (OSError, Refused):
            self.give_up(crossing, sock)

    def give_up(self, crossing, sock):
        """There is no way to the program: the peer hears of it."""
        self.unmet(crossing)
        if crossing.relay:
            self.network.end(crossing)
        elif sock is not None:
            sock.close()
        with self.network.locked() as gateway:
            user.abort(gateway.tcp, crossing.record)

    def unmet(self, crossing):
        if crossing.met is not None and self.expected.get(crossing.met) is crossing:
            del self.expected[crossing.met]
            if self.network.tree is not None:
                self.network.tree.withdraw(crossing.met)

    def announce(self, tree):
        """The first fork: others may accept what is on its way."""
        for met, crossing in self.expected.items():
            tree.announce(met, crossing)

    def accepted(self, fd):
        """What a socket is that the program has accepted, a Crossing or a Passage; None for the kernel's own."""
        member = self.network.member
        if not self.expected and member is None:
            return None
        sock = own_socket.standing_for(fd)
        try:
            peer, family = sock.getpeername()[:2], sock.family
        except OSError:
            return None
        finally:
            sock.detach()
        met = peer[0].removeprefix("::ffff:"), peer[1]
        if member is not None:
            return member.accepted(family, met)
        crossing = self.expected.pop(met, None)
        if crossing is not None and self.network.tree is not None:
            self.network.tree.withdraw(met)
        return crossing
