"""What all connections of one process family (a process and its forks) share: the arena of end records and the bells.

A bell is a Unix datagram socket in the abstract name space; a page says which of its owners sleep. The page is a sealed memfd
that peers map for reading only, so that they can look whether a ring is worth a system call. A bell is a hint, never data.
"""

import mmap
import os
import struct

import _socket
from _thread import allocate_lock

from libos import layout, raw

ENDS = 1 << 16
BELLS = 64
F_ADD_SEALS, F_GET_SEALS, F_DUPFD_CLOEXEC = 1033, 1034, 1030
SHRINK, GROW, FUTURE_WRITE, SEAL = 2, 4, 16, 1
SHARED = 0x4021  # MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE
SYS_mmap, SYS_munmap = 9, 11


def high(fd):
    """Move a descriptor of ours out of the way of the numbers that the program will get."""
    import resource
    from fcntl import fcntl

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for base in (min(limit, 1 << 20) - 256, limit // 2):
        try:
            moved = fcntl(fd, F_DUPFD_CLOEXEC, max(base, 3))
        except OSError:
            continue
        os.close(fd)
        return moved
    return fd


def sealed(name, size, seals):
    """A memfd of `size` zero bytes that nobody can shrink or grow, at a high number."""
    from fcntl import fcntl

    fd = high(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    os.ftruncate(fd, size)
    fcntl(fd, F_ADD_SEALS, seals)
    return fd


def mapped(fd, size, writable):
    """Address of the first `size` bytes of a memfd; checked against what it says of itself. Raises OSError."""
    from fcntl import fcntl

    if os.fstat(fd).st_size != size or fcntl(fd, F_GET_SEALS) & (SHRINK | GROW) != SHRINK | GROW:
        raise OSError(22, "not a segment of ours")
    address = raw.syscall(SYS_mmap, 0, size, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0), 1, fd, 0)
    if address <= 0:
        raise OSError(-address, "mmap")
    return address


def bell_name(key, bell):
    """The abstract address of a family's bell."""
    return b"\0catflap/bell/" + key + b"/%d" % bell


class Family:
    """Made at boot; forked children inherit it as it is."""

    def __init__(self):
        self.key = os.urandom(8).hex().encode()
        self.arena = raw.syscall(SYS_mmap, 0, ENDS * layout.RECORD, 3, SHARED, -1, 0)
        if self.arena <= 0:
            raise MemoryError("no address space for connection records")
        self.next_end = 0
        self.page_fd = -1
        self.page = 0
        self.socket = None
        self.rung = []
        self.lock = allocate_lock()
        self.peers = {}

    def claim(self):
        """Address of a zeroed end record, or 0 when all are taken. Children claim in the same arena."""
        for step in range(ENDS):
            end = self.arena + (self.next_end + step) % ENDS * layout.RECORD
            if raw.compare_exchange(end + layout.USERS, 0, 1):
                self.next_end = (self.next_end + step + 1) % ENDS
                return end
        return 0

    def give_back(self, end):
        """One process of the family lets go of a record; the last one clears it."""
        if raw.load(end + layout.USERS) == 1:  # nobody else can come to it
            for offset in range(0, layout.RECORD, 8):
                if offset != layout.USERS:
                    raw.store(end + offset, 0)
        raw.fetch_add(end + layout.USERS, (1 << 64) - 1)

    def start_bells(self):
        """The page, the socket that rings others, and bell 0, which is there as long as any of us lives."""
        with self.lock:
            if not self.page:
                self.make_page()

    def make_page(self):
        self.page_fd = sealed("catflap-bells", 4096, SHRINK | GROW | SEAL)
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self.socket = _socket.socket(fileno=high(sender.detach()))
        self.rung.append(self.bind_bell(0))
        self.page = mapped(self.page_fd, 4096, True)

    def bind_bell(self, bell):
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        sock.bind(bell_name(self.key, bell))
        return _socket.socket(fileno=high(sock.detach()))

    def new_bell(self):
        """(bell, descriptor) for the calling thread; bell 0 when there are no more: that thread looks now and then."""
        self.start_bells()
        for bell in range(1, BELLS):
            if raw.compare_exchange(self.page + bell * 64 + 8, 0, 1):  # children claim in the same page
                return bell, self.bind_bell(bell).detach()
        return 0, -1

    def free_bell(self, bell):
        """Its thread has ended."""
        raw.store(self.page + bell * 64, 0)
        raw.store(self.page + bell * 64 + 8, 0)

    def names_of(self, key):
        """Address of the table of a peer family's bell addresses: per bell its sockaddr's length and the sockaddr."""
        if key not in self.peers:
            table = raw.syscall(SYS_mmap, 0, 4096, 3, 0x22, -1, 0)
            for bell in range(BELLS):
                name = struct.pack("=H", _socket.AF_UNIX) + bell_name(key, bell)
                entry = struct.pack("=Q", len(name)) + name
                for at in range(0, len(entry), 8):
                    word = entry[at : at + 8].ljust(8, b"\0")
                    raw.store(table + bell * 64 + at, int.from_bytes(word, "little"))
            self.peers[key] = table
        return self.peers[key]
