"""Connections of a program's sockets to a network of our own: how each gets its far end, its names and its rings.

Every such socket is a kernel TCP socket connected over loopback to a far end of ours, as Catloop's sockets are to those
of another program. A connection that the program asks for goes to a landing of ours; one that comes in is brought to
the program's own listening socket, which accepts it as any other.
"""

import _socket
import select
from time import sleep

from libos import endpoint, layout, leaving, listeners, raw, relay, rings, spine
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

    `local` and `peer`: (packed address, port), None where the kernel is right; `end`: the record of the program's end.
    There are many, most of them idle.
    """

    __slots__ = ("end", "family", "near_name", "network", "peer_name", "record")
    known = KNOWN

    def __init__(self, network, record, family, local, peer=None, end=0):
        self.network = network
        self.record = record
        self.end = end
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

    def parted(self):
        """As Meeting's: `released` has done it all."""

    def holds(self, fd):
        return True


class Crossing(OnNetwork):
    """A connection of the stack, `record`, under a program's socket.

    To Catloop it is the meeting of the two ends, which know each other from the start. `line`: to the member of the
    tree that has the program's end in rings, None for this process.
    """

    __slots__ = ("far", "handle", "line", "met", "relay", "sock", "tries")
    at_once = True  # its rings are there from the first byte on

    def __init__(self, network, record, family, local, peer):
        OnNetwork.__init__(self, network, record, family, local, peer)
        self.relay = 0
        self.handle = 0  # what members know it by: the relay, and which of the connections that had it
        self.far = self.tries = 0
        self.line = None
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
                if network.tree is not None:
                    self.introduce()
        if not self.relay:
            network.catloop.records.give_back(far)
            raise Refused("NO_MEMORY")
        network.watch(sock, self, EDGES)

    def met_program(self):
        """The far end is connected to the program's listening socket."""
        with self.network.locked() as gateway:
            if self.carried():
                flags = raw.load(self.relay + layout.R_FLAGS)
                raw.store(self.relay + layout.R_FLAGS, flags & raw.invert(layout.R_OPENING))
                gateway.move(self.relay)

    def introduce(self):
        """Members of the tree may come to speak of it."""
        self.network.introduced += 1
        self.handle = (self.network.introduced & 0xFFFF) << 48 | self.relay

    def heard(self):
        """The kernel has something to say of the far end."""
        endpoint.look_next(self.far)
        with self.network.locked() as gateway:
            gateway.move(self.relay)

    def attach(self, end):
        """Give both ends the rings of one slot. Raises Refused."""
        family = self.network.catloop.family
        family.start_bells()
        near, beyond, slot = self.network.pairs.slot()
        family.hear(end, family.key, family.page_fd)
        near.attach(end, slot)
        self.meet(end, beyond, slot, 0)

    def meet(self, end, beyond, slot, bell):
        """Give the far end the rings that the program's has. `bell`: who is to be woken for what is in them."""
        network, family = self.network, self.network.catloop.family
        whose = (self.line.key, self.line.page) if self.line else (family.key, family.page_fd)
        family.hear(self.far, *whose)
        with network.locked() as gateway:
            if self.carried() and not raw.load(self.relay + layout.R_FLAGS) & layout.R_OVER:
                beyond.attach(self.far, slot)
                raw.store(raw.load(self.far + layout.IN) + layout.H_WATCHED, 1)
                raw.store(raw.load(self.far + layout.IN) + layout.H_BELL, bell)
                raw.store(raw.load(self.far + layout.OUT) + layout.H_ROOM_BELL, bell)
                agree(self.far)
                if raw.load(self.relay + layout.R_FLAGS) & layout.R_OPENING:
                    raw.store(end + layout.OUT_STATE, layout.OPENING)
                raw.store(self.relay + layout.R_OWN, end)
                gateway.move(self.relay)  # the network may have been faster, and says nothing twice

    def step(self):
        """As Meeting's: whether the rings are there."""
        if not self.carried():
            raise Refused("LEFT")
        self.attach(self.end)
        return True

    def own(self):
        """The record of the program's end, 0 where it is not in this process's rings."""
        return raw.load(self.relay + layout.R_OWN) if self.line is None else 0

    def go_plain(self):
        """The program's end goes back to the kernel, for good."""
        own = self.own()
        for _ in range(PATIENCE):
            if not own or not leaving.leave(own):
                break
            self.network.gateway.carry_on()
            sleep(0.001)

    def depart(self):
        """The process ends with the program's socket open: as a close that the kernel makes for us."""
        own = self.own()
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
        if self.network.gateway is None:
            return self.network.told_options(self.handle, sock, names)
        with self.network.locked() as gateway:
            if self.carried():
                take_over(gateway.tcp, self.record, sock, names)

    def released(self):
        """The program has closed its socket; a forked process may go on with it."""
        self.network.arrivals.unmet(self)
        if self.network.gateway is None:
            self.network.told_release(self.handle, self.network.catloop.records.alone(self.end))
        else:
            self.let_go(self.network.catloop.records.alone(self.end))

    def let_go(self, last):
        """Nobody is at the program's end by our rings; `last`: nor in any other way."""
        with self.network.locked():
            if self.carried():
                raw.store(self.relay + layout.R_OWN, 0)
                if last:
                    relay.mark(self.relay, layout.R_RELEASED)


class Bound(OnNetwork):
    """A socket that has a name on the network and is neither connected nor listening.

    `kept`: this process has it for others of its tree, and a share of its end's record for as long as they have theirs;
    `line`: none of such a record, but one to a program that was executed, which says when it has `left` it.
    """

    __slots__ = ("kept", "left", "line")

    def __init__(self, network, record, family, local, end):
        OnNetwork.__init__(self, network, record, family, local, None, end)
        self.kept = self.left = False
        self.line = None
        network.bounds[record] = self

    def step(self):
        return False

    def options(self, sock, names=KNOWN):
        if self.record in self.network.bounds:
            OnNetwork.options(self, sock, names)
        else:
            self.network.told_options(self.record, sock, names)

    def keep(self, line):
        """A member of the tree has made it: take a share of its record."""
        self.kept = True
        if line.stranger:
            self.line = line
            return
        raw.fetch_add(self.end + layout.USERS, 1)
        self.network.catloop.records.join(self.end)

    def released(self):
        """The program has closed its socket. True where the share of its record is not to be given back any more."""
        here = self.network.bounds.get(self.record)  # what it has become meanwhile
        if here is None:
            records = self.network.catloop.records
            last = records.alone(self.end)
            records.give_back(self.end)
            self.network.told_release(self.record, last)
            return True
        here.kept = not self.network.catloop.records.alone(self.end)
        if not here.kept:
            here.over()
        return here.kept

    def sweep(self):
        """Nobody may have it any more."""
        if self.kept and not self.held():
            self.give_back()
            self.over()

    def held(self):
        """Whether another process has it."""
        if self.line is not None:
            return not self.left and self.line in self.network.lines
        return not self.network.catloop.records.alone(self.end)

    def give_back(self):
        if self.kept and self.line is None:
            self.network.catloop.records.give_back(self.end)

    def taken(self):
        """Its record is a connection's from now on."""
        self.network.bounds.pop(self.record, None)
        self.give_back()

    def over(self):
        self.network.bounds.pop(self.record, None)
        with self.network.locked() as gateway:
            user.close(gateway.tcp, self.record)


class Listening(Bound):
    """A listener of the stack, beside the program's socket that listens on the kernel at `where`."""

    __slots__ = ("where",)

    def __init__(self, network, record, family, local, end, where):
        Bound.__init__(self, network, record, family, local, end)
        self.where = where
        network.listeners[record] = self

    def held(self):
        """The kernel knows of those, too, that have it without our knowledge."""
        if self.left or (self.line is None and not Bound.held(self)):
            return False
        try:
            return listeners.listens(self.family, self.where[1])
        except OSError:
            return Bound.held(self)

    def over(self):
        self.network.listeners.pop(self.record, None)
        Bound.over(self)

    def take(self):
        """Bring to the program who waits to be accepted."""
        while self.record in self.network.listeners:
            with self.network.locked() as gateway:
                record = gateway.accepted(self.record)
            if not record:
                return
            self.network.arrivals.bring(self, record)
