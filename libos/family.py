"""What all connections of one process family (a process and its forks) share: end records, bells, pairs with other
processes.

A bell is a Unix datagram socket in the abstract name space; a page says which of its owners sleep. The page is a
sealed memfd that peers map for reading only, so that they can look whether a ring is worth a system call. A bell is a
hint, never data.
"""

import _socket
import os
import struct
from _thread import allocate_lock

from libos import layout, own_socket, pair, raw, rings
from libos.memory_file import SYS_munmap, high_copy, mapped, private, sealed
from libos.records import Records

BELLS = 64
IDLE_PAIRS = 16
MANY = 64  # peers, when those are forgotten of whom no connection is left
MAGIC = 0x31646E6566746163  # "catfend1"


def bell_name(key, bell):
    """The abstract address of a family's bell."""
    return b"\0catflap/bell/" + key + b"/%d" % bell


def write_names(table, key):
    """Fill a table of a family's bell addresses: per bell its sockaddr's length and the sockaddr."""
    for bell in range(BELLS):
        name = struct.pack("=H", _socket.AF_UNIX) + bell_name(key, bell)
        entry = struct.pack("=Q", len(name)) + name
        for at in range(0, len(entry), 8):
            word = entry[at : at + 8].ljust(8, b"\0")
            raw.store(table + bell * 64 + at, int.from_bytes(word, "little"))


class Family:
    """Made at boot; forked children inherit it as it is. `lends`: who has a network that this process is to be on will
    see its table (libos/member.py).
    """

    def __init__(self, lends=False):
        self.key = os.urandom(8).hex().encode()
        self.identity = self.key  # of this process, for pairs: a child takes a new one
        size = layout.FIRST + layout.ENDS * layout.RECORD
        table = sealed("catflap-ends", size)
        area = private(2 * layout.AREA)  # it ends up aligned; what is too much of it costs nothing
        self.table = mapped(table, size, size, 0, True, area + -area % layout.AREA)
        self.table_fd = table if lends else -1
        if not lends:
            os.close(table)  # who looks from outside finds it by its name among the mappings
        raw.store(self.table, MAGIC)
        raw.store(self.table + 8, layout.RECORD)
        self.records = Records(self.table, self.detach)
        self.page_fd = -1
        self.page = 0
        self.socket = None
        self.rung = []
        self.lock = allocate_lock()
        self.peers = {}
        self.pages = {}
        self.many = MANY
        self.pairs = {}
        self.by_block = {}
        self.on_pair = None
        rings.here().pid = os.getpid()

    def detach(self, end):
        """A record goes: its slot is for others to take."""
        block = raw.load(end + layout.PAIR)
        if block in self.by_block:
            self.by_block[block].detach(end)

    def pair_with(self, identity):
        """(pair, slot) for one more connection to a process; made when there is none or it is full."""
        with self.lock:  # threads that accept at once must not make one each
            known = self.pairs.get(identity)
            slot = known.take_slot() if known else -1
            if slot >= 0:
                return known, slot
            made = self.keep(identity, pair.make())
            return made, made.take_slot()

    def pair_from(self, identity, memory, sides):
        """The pair that a peer has sent, mapped once: who drains it by one mapping must find all its ends there."""
        number = os.fstat(memory).st_ino
        with self.lock:
            for known in self.by_block.values():
                if known.identity == number and known.side in sides:
                    return known
            return self.keep(identity, pair.Pair(high_copy(memory), 0))

    def keep(self, identity, made):
        """A pair to be found by its peer's identity from now on."""
        self.pairs[identity] = made
        self.by_block[made.block] = made
        if self.on_pair:
            self.on_pair(made.block, True)
        self.forget_idle()
        return made

    def forget_idle(self):
        """Pairs without a connection are kept for the next one, but not many of them."""
        idle = [known for known in self.by_block.values() if not known.live]
        for known in idle[:-IDLE_PAIRS]:
            del self.by_block[known.block]
            for identity in [identity for identity, current in self.pairs.items() if current is known]:
                del self.pairs[identity]
            if self.on_pair:
                self.on_pair(known.block, False)
            known.close()

    def start_bells(self):
        """The page, the socket that rings others, and bell 0, which is there as long as any of us lives."""
        with self.lock:
            if not self.page:
                self.make_page()

    def make_page(self):
        self.page_fd = sealed("catflap-bells", 4096)
        self.socket = own_socket.raised(own_socket.made(_socket.AF_UNIX, _socket.SOCK_DGRAM))
        self.rung.append(self.bind_bell(0))
        self.page = mapped(self.page_fd, 4096, 4096, 0, True)

    def bind_bell(self, bell):
        sock = own_socket.made(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        sock.bind(bell_name(self.key, bell))
        return own_socket.raised(sock)

    def new_bell(self):
        """(bell, descriptor) for the calling thread; bell 0 when there are no more: that thread looks now and then."""
        self.start_bells()
        me = rings.here().pid
        for reclaiming in (False, True):
            for bell in range(1, BELLS):  # children claim in the same page
                word = self.page + bell * 64 + 8
                owner = raw.load(word) if reclaiming else 0
                free = not owner or (owner != me and raw.ended(owner))
                if free and raw.compare_exchange(word, owner, me):
                    try:
                        return bell, self.bind_bell(bell).detach()
                    except OSError:  # a process that we do not know of has its socket still: it stays taken
                        pass
        return 0, -1

    def free_bell(self, bell):
        """Its thread has ended."""
        raw.store(self.page + bell * 64, 0)
        raw.store(self.page + bell * 64 + 8, 0)

    def hear(self, end, key, page):
        """Fill in whom to wake at the other end: the family of `key`, whose page is the memfd `page`."""
        if key not in self.pages:
            self.forget_peers()
            self.pages[key] = mapped(page, 4096, 4096, 0, False)
        raw.store(end + layout.PEER_BELLS, self.pages[key])
        raw.store(end + layout.OUR_BELLS, self.page)
        raw.store(end + layout.PEER_NAMES, self.names_of(key))
        raw.store(end + layout.OWN_NAMES, self.names_of(self.key))
        raw.store(end + layout.BELL_SOCKET, self.socket.fileno())

    def forget_peers(self):
        """Unmap what is known of families of which no connection is left, each time there are twice as many."""
        if len(self.pages) < self.many:
            return
        used = self.records.values(layout.PEER_BELLS) | self.records.values(layout.PEER_NAMES)
        used |= self.records.values(layout.OWN_NAMES)
        for known in (self.pages, self.peers):
            for key, at in list(known.items()):
                if at not in used and key != self.key:
                    raw.syscall(SYS_munmap, at, 4096, 0, 0, 0, 0)
                    del known[key]
        self.many = max(MANY, 2 * len(self.pages))

    def names_of(self, key):
        """Address of the table of a peer family's bell addresses: per bell its sockaddr's length and the sockaddr."""
        if key not in self.peers:
            table = private(4096)
            write_names(table, key)
            self.peers[key] = table
        return self.peers[key]

    def forked(self):
        """In a child: connections stay shared, meetings of its own are under a name of its own."""
        rings.here().pid = os.getpid()
        self.identity = os.urandom(8).hex().encode()
        if not self.page:
            self.key = self.identity  # nobody knows a bell of ours yet
        self.pairs = {}
