"""Connections of a program's sockets to a network of our own: how each gets its far end, its names and its rings.

Every such socket is a kernel TCP socket connected over loopback to a far end of ours, as Catloop's sockets are to those
of another program. A connection that the program asks for goes to a landing of ours; one that comes in is brought to
the program's own listening socket, which accepts it as any other.
"""

import _socket
import select
from time import sleep

from libos import layout, leaving, raw, rings, spine
from libos.meeting import agree
from libos.net.tcp import user
from libos.net_options import KNOWN, take_over
from libos.refusal import Refused

LOOPBACK = {_socket.AF_INET: "127.0.0.1", _socket.AF_INET6: "::1"}
PATIENCE = 500  # milliseconds
SYS_shutdown, SHUT_WR = 48, 1
EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


def joined(name):
    """A (packed address, port) in a third of the memory; None as it is."""
    return name and name[0] + name[1].to_bytes(2, "big")


def parted(name):
    size = len(name) - 2 if name else 0
    return name and (name[:size], int.from_bytes(name[size:], "big"))


class OnNetwork:
    """What a program's socket is on the network: `record` is the stack's, `known` the options that it has too.

    `local` and `peer`: (packed address, port), None where the kernel is right. There are many, most of them idle.
    """

    __slots__ = ("family", "near_name", "network", "peer_name", "record")
    known = KNOWN

    def __init__(self, network, record, family, local, peer=None):
        self.network = network
        self.record = record
        self.family = family  # of the program's socket
        self.near_name, self.peer_name = joined(local), joined(peer)

    @property
    def local(self):
        return parted(self.near_name)

    @property
    def peer(self):
        return parted(self.peer_name)

    def options(self, sock, names=KNOWN):
        """The program's socket has these options."""
        with self.network.locked() as gateway:
            take_over(gateway.tcp, self.record, sock, names)

    def why(self, end, error):
        """What SO_ERROR says where the kernel says `error`: a spine can only be reset, and the end knows why."""
        return raw.load32(end + layout.FAULT) if error else 0

    def close(self):
        """Nothing is left over from the way here."""

    def holds(self, fd):
        return True


class Crossing(OnNetwork):
    """A connection of the stack, `record`, under a program's socket.

    To Catloop it is the meeting of the two ends, which know each other from the start.
    """

    __slots__ = ("end", "far", "met", "relay", "sock", "tries")

    def __init__(self, network, record, family, local, peer):
        OnNetwork.__init__(self, network, record, family, local, peer)
        self.relay = 0
        self.end = self.far = self.tries = 0
        self.sock = None  # the far end's
        self.met = None  # the address of the spine that the program will see

    def carried(self):
        """Whether its relay is still there: one that has come to its end is another connection's next. Under the
        gateway's lock, where that is to stay so.
        """
        return self.network.crossings.get(self.relay) is self

    def begin(self, sock, flags=0):
        """The far end is the socket `sock`; `flags` of the relay. Raises Refused."""
        network = self.network
        far = network.catloop.records.claim()
        if not far:
            raise Refused("NO_MEMORY")
        self.sock, self.far = sock, far
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_OOBINLINE, 1)
        spine.set_fd(far, sock.fileno())
        spine.nobody_sleeps(far)
        with network.locked() as gateway:
            self.relay = gateway.begin(self.record, far, flags)
            if self.relay:  # before it can be over: the keeper is told once
                network.crossings[self.relay] = self
        if not self.relay:
            network.catloop.records.give_back(far)
            raise Refused("NO_MEMORY")
        network.epoll.register(sock.fileno(), EDGES)
        network.by_fd[sock.fileno()] = self

    def met_program(self):
        """The far end is connected to the program's listening socket."""
        with self.network.locked() as gateway:
            if self.carried():
                flags = raw.load(self.relay + layout.R_FLAGS)
                raw.store(self.relay + layout.R_FLAGS, flags & raw.invert(layout.R_OPENING))
                gateway.pump(self.relay)

    def attach(self, end):
        """Give both ends the rings of one slot. Raises Refused."""
        network, family = self.network, self.network.catloop.family
        family.start_bells()
        near, beyond, slot = network.slot()
        for one in (end, self.far):
            family.hear(one, family.key, family.page_fd)
        near.attach(end, slot)
        with network.locked() as gateway:
            if self.carried() and not raw.load(self.relay + layout.R_FLAGS) & layout.R_OVER:
                beyond.attach(self.far, slot)
                raw.store(raw.load(self.far + layout.IN) + layout.H_WATCHED, 1)
                agree(self.far)
                if raw.load(self.relay + layout.R_FLAGS) & layout.R_OPENING:
                    raw.store(end + layout.OUT_STATE, layout.OPENING)
                raw.store(self.relay + layout.R_OWN, end)
                gateway.pump(self.relay)  # the network may have been faster, and says nothing twice

    def step(self):
        """As Meeting's: whether the rings are there."""
        if not self.carried():
            raise Refused("LEFT")
        self.attach(self.end)
        return True

    def go_plain(self):
        """The program's end goes back to the kernel, for good."""
        own = raw.load(self.relay + layout.R_OWN)
        for _ in range(PATIENCE):
            if not own or not leaving.leave(own):
                break
            self.network.gateway.carry()
            sleep(0.001)

    def depart(self):
        """The process ends with the program's socket open: as a close that the kernel makes for us."""
        own = raw.load(self.relay + layout.R_OWN)
        if not own or not self.network.catloop.records.alone(own):
            return
        unread = raw.load(own + layout.IN_STATE) == layout.RING and rings.inbound(own) != 0
        leaving.close_inward(own)
        leaving.stop_sending(own, True)
        for _ in range(PATIENCE):
            if leaving.settle(own):
                break
            sleep(0.001)
        raw.syscall(SYS_shutdown, spine.fd_of(own), SHUT_WR, 0, 0, 0, 0)
        self.network.gateway.depart(self.relay, unread)

    def options(self, sock, names=KNOWN):
        if self.network.gateway is not None:
            with self.network.locked() as gateway:
                if self.carried():
                    take_over(gateway.tcp, self.record, sock, names)

    def released(self):
        """The program has closed its socket."""
        self.network.unmet(self)
        if self.network.gateway is not None:
            with self.network.locked():
                if self.carried():
                    raw.store(self.relay + layout.R_OWN, 0)
                    raw.store(self.relay + layout.R_FLAGS, raw.load(self.relay + layout.R_FLAGS) | layout.R_RELEASED)


class Bound(OnNetwork):
    """A socket that has a name on the network and is neither connected nor listening."""

    __slots__ = ()

    def step(self):
        return False

    def released(self):
        with self.network.locked() as gateway:
            user.close(gateway.tcp, self.record)


class Listening(Bound):
    """A listener of the stack, beside the program's socket that listens on the kernel at `where`."""

    __slots__ = ("where",)

    def __init__(self, network, record, family, local, where):
        Bound.__init__(self, network, record, family, local)
        self.where = where

    def released(self):
        self.network.listeners.pop(self.record, None)
        Bound.released(self)

    def take(self):
        """Bring to the program who waits to be accepted."""
        while True:
            with self.network.locked() as gateway:
                record = gateway.accepted(self.record)
            if not record:
                return
            self.network.bring(self, record)
