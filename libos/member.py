"""The network as a process has it whose parent, or child, has the stack (libos/tree.py): it asks for what it needs.

Asked is when a socket is made ready, never for data: the bytes of a connection go through the kernel, and through rings
that this process shares with the owner once the connection is worth it.
"""

import marshal
import os
import select
from _thread import allocate_lock
from time import sleep

from libos import errand, layout, pair, raw
from libos.crossing import LOOPBACK, OnNetwork
from libos.meeting import receive, send
from libos.memory_file import high
from libos.net_options import KNOWN
from libos.refusal import Refusal, Refused
from libos.tree import line

COMPILED = __file__.endswith(".so")
ENETDOWN, EINPROGRESS = 100, 115
PATIENCE = 100  # ms between two looks whether the owner is alive
GREETING = 100  # looks until it has to be heard of
SELDOM = 8  # as many tries as after which a connection is looked at seldom (libos/catloop.py)


class Member:
    """`network`: this process's, which has no stack."""

    def __init__(self, network):
        self.network = network
        self.tree = network.tree
        self.catloop = network.catloop
        self.lock = allocate_lock()
        self.sock = None  # our end of the line
        self.key = self.page_fd = None  # the owner's family
        self.near = None  # our side of a pair with the owner

    def begin(self):
        """A line to the owner, and memory for the rings of connections. Raises OSError."""
        family = self.catloop.family
        family.start_bells()
        self.near = pair.make()
        family.keep(b"network", self.near)
        self.near.live += 1  # kept while there is no connection
        ours, theirs = line()
        try:
            who = marshal.dumps((family.key, family.table))
            fds = theirs.fileno(), self.near.fd, family.table_fd, family.page_fd
            self.told(lambda: send(self.tree.knocker, who, *fds), select.POLLOUT)
        finally:
            theirs.close()
        self.sock = ours
        # an owner that has executed another program has the same number still
        self.key, fds = self.told(lambda: receive(ours, 1), select.POLLIN, GREETING)
        if self.page_fd is not None:
            os.close(self.page_fd)
        self.page_fd = high(*fds)

    def told(self, call, event, looks=-1):
        """What `call` returns once it need not wait. Raises Refusal where the owner has ended, or after `looks`."""
        while True:
            try:
                return call()
            except BlockingIOError:
                looks -= 1
                if looks == 0 or not self.tree.owner():
                    raise Refusal(ENETDOWN)
                if self.sock is None:
                    sleep(PATIENCE / 1000)
                    continue
                poll = select.poll()
                poll.register(self.sock.fileno(), event)
                poll.poll(PATIENCE)

    def ask(self, kind, **what):
        """The Errand that the owner answers with. Raises Refusal."""
        if self.sock is None and not self.tree.owner():
            raise Refusal(ENETDOWN)
        with self.lock:
            try:
                if self.sock is None:
                    self.begin()
                self.told(lambda: send(self.sock, errand.message(kind, **what)), select.POLLOUT)
                answer = errand.Errand(self.told(lambda: receive(self.sock, 0), select.POLLIN)[0])
            except BaseException as error:  # what is answered later is no answer to what is asked next
                self.hang_up()
                if isinstance(error, (OSError, EOFError, Refused)):
                    raise Refusal(ENETDOWN)
                raise
        if answer.kind:
            raise Refusal(answer.kind)
        return answer

    def tell(self, kind, **what):
        """As `ask`, of what has no answer."""
        with self.lock:
            try:
                if self.sock is not None:
                    send(self.sock, errand.message(kind, **what))
            except OSError:
                pass  # it has ended, or will find out by itself

    def hang_up(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.near.live -= 1

    def reaches(self, packed):
        return bool(self.ask(errand.REACHES, name=(packed, 0)).number)

    def owns(self, packed):
        return bool(self.ask(errand.OWNS, name=(packed, 0)).number)

    def bind(self, sock, packed, port, end):
        options = errand.told(sock, KNOWN)
        answer = self.ask(errand.BIND, family=sock.family, end=end, name=(packed, port), options=options)
        return Kept(self.network, answer.handle, sock.family, answer.name, None, end)

    def listen(self, bound, sock, port, backlog, end):
        handle, options = bound.record if bound else 0, errand.told(sock, KNOWN)
        name = (bytes(4), port)
        family = sock.family
        answer = self.ask(
            errand.LISTEN, family=family, number=backlog, handle=handle, end=end, name=name, options=options
        )
        return Kept(self.network, answer.handle, family, bound.local if bound else None, None, end)

    def connect(self, near, bound, packed, port):
        family, handle, options = near.family, bound.record if bound else 0, errand.told(near, KNOWN)
        called = self.ask(errand.CONNECT, family=family, handle=handle, name=(packed, port), options=options)
        error = near.connect_ex((LOOPBACK[family], called.number))
        if error not in (0, EINPROGRESS):
            self.tell(errand.LANDED, handle=called.handle)
            raise Refusal(error)
        own = near.getsockname()[1]
        landed = self.ask(errand.LANDED, handle=called.handle, name=(bytes(4), own))
        return Passage(self.network, landed.handle, family, called.name, (packed, port), True)

    def accepted(self, family, met):
        """The Passage of a connection that was accepted from the loopback address `met`, None for the kernel's own."""
        arrived = self.tree.arrived(met)
        if arrived is None:
            return None
        passage = Passage(self.network, arrived[0], family, *arrived[1:], False)
        passage.met = met
        return passage

    def attach(self, end, handle):
        """Give an end the rings of one slot: whether there was one. Raises Refusal."""
        family = self.catloop.family
        if self.sock is None:
            self.ask(errand.REACHES)
        slot = self.near.take_slot()
        if slot < 0:
            return False
        family.hear(end, self.key, self.page_fd)
        self.near.attach(end, slot)
        try:
            self.ask(errand.ATTACH, handle=handle, end=end, slot=slot)
        except Refusal:
            raw.store(raw.load(end + layout.OUT) + layout.H_GONE, 1)  # nobody is at the other side
        return True


class Kept(OnNetwork):
    """A socket that has a name on the network, or listens there: `record` is the owner's."""

    __slots__ = ()

    def step(self):
        return False

    def options(self, sock, names=KNOWN):
        self.network.told_options(self.record, sock, names)

    def released(self):
        """The program has closed its socket; the share of its record is given back here."""
        records = self.network.catloop.records
        last = records.alone(self.end)
        records.give_back(self.end)
        self.network.told_release(self.record, last)
        return True


class Passage(OnNetwork):
    """A connection whose far end is the owner's. `at_once`: its rings are waited for."""

    __slots__ = ("at_once", "handle", "met", "tries")
    relay = 0  # none of this process's

    def __init__(self, network, handle, family, local, peer, at_once):
        OnNetwork.__init__(self, network, 0, family, local, peer)
        self.handle = handle
        self.at_once = at_once
        self.tries = 0
        self.met = None

    def options(self, sock, names=KNOWN):
        self.network.told_options(self.handle, sock, names)

    def step(self):
        """As Meeting's: whether the rings are there. Without them it goes on through the kernel."""
        if self.tries or self.network.member is None:
            return False
        self.tries = SELDOM
        try:
            return self.network.member.attach(self.end, self.handle)
        except Refusal:
            return False

    def released(self):
        """The program has closed its socket."""
        self.network.told_release(self.handle, self.network.catloop.records.alone(self.end))
