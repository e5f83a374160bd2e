"""What a program has of Catmint: an endpoint of its fabric, opened when its first connection has met a peer that has
Catmint too, the relays of its connections, and the keeper.
"""

import os
import select
from _thread import allocate_lock
from time import sleep

from libos import calls, driver, fabric_files, layout, leaving, mint_relay, own_socket, raw, spine
from libos.belled_fabric import BelledFabric
from libos.catmint import Catmint
from libos.errors import Fail
from libos.fabric.libfabric import SCRATCH, LibFabric
from libos.family import BELLS, write_names
from libos.high_numbers import HighNumbers
from libos.keeper import Keeper
from libos.memory_file import SYS_munmap, high, high_copy, mapped, private
from libos.mint_abroad import FarMeeting
from libos.mint_door import Door
from libos.mint_gateway import MintGateway
from libos.mint_meeting import MintMeeting
from libos.mint_secret import Secret
from libos.own_pairs import OwnPairs
from libos.refusal import Refused
from libos.rendezvous import Card

PATIENCE = 500  # milliseconds that a fork waits for a connection to go back to the kernel
NOBODY = (1 << 31) - 1  # no descriptor has this number


class Locked:
    """For `with`: the gateway, with its lock; what was made goes out."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        while not self.gateway.lock():
            sleep(0)  # whoever has it may want the GIL
        return self.gateway

    def __exit__(self, *_):
        self.gateway.catmint.flush()
        self.gateway.remind()
        self.gateway.unlock()
        self.gateway.carry_on()  # for who did not get the lock


def face(family, pairs, end, far):
    """Give a program's end rings, at whose other side `far` is, a record of ours. Raises Refused, OSError."""
    spine.set_fd(far, NOBODY)
    spine.nobody_sleeps(far)
    family.start_bells()
    near, beyond, slot = pairs.slot()
    if slot < 0:
        raise Refused("NO_MEMORY")
    for one in (end, far):
        family.hear(one, family.key, family.page_fd)
    beyond.attach(far, slot)
    raw.store(raw.load(far + layout.IN) + layout.H_WATCHED, 1)
    raw.store32(end + layout.MINT, 1)
    near.attach(end, slot)


class MintNetwork:
    """`provider`, `node`: of libfabric. `secret`: the path of what other machines' programs know too, or None; `port`:
    where those ask. `catloop`: whose sockets these are; `own_thread` is called by a thread of ours.
    """

    def __init__(self, catloop, provider, node, secret, port, own_thread, log):
        self.catloop = catloop
        self.provider = provider
        self.node = node
        self.own_thread = own_thread
        self.log = log
        self.secret = self.known(secret) if secret and provider != "shm" else None
        self.port = port
        self.door = None
        self.opening = allocate_lock()
        self.gateway = None
        self.card = None
        self.lost = False  # there is no endpoint, and will be none
        self.bell = 0  # of the keeper
        self.ringing = None  # its socket
        self.by_fd = {}  # who hears of what the kernel has to say of a descriptor
        self.crossings = {}  # by relay
        self.bells = {}  # by peer: (page, names) that are mapped for it
        self.pairs = OwnPairs(catloop.family, b"mint", self.drain)
        catloop.meet = self.meeting

    def known(self, path):
        try:
            return Secret(path)
        except (OSError, ValueError) as error:
            self.log(f"Catmint meets no other machine: {error}")
            return None

    def meeting(self, family, end, accepting):
        """How a connection finds its other end. Raises Refused, OSError."""
        try:
            return MintMeeting(self, family, end, accepting)
        except Refused as refusal:
            if refusal.reason != "PEER_UNKNOWN" or self.secret is None:
                raise
        return FarMeeting(self, family, end, accepting)

    def open(self):
        """The gateway. Raises Refused where there is no endpoint for this process."""
        with self.opening:
            if self.gateway is None and not self.lost:
                try:
                    self.begin()
                except (Fail, OSError, MemoryError) as error:
                    self.lost = True
                    self.log(f"Catmint is not there: {error}")
        if self.lost:
            raise Refused("FABRIC")
        return self.gateway

    def begin(self):
        place, node, files, bells = "", self.node, (), None
        if self.provider == "shm":
            fabric_files.clean()
            place, node = fabric_files.place(), fabric_files.name()
        with HighNumbers():
            fabric = LibFabric(self.provider, private(SCRATCH), node)
        if self.provider == "shm":
            files = fabric_files.of(node)
            bells = fabric = self.belled(fabric)
        self.card = Card(self.provider, place, fabric.address)
        self.call = high(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        with select.epoll() as low:
            self.epoll = select.epoll.fromfd(high_copy(low.fileno()))
        self.epoll.register(self.call, select.EPOLLIN)
        if self.ringing is not None:
            self.by_fd[self.ringing.fileno()] = self
            self.epoll.register(self.ringing.fileno(), select.EPOLLIN)
        if fabric.bell() >= 0:
            self.epoll.register(fabric.bell(), select.EPOLLIN)
        gateway = MintGateway(Catmint(fabric, self.catloop.heap), bells, self.call)
        at = gateway.files
        for file in files:
            for byte in (*os.fsencode(file), 0):
                raw.store(at, byte)  # the seven bytes behind it come later, or are zero
                at += 1
        self.gateway = gateway
        driver.here().driver = gateway
        driver.here().on = True
        if self.secret is not None:
            try:
                self.door = Door(self.secret, self.port, self.by_fd, self.epoll)
            except OSError as error:
                self.log(f"Catmint can't be met from other machines: {error} (port {self.port})")
        self.keeper = Keeper(self)

    def belled(self, fabric):
        """`shm` has nothing to wait on: bells are rung beside it."""
        family = self.catloop.family
        family.start_bells()
        self.bell, number = family.new_bell()
        if self.bell:
            self.ringing = own_socket.standing_for(number)
        word = family.page + self.bell * 64 if self.bell else 0
        return BelledFabric(fabric, word, self.bell, family.socket.fileno())

    def heard(self):
        """The bell."""
        try:
            while self.ringing.recv(1) is not None:
                pass
        except BlockingIOError:
            pass

    def acquaint(self, peer, key, bell, page):
        """A peer of the fabric, of the family `key`, has bells; `page` is the memfd that says whether it sleeps, in the
        line of its keeper's, `bell`.
        """
        bells = self.gateway.bells
        if bells is None or not 0 < bell < BELLS:
            return
        at, names = mapped(page, 4096, 4096, 0, False), private(4096)
        write_names(names, key)
        with self.locked():
            bells.acquaint(peer, at + bell * 64, names)
        for old in self.bells.pop(peer, ()):  # nobody rings by that any more
            raw.syscall(SYS_munmap, old, 4096, 0, 0, 0, 0)
        self.bells[peer] = at, names

    def locked(self):
        return Locked(self.gateway)

    def drain(self, beyond):
        with self.locked() as gateway:
            return gateway.drain_also(beyond.block)

    def cross(self, end, at, peer):
        """The program's end has rings from now on, whose bytes go by the connection `at` of the core to the process
        `peer`: the relay. Raises Refused, OSError.
        """
        records = self.catloop.records
        far = records.claim()
        if not far:
            raise Refused("NO_MEMORY")
        try:
            face(self.catloop.family, self.pairs, end, far)
            with self.locked() as gateway:
                relay = gateway.begin(at, far, peer)
                if not relay:
                    raise Refused("NO_MEMORY")
                raw.store(relay + layout.R_OWN, end)
                self.crossings[relay] = far  # before it can be over: the keeper is told once
                gateway.move(relay)  # what the other side has said already
        except BaseException:
            raw.store32(end + layout.MINT, 0)
            records.give_back(far)
            raise
        return relay

    def released(self, relay):
        """The program has closed its connection."""
        with self.locked() as gateway:
            if relay in self.crossings:
                raw.store(relay + layout.R_OWN, 0)
                mint_relay.mark(relay, layout.R_RELEASED)
                gateway.move(relay)

    def serve(self):
        """Connections that are over."""
        for relay, far in list(self.crossings.items()) if self.gateway.any_over() else ():
            if raw.load(relay + layout.R_FLAGS) & layout.R_OVER:
                broken = mint_relay.has(relay, mint_relay.R_BROKEN)
                with self.locked() as gateway:
                    del self.crossings[relay]
                    self.catloop.records.give_back(far)
                    gateway.end(relay)
                if broken and self.provider == "shm":
                    fabric_files.clean()  # of who was killed

    # --- forks ---

    def begin_forks(self):
        """Behind all others that hear of forks: before one this comes first."""
        os.register_at_fork(before=self.before_fork, after_in_parent=self.in_parent, after_in_child=self.in_child)

    def before_fork(self):
        """The endpoint stays with the parent: what a child shares goes through the kernel from now on."""
        self.catloop.steps.acquire()  # no other thread has a connection go to the fabric now
        if self.gateway is None:
            return
        owns = [raw.load(relay + layout.R_OWN) for relay in tuple(self.crossings)]
        owns = [own for own in owns if own]
        for own in owns:  # before any of them sends no more: the other end may be one of these
            if not raw.load(raw.load(own + layout.IN) + layout.H_TAIL) & layout.ENDED:
                leaving.close_inward(own)
        for own in owns:
            for _ in range(PATIENCE):
                if not leaving.leave(own):
                    break
                self.gateway.glance()
                sleep(0.001)
        while not self.gateway.lock():
            sleep(0)

    def in_parent(self):
        self.catloop.steps.release()
        if self.gateway is not None:
            self.gateway.unlock()

    def in_child(self):
        self.catloop.steps.release()
        self.opening = allocate_lock()
        if self.gateway is None:
            return
        driver.here().on = False
        self.lost = True
        for fd in (self.epoll.fileno(), self.call, *self.by_fd):
            raw.syscall(calls.SYS_close, fd, 0, 0, 0, 0, 0)
        self.past = self.epoll, self.ringing and self.ringing.detach(), self.gateway, self.door and self.door.detach()
        self.gateway.left = True
        self.gateway = self.ringing = self.door = None
        self.crossings.clear()
        self.by_fd.clear()
        self.pairs.forget()

    def farewell(self):
        """A program that is a Python ends, and its threads stop where they are, the keeper too: before that the other
        ends get all that was sent.
        """
        if self.gateway is None:
            return
        for relay in tuple(self.crossings):
            own = raw.load(relay + layout.R_OWN)
            if own and self.catloop.records.alone(own):
                leaving.close_inward(own)
                leaving.stop_sending(own, True)
                self.gateway.depart(relay, False)
        while self.gateway.depart(0, False):
            sleep(0.001)
        self.keeper.stop()
        driver.here().on = False
        self.gateway.finish()
